// Inside the store: which steps each write touched. The table `writes` has one row for each run of
// neighbouring steps of a series that a revision wrote, so that whoever follows a job finds what is new
// without an index entry for every row: batches are runs, nearly always.
//
// A run says where to look, not what is there: rows between its ends may be of another revision, and rows of
// it may have been written again since. Each row carries its revision, which decides.
#ifndef NABLA_STORE_RUNS_H
#define NABLA_STORE_RUNS_H

#include "store/database.h"
#include "store/series.h"

#include <stddef.h>

// One row that was written.
struct touch {
    int64_t series;
    uint64_t step;
};

struct run {
    uint64_t revision;
    int64_t series;
    uint64_t first, last; // inclusive
};

// Sorts the touches, which may come in any order and more than once.
void touches_sort(struct touch *touches, size_t count);

// Keeps the runs of one revision, of sorted touches.
enum nabla_code runs_write(struct database *db, int64_t job, uint64_t revision, const struct touch *touches,
                           size_t count, struct nabla_error *err);

// The job's runs in the order (revision, series, step) from that which holds the position on, or else
// follows it. A code of the visitor ends the walk and is returned. The visitor may use other statements.
typedef enum nabla_code run_visitor(void *context, const struct run *run, struct nabla_error *err);
enum nabla_code runs_walk(struct database *db, int64_t job, const struct run *from, run_visitor *visit,
                          void *context, struct nabla_error *err);

#endif
