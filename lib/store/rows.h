// Inside the store: the rows of one series, read and written, whichever table they are in.
#ifndef NABLA_STORE_ROWS_H
#define NABLA_STORE_ROWS_H

#include "store/access.h"
#include "store/history.h"
#include "store/series.h"

// The wide table of a series and its first statement; NULL for a metric that a client named.
const struct wide *rows_wide(const struct store *store, int64_t series, enum sql_id *ret_texts);

struct rows_range {
    int64_t job, series;
    uint64_t first, last; // steps, inclusive
    uint64_t revision;    // only rows of it; 0: any
    size_t limit;
    bool newest;      // from the end: descending
    uint32_t columns; // the statistics that the visitor looks at; others may be NaN
};
enum nabla_code rows_read(const struct store *store, struct database *db, const struct rows_range *range,
                          history_visitor *visit, void *context, struct nabla_error *err);

// One row of a wide series on its way in.
struct rows_record {
    int64_t job, series;
    uint64_t step, revision, steps;
    uint32_t recorded;
    const double *values;
    const double *minima, *maxima; // these where steps is above 1
    const uint32_t *nonfinite;
    bool may_replace_fold; // the job has folds
};
enum nabla_code rows_write(const struct store *store, struct database *db, const struct rows_record *record,
                           struct nabla_error *err);
// Whether a job has any fold in the table of a series.
enum nabla_code rows_folded(const struct store *store, struct database *db, int64_t job, int64_t series,
                            bool *ret, struct nabla_error *err);

#endif
