// Inside the store: aggregates of many rows, kept so that a long history can be told in few points.
//
// The table `rollups` has at most one row for each (job, series, level, bucket): the rows whose steps have
// the same quotient by 64^level. Its data is NULL once a row in there was written: stale. A row with data is
// exact, always: whoever writes a history row makes the buckets above it stale in the same transaction. A
// bucket without a row has too few rows to be worth one, or was not built yet; readers go one level deeper
// for it, in the end to the rows themselves. Stale rows are built again when there is time (rollup_build).
//
// Invariant: above a stale row every level has a stale row.
#ifndef NABLA_STORE_ROLLUP_H
#define NABLA_STORE_ROLLUP_H

#include "store/access.h"
#include "store/aggregate.h"
#include "store/runs.h"

enum { ROLLUP_LEVELS = 4, ROLLUP_SHIFT = 6, ROLLUP_ROWS_LEAST = 32 };

// What a bucket holds. Aggregates stand in the order of the program's statistics; of a metric that a client
// named there is one.
struct rollup {
    uint64_t rows, steps; // rows, and the steps that they stand for
    struct aggregate columns[WIDE_STATS];
};
void rollup_merge(struct rollup *rollup, const struct rollup *other, uint32_t columns);

// The rows of a series in a range of steps, in pieces: rows alone or whole buckets, in the order of steps.
// A bucket that is handed over lies within one of `width` steps (a power of two), counted from step 0.
struct rollup_range {
    int64_t job, series;
    uint64_t first, last; // inclusive
    unsigned shift;       // width is 1 << shift
    uint32_t columns;     // only these are needed; 0: all
};
typedef enum nabla_code rollup_visitor(void *context, uint64_t step, const struct rollup *piece,
                                       struct nabla_error *err);
enum nabla_code rollup_walk(const struct store *store, struct database *db, const struct rollup_range *range,
                            rollup_visitor *visit, void *context, struct nabla_error *err);

// Makes the buckets of sorted touches stale.
enum nabla_code rollup_touch(struct database *db, int64_t job, const struct touch *touches, size_t count,
                             struct nabla_error *err);

// Builds up to `most` stale buckets within the open transaction, the lowest levels first; *ret says how many.
enum nabla_code rollup_build(const struct store *store, struct database *db, size_t most, size_t *ret,
                             struct nabla_error *err);

#endif
