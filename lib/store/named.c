#include "store/named.h"

#include <string.h>

// What stands beside metrics in rows, CSV and tensors: a metric of such a name would be taken for it.
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"step", "steps", "count", "counts",      "width",
                                        "job",  "layer", "name",  "__metadata__"};
    static const char *const endings[] = {".min", ".max", ".nonfinite", ".recorded"};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t tail = strlen(endings[i]);
        if (length >= tail && strcmp(name + length - tail, endings[i]) == 0)
            return true;
    }
    return strncmp(name, "layers.", strlen("layers.")) == 0;
}

// What a column of CSV, a tensor and a shell's argument can all be called.
static bool is_name(const char *name)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:@";
    size_t length = strlen(name);
    return length > 0 && length <= HISTORY_NAME_MAX && strspn(name, known) == length;
}

static enum nabla_code insert_name(struct database *db, int64_t job, const char *name, size_t most,
                                   int64_t *ret, struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_NAME_COUNT);
    statement_bind_int(row, job);
    enum nabla_code code = statement_row(row, err);
    int64_t count = code == NABLA_OK ? statement_int(row, 0) : 0;
    statement_reset(row);
    if (code)
        return code;
    if ((uint64_t)count >= most)
        return nabla_fail(
            err, NABLA_LIMIT, NULL,
            "the job has %lld metrics with names of its own already, the limit max_metric_names is %zu",
            (long long)count, most);
    row = database_statement(db, SQL_NAME_INSERT);
    statement_bind_int(row, job);
    statement_bind_int(row, count + 1);
    statement_bind_text(row, name);
    *ret = count + 1;
    return statement_run(row, err);
}

enum nabla_code named_number(struct database *db, int64_t job, const char *name, size_t most, int64_t *ret,
                             struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_NAME_FIND);
    statement_bind_int(row, job);
    statement_bind_text(row, name);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        *ret = statement_int(row, 0);
    statement_reset(row);
    if (code != NABLA_NOT_FOUND)
        return code;
    if (is_reserved(name))
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "\"%.40s\" cannot name a metric: histories have something else of this name", name);
    if (!is_name(name))
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "\"%.40s\" cannot name a metric: letters, digits and _ . - / : @, up to %d of them",
                          name, HISTORY_NAME_MAX);
    return insert_name(db, job, name, most, ret, err);
}

enum nabla_code named_write(struct database *db, int64_t job, int64_t metric, uint64_t revision,
                            const struct points *points, struct nabla_error *err)
{
    struct statement *insert = database_statement(db, SQL_NAMED_UPSERT);
    statement_bind_int(insert, job);
    statement_bind_int(insert, metric);
    statement_bind_size(insert, revision);
    statement_bind_points(insert, points);
    return statement_run(insert, err);
}

enum nabla_code named_read(struct database *db, const struct named_range *range, named_visitor *visit,
                           void *context, struct nabla_error *err)
{
    struct statement *rows = database_statement(db, range->newest ? SQL_NAMED_NEWEST : SQL_NAMED_BY_STEP);
    statement_bind_int(rows, range->job);
    statement_bind_int(rows, range->metric);
    statement_bind_size(rows, range->first);
    statement_bind_size(rows, range->last);
    statement_bind_size(rows, range->limit);
    statement_bind_size(rows, range->revision);
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        code = visit(context, (uint64_t)statement_int(rows, 0), (uint64_t)statement_int(rows, 1),
                     statement_double(rows, 2));
        if (code)
            break;
    }
    statement_reset(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}
