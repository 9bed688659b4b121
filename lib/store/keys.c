#include "store/keys.h"

#include "store/access.h"

#include <stdio.h>
#include <string.h>

static const char *const scope_names[] = {[KEY_JOBS] = "jobs", [KEY_DATASETS] = "datasets"};
_Static_assert(sizeof scope_names / sizeof *scope_names == KEY_SCOPE_COUNT, "every scope has a name");

static enum nabla_code read_creation(struct statement *row, const struct creation_key *key,
                                     struct creation *ret, struct nabla_error *err)
{
    const char *sha256 = statement_text(row, 0), *id = statement_text(row, 1);
    if (!sha256 || !id)
        return nabla_fail_memory(err, "an idempotency key");
    if (strcmp(sha256, key->sha256) != 0)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "this idempotency key was used before, with another request");
    snprintf(ret->id, sizeof ret->id, "%s", id);
    ret->existed = statement_int(row, 2) != 0;
    return NABLA_OK;
}

enum nabla_code key_find(struct database *db, enum key_scope scope, const struct creation_key *key,
                         struct creation *ret, struct nabla_error *err)
{
    if (!key || !key->text)
        return NABLA_NOT_FOUND;
    struct statement *row = database_statement(db, SQL_KEY_FIND);
    statement_bind_text(row, scope_names[scope]);
    statement_bind_text(row, key->text);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        code = read_creation(row, key, ret, err);
    statement_reset(row);
    return code;
}

enum nabla_code key_insert(struct database *db, enum key_scope scope, const struct creation_key *key,
                           const struct creation *made, int64_t now_ms, struct nabla_error *err)
{
    if (!key || !key->text)
        return NABLA_OK;
    struct statement *insert = database_statement(db, SQL_KEY_INSERT);
    statement_bind_text(insert, scope_names[scope]);
    statement_bind_text(insert, key->text);
    statement_bind_text(insert, key->sha256);
    statement_bind_text(insert, made->id);
    statement_bind_int(insert, made->existed);
    statement_bind_int(insert, now_ms);
    return statement_run(insert, err);
}

enum nabla_code store_key_find(struct store *store, enum key_scope scope, const struct creation_key *key,
                               struct creation *ret, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    enum nabla_code code = key_find(db, scope, key, ret, err);
    access_release(store, db);
    return code;
}
