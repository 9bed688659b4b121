#include "store/runs.h"

#include <stdlib.h>

// A gap ends a run when it is wider than this and than four of the batch's narrowest gaps of the series.
enum { GAP_LEAST = 64, GAPS_WIDE = 4 };

static int compare(const void *a, const void *b)
{
    const struct touch *left = a, *right = b;
    if (left->series != right->series)
        return left->series < right->series ? -1 : 1;
    return left->step < right->step ? -1 : left->step > right->step;
}

void touches_sort(struct touch *touches, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare(&touches[i - 1], &touches[i]) > 0) {
            qsort(touches, count, sizeof *touches, compare);
            return;
        }
}

static enum nabla_code write_run(struct database *db, int64_t job, const struct run *run,
                                 struct nabla_error *err)
{
    struct statement *insert = database_statement(db, SQL_RUN_INSERT);
    statement_bind_int(insert, job);
    statement_bind_size(insert, run->revision);
    statement_bind_int(insert, run->series);
    statement_bind_size(insert, run->first);
    statement_bind_size(insert, run->last);
    return statement_run(insert, err);
}

// The widest gap within a run of touches [from, to), which are one series'.
static uint64_t widest_gap(const struct touch *touches, size_t from, size_t to)
{
    uint64_t narrowest = UINT64_MAX / GAPS_WIDE;
    for (size_t i = from + 1; i < to; i++) {
        uint64_t gap = touches[i].step - touches[i - 1].step;
        if (gap > 0 && gap < narrowest)
            narrowest = gap;
    }
    return narrowest * GAPS_WIDE > GAP_LEAST ? narrowest * GAPS_WIDE : GAP_LEAST;
}

static enum nabla_code write_series(struct database *db, int64_t job, uint64_t revision,
                                    const struct touch *touches, size_t from, size_t to,
                                    struct nabla_error *err)
{
    uint64_t widest = widest_gap(touches, from, to);
    struct run run = {revision, touches[from].series, touches[from].step, touches[from].step};
    for (size_t i = from + 1; i < to; i++) {
        if (touches[i].step - run.last > widest) {
            enum nabla_code code = write_run(db, job, &run, err);
            if (code)
                return code;
            run.first = touches[i].step;
        }
        run.last = touches[i].step;
    }
    return write_run(db, job, &run, err);
}

enum nabla_code runs_write(struct database *db, int64_t job, uint64_t revision, const struct touch *touches,
                           size_t count, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t from = 0, to; from < count && code == NABLA_OK; from = to) {
        for (to = from; to < count && touches[to].series == touches[from].series;)
            to++;
        code = write_series(db, job, revision, touches, from, to, err);
    }
    return code;
}

enum nabla_code runs_walk(struct database *db, int64_t job, const struct run *from, run_visitor *visit,
                          void *context, struct nabla_error *err)
{
    struct statement *rows = database_statement(db, SQL_RUNS_FROM);
    statement_bind_int(rows, job);
    statement_bind_size(rows, from->revision);
    statement_bind_int(rows, from->series);
    statement_bind_size(rows, from->first);
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        const struct run run = {.revision = (uint64_t)statement_int(rows, 0),
                                .series = statement_int(rows, 1),
                                .first = (uint64_t)statement_int(rows, 2),
                                .last = (uint64_t)statement_int(rows, 3)};
        code = visit(context, &run, err);
        if (code)
            break;
    }
    statement_reset(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}
