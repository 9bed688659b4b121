#include "store/doomed.h"

#include "store/usage.h"

#include <stdio.h>

enum { ROWS_AT_ONCE = 5000 };

// The tables whose rows carry a job's number, with the rest of their keys. A job that is kept without its
// history keeps what is not of the history.
static const struct {
    const char *name, *key;
    bool is_history;
} tables[] = {
    {"gradient_rows", "layer, step", true},  {"metric_rows", "step", true},
    {"gradient_folds", "layer, step", true}, {"metric_folds", "layer, step", true},
    {"custom_rows", "metric, step", true},   {"writes", "revision, series, first_step", true},
    {"histogram_rows", "place, step", true}, {"rollups", "series, level, bucket", true},
    {"metric_names", "metric", true},        {"layers", "layer", false},
    {"events", "revision", false},
};

// Up to ROWS_AT_ONCE rows of a table; *ret says how many went.
static enum nabla_code delete_some(struct database *db, size_t table, int64_t job, size_t *ret,
                                   struct nabla_error *err)
{
    char sql[256];
    struct statement *deletion;
    snprintf(
        sql, sizeof sql,
        "DELETE FROM %s WHERE job = ?1 AND (%s) IN (SELECT %s FROM %s WHERE job = ?1 LIMIT ?2) RETURNING 1",
        tables[table].name, tables[table].key, tables[table].key, tables[table].name);
    enum nabla_code code = database_prepare(db, sql, &deletion, err);
    if (code)
        return code;
    size_t count = 0;
    statement_bind_int(deletion, job);
    statement_bind_int(deletion, ROWS_AT_ONCE);
    while ((code = statement_row(deletion, err)) == NABLA_OK)
        count++;
    statement_free(deletion);
    *ret = count;
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code find_doomed(struct database *db, int64_t *ret, bool *ret_kept, struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_DOOMED);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK) {
        *ret = statement_int(row, 0);
        *ret_kept = statement_int(row, 1) != 0;
    }
    statement_reset(row);
    return code;
}

static enum nabla_code sweep_job(struct database *db, int64_t job, bool is_kept, struct nabla_error *err)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        size_t count = 0;
        enum nabla_code code =
            is_kept && !tables[i].is_history ? NABLA_OK : delete_some(db, i, job, &count, err);
        if (code || count == ROWS_AT_ONCE) // then there may be more, for the next transaction
            return code;
    }
    struct statement *done = database_statement(db, SQL_DOOM_DONE);
    statement_bind_int(done, job);
    return statement_run(done, err);
}

enum nabla_code doomed_sweep(struct store *store, struct nabla_error *err)
{
    for (;;) {
        struct database *db;
        int64_t job;
        bool is_kept;
        enum nabla_code code = access_begin(store, false, &db, err);
        if (code)
            return code;
        code = find_doomed(db, &job, &is_kept, err);
        bool is_over = code == NABLA_NOT_FOUND;
        if (code == NABLA_OK)
            code = sweep_job(db, job, is_kept, err);
        code = access_end(store, is_over ? NABLA_OK : code, err);
        if (code || is_over)
            return code;
        usage_forget(store);
    }
}
