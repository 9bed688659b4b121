#include "store/retention.h"

#include "base/token.h"
#include "store/access.h"
#include "store/doomed.h"
#include "store/job_row.h"
#include "store/usage.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t DAY_MS = 86400000;

// The id that a statement gives with one number bound. NABLA_NOT_FOUND, without a text: none.
static enum nabla_code find_job(struct store *store, enum sql_id sql, int64_t number, char ret[TOKEN_ID_SIZE],
                                struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, sql);
    statement_bind_int(row, number);
    enum nabla_code code = statement_row(row, err);
    const char *id = code == NABLA_OK ? statement_text(row, 0) : NULL;
    if (id)
        snprintf(ret, TOKEN_ID_SIZE, "%s", id);
    else if (code == NABLA_OK)
        code = nabla_fail_memory(err, "the id of a job");
    statement_reset(row);
    access_release(store, db);
    return code;
}

static int64_t before(int64_t now_ms, uint64_t days)
{
    return days < (uint64_t)(now_ms / DAY_MS) ? now_ms - (int64_t)days * DAY_MS : 0;
}

static enum nabla_code remove_all(struct store *store, enum sql_id sql, int64_t number, size_t *count,
                                  struct nabla_error *err)
{
    char id[TOKEN_ID_SIZE];
    enum nabla_code code;
    while ((code = find_job(store, sql, number, id, err)) == NABLA_OK) {
        code = store_job_delete(store, id, err);
        if (code && code != NABLA_NOT_FOUND) // somebody else was first
            return code;
        ++*count;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// Takes a finished job's history away and tells so in its events.
static enum nabla_code doom_history(struct database *db, const char *id, int64_t now_ms,
                                    uint64_t *ret_revision, struct nabla_error *err)
{
    struct job_stand stand;
    enum nabla_code code = job_stand_read(db, id, &stand, err);
    if (code)
        return code;
    static const enum sql_id changes[] = {SQL_JOB_TOUCH, SQL_DOOM};
    for (size_t i = 0; i < sizeof changes / sizeof *changes && code == NABLA_OK; i++) {
        struct statement *change = database_statement(db, changes[i]);
        statement_bind_int(change, stand.number);
        code = statement_run(change, err);
    }
    *ret_revision = stand.revision + 1;
    return code ? code
                : job_entry_insert(db, stand.number, stand.revision + 1, now_ms, "history_removed",
                                   "it was older than keep-history-days", err);
}

static enum nabla_code remove_histories(struct store *store, int64_t now_ms, uint64_t days, size_t *count,
                                        struct nabla_error *err)
{
    char id[TOKEN_ID_SIZE];
    enum nabla_code code;
    while ((code = find_job(store, SQL_JOB_WITH_HISTORY, before(now_ms, days), id, err)) == NABLA_OK) {
        struct database *db;
        uint64_t revision = 0;
        code = access_begin(store, false, &db, err);
        if (code == NABLA_OK)
            code = access_end(store, doom_history(db, id, now_ms, &revision, err), err);
        if (code == NABLA_OK)
            code = doomed_sweep(store, err);
        if (code)
            return code;
        access_notify(store, id, revision);
        ++*count;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code store_bytes(struct store *store, uint64_t *ret, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    int64_t pages = 0, unused = 0, size = 0;
    enum nabla_code code = database_number(db, "PRAGMA page_count", &pages, err);
    if (code == NABLA_OK)
        code = database_number(db, "PRAGMA freelist_count", &unused, err);
    if (code == NABLA_OK)
        code = database_number(db, "PRAGMA page_size", &size, err);
    access_release(store, db);
    if (code)
        return code;
    *ret = (uint64_t)((pages - unused) * size) + usage_folder(store, "datasets", NULL) +
           usage_folder(store, "jobs", NULL);
    return NABLA_OK;
}

static enum nabla_code shrink(struct store *store, uint64_t most, size_t *count, struct nabla_error *err)
{
    for (;;) {
        uint64_t bytes;
        char id[TOKEN_ID_SIZE];
        enum nabla_code code = store_bytes(store, &bytes, err);
        if (code || bytes <= most)
            return code;
        code = find_job(store, SQL_JOB_LONGEST_FINISHED, 0, id, err);
        if (code)
            return code == NABLA_NOT_FOUND ? NABLA_OK : code; // only data sets and running jobs are left
        code = store_job_delete(store, id, err);
        if (code && code != NABLA_NOT_FOUND)
            return code;
        ++*count;
    }
}

enum nabla_code store_retain(struct store *store, const struct retention *retention, int64_t now_ms,
                             size_t *ret, struct nabla_error *err)
{
    size_t count = 0;
    enum nabla_code code = NABLA_OK;
    if (retention->days)
        code = remove_all(store, SQL_JOB_FINISHED_BEFORE, before(now_ms, retention->days), &count, err);
    if (code == NABLA_OK && retention->jobs)
        code = remove_all(store, SQL_JOB_FINISHED_BEYOND, (int64_t)retention->jobs, &count, err);
    if (code == NABLA_OK && retention->history_days)
        code = remove_histories(store, now_ms, retention->history_days, &count, err);
    if (code == NABLA_OK && retention->bytes)
        code = shrink(store, retention->bytes, &count, err);
    if (code == NABLA_OK)
        *ret = count;
    return code;
}
