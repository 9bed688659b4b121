// Inside the store: metrics that a client named itself, in a narrow table: custom_rows has a row for each
// (job, metric, step); metric_names has their names.
#ifndef NABLA_STORE_NAMED_H
#define NABLA_STORE_NAMED_H

#include "store/access.h"
#include "store/history.h"
#include "store/runs.h"

// The number of a job's metric, which gets one when it is new: NABLA_LIMIT when the job has `most` already,
// NABLA_INVALID when the name is none that a metric may have.
enum nabla_code named_number(struct database *db, int64_t job, const char *name, size_t most, int64_t *ret,
                             struct nabla_error *err);
enum nabla_code named_write(struct database *db, int64_t job, int64_t metric, uint64_t revision,
                            const struct points *points, struct nabla_error *err);

// Up to the limit rows of a metric in the order of steps; `revision` 0: of any.
struct named_range {
    int64_t job, metric;
    uint64_t first, last, revision;
    size_t limit;
    bool newest; // from the end: descending
};
typedef enum nabla_code named_visitor(void *context, uint64_t revision, uint64_t step, double value);
enum nabla_code named_read(struct database *db, const struct named_range *range, named_visitor *visit,
                           void *context, struct nabla_error *err);

#endif
