#include "store/check.h"

#include "store/check_parts.h"
#include "store/schema.h"
#include "store/store.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) void check_fault(struct check *check, const char *format, ...)
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
        check_fault(check, "nabla.db: %s", answer);
}

static const char *const tables[] = {"gradient_rows", "metric_rows",    "gradient_folds", "metric_folds",
                                     "custom_rows",   "histogram_rows", "checkpoints",    "writes",
                                     "rollups",       "metric_names",   "layers",         "events",
                                     "job_specs"};
#define ORPHAN "job NOT IN (SELECT number FROM jobs) AND job NOT IN (SELECT job FROM doomed)"

static enum nabla_code check_orphans(struct check *check, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && code == NABLA_OK; i++) {
        char sql[256];
        int64_t count = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE " ORPHAN, tables[i]);
        code = database_number(check->db, sql, &count, err);
        if (code == NABLA_OK && count > 0)
            check_fault(check, "%s: %lld rows belong to no job", tables[i], (long long)count);
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE " ORPHAN, tables[i]);
        if (code == NABLA_OK && count > 0 && check->repair)
            code = database_run(check->db, sql, err);
    }
    return code;
}

static enum nabla_code require_version(struct check *check, struct nabla_error *err)
{
    int64_t version = 0;
    enum nabla_code code = database_number(check->db, "PRAGMA user_version", &version, err);
    if (code == NABLA_OK && version != (int64_t)schema_step_count)
        code = nabla_fail(
            err, NABLA_CONFLICT, NULL,
            "%s/nabla.db has schema version %lld, this program knows %zu: a newer program brings an "
            "older file up to date when it opens it",
            check->folder, (long long)version, schema_step_count);
    return code;
}

static enum nabla_code check_all(struct check *check, struct nabla_error *err)
{
    enum nabla_code code = require_version(check, err);
    if (code == NABLA_OK)
        code = each_row(check, "PRAGMA integrity_check", look_at_answer, err);
    if (code == NABLA_OK)
        code = check_orphans(check, err);
    if (code == NABLA_OK)
        code = check_files(check, err);
    if (code == NABLA_OK)
        code = check_rollups(check, err);
    if (code == NABLA_OK && check->repair)
        code = database_run(check->db, "UPDATE rollups SET data = NULL WHERE data IS NOT NULL", err);
    return code;
}

enum nabla_code check_folder(const char *folder, const struct check_wish *wish,
                             void (*tell)(void *context, const char *text), void *context, size_t *ret_faults,
                             struct nabla_error *err)
{
    char path[PATH_MAX];
    struct store *store = NULL;
    struct check check = {
        .folder = folder, .repair = wish->repair, .all = wish->all, .tell = tell, .context = context};
    snprintf(path, sizeof path, "%s/nabla.db", folder);
    if (access(path, R_OK) != 0)
        return nabla_fail_errno(err, "read", path);
    // Opening migrates, sweeps files without a row, and keeps others out.
    enum nabla_code code = wish->repair ? store_open(folder, &store, err) : NABLA_OK;
    if (code == NABLA_OK)
        code =
            database_open(path, wish->repair ? DATABASE_PLAIN : DATABASE_READER, sql_texts, &check.db, err);
    if (code == NABLA_OK)
        code = check_all(&check, err);
    database_close(check.db);
    store_close(store);
    if (code == NABLA_OK)
        *ret_faults = check.faults;
    return code;
}
