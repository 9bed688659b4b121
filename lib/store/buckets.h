// Inside the store: a long history told in few points. First each series is measured, then each is told, in
// buckets of one width (history.h).
#ifndef NABLA_STORE_BUCKETS_H
#define NABLA_STORE_BUCKETS_H

#include "store/access.h"
#include "store/history.h"

struct buckets {
    const struct store *store;
    struct database *db;
    int64_t job;
    uint64_t first, last; // the steps that are asked for, inclusive
    uint32_t columns;     // 0: all
    size_t most;          // points of a table
    bool are_joined;      // all series make one table

    bool are_needed;        // a table has more rows than that
    bool has_steps;         // a row was seen:
    uint64_t least, newest; // the steps that there are
    uint64_t *steps;        // of joined series, each once, ascending; the caller frees them
    size_t step_count;
};

enum nabla_code buckets_measure(struct buckets *buckets, int64_t series, struct nabla_error *err);
enum nabla_code buckets_tell(const struct buckets *buckets, int64_t series, history_visitor *visit,
                             void *context, struct nabla_error *err);

#endif
