#include "store/check.h"

#include "base/file.h"
#include "base/mapped.h"
#include "base/token.h"
#include "store/database.h"
#include "store/store.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check {
    const char *folder;
    struct database *db;
    void (*tell)(void *context, const char *text);
    void *context;
    size_t faults;
};

__attribute__((format(printf, 2, 3))) static void fault(struct check *check, const char *format, ...)
{
    char text[PATH_MAX + 200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->faults++;
    check->tell(check->context, text);
}

static enum nabla_code each_row(struct check *check, const char *sql,
                                void (*look)(struct check *check, const char *text), struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code = database_prepare(check->db, sql, &rows, err);
    if (code)
        return code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        const char *text = statement_text(rows, 0);
        look(check, text ? text : "");
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static void look_at_answer(struct check *check, const char *answer)
{
    if (strcmp(answer, "ok") != 0)
        fault(check, "nabla.db: %s", answer);
}

static void look_at_dataset(struct check *check, const char *sha256)
{
    char path[PATH_MAX], found[TOKEN_SHA256_SIZE];
    struct mapped file;
    snprintf(path, sizeof path, "%s/datasets/%s.safetensors", check->folder, sha256);
    if (access(path, R_OK) != 0 || mapped_open_path(path, &file, NULL)) {
        fault(check, "%s: cannot be read, a data set has no other copy", path);
        return;
    }
    token_sha256(found, file.bytes, file.size);
    mapped_close(&file);
    if (strcmp(found, sha256) != 0)
        fault(check, "%s: is damaged, its hash is %s", path, found);
}

static const char *const tables[] = {"gradient_rows", "metric_rows", "gradient_folds", "metric_folds",
                                     "custom_rows",   "writes",      "rollups",        "metric_names",
                                     "layers",        "events",      "job_specs"};
#define ORPHAN "job NOT IN (SELECT number FROM jobs) AND job NOT IN (SELECT job FROM doomed)"

static enum nabla_code check_orphans(struct check *check, bool repair, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && code == NABLA_OK; i++) {
        char sql[256];
        int64_t count = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE " ORPHAN, tables[i]);
        code = database_number(check->db, sql, &count, err);
        if (code == NABLA_OK && count > 0)
            fault(check, "%s: %lld rows belong to no job", tables[i], (long long)count);
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE " ORPHAN, tables[i]);
        if (code == NABLA_OK && count > 0 && repair)
            code = database_run(check->db, sql, err);
    }
    return code;
}

static enum nabla_code check_all(struct check *check, bool repair, struct nabla_error *err)
{
    enum nabla_code code = each_row(check, "PRAGMA integrity_check", look_at_answer, err);
    if (code == NABLA_OK)
        code = check_orphans(check, repair, err);
    if (code == NABLA_OK)
        code = each_row(check, "SELECT sha256 FROM datasets ORDER BY number", look_at_dataset, err);
    if (code == NABLA_OK && repair)
        code = database_run(check->db, "UPDATE rollups SET data = NULL WHERE data IS NOT NULL", err);
    return code;
}

enum nabla_code check_folder(const char *folder, bool repair, void (*tell)(void *context, const char *text),
                             void *context, size_t *ret_faults, struct nabla_error *err)
{
    char path[PATH_MAX];
    struct store *store = NULL;
    struct check check = {.folder = folder, .tell = tell, .context = context};
    snprintf(path, sizeof path, "%s/nabla.db", folder);
    if (access(path, R_OK) != 0)
        return nabla_fail_errno(err, "read", path);
    // Opening migrates, sweeps files without a row, and keeps others out.
    enum nabla_code code = repair ? store_open(folder, &store, err) : NABLA_OK;
    if (code == NABLA_OK)
        code = database_open(path, repair ? DATABASE_PLAIN : DATABASE_READER, sql_texts, &check.db, err);
    if (code == NABLA_OK)
        code = check_all(&check, repair, err);
    database_close(check.db);
    store_close(store);
    if (code == NABLA_OK)
        *ret_faults = check.faults;
    return code;
}
