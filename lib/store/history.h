// Histories: one wide row per (job, step) for the network and per (job, layer, step) for each layer. Writing
// the same key again replaces what the new record records and keeps the rest, so a batch that is sent twice
// counts once; NaN is kept (as NULL: which statistics were recorded stands with each row).
#ifndef NABLA_STORE_HISTORY_H
#define NABLA_STORE_HISTORY_H

#include "base/stats.h"
#include "store/jobs.h"

// One batch of a job's attempt, written in one transaction: revision + 1, progress and latest updated.
// Another attempt than the current one, or a job that is not running: NABLA_CONFLICT. Records may lack the
// network's part (recorded == 0) or layers. `progress` NULL leaves it. *ret tells where the job stands
// afterwards. An index of a layer is at most HISTORY_LAYER_MAX.
enum { HISTORY_LAYER_MAX = 65535 };
struct history_batch {
    unsigned attempt;
    const struct step_record *records;
    size_t record_count;
    const struct job_progress *progress;
};
struct history_ack {
    uint64_t revision;
    enum job_request requested;
};
enum nabla_code store_history_append(struct store *store, const char *job_id,
                                     const struct history_batch *batch, struct history_ack *ret,
                                     struct nabla_error *err);

// What to read. Rows come in the order (revision, layer, step) when `after` is set (> 0 or has_after), else
// (layer, step). A cursor names the last row seen.
struct history_cursor {
    uint64_t revision, step;
    unsigned layer;
};
struct history_query {
    bool has_after;
    struct history_cursor after; // exclusive
    bool has_layer;
    unsigned layer;
    uint64_t since_step, until_step; // inclusive; 0 and UINT64_MAX for all
    size_t limit;                    // most rows
};

// Visitors get each row; values follow the table order (NaN where not recorded or NaN). A code other than
// NABLA_OK ends the walk and is returned. A visitor must not call the store.
struct history_row {
    uint64_t revision, step;
    unsigned layer;       // 0 for the network's rows
    const double *values; // NETWORK_STAT_COUNT or LAYER_STAT_COUNT
    uint32_t recorded;    // the row's own mask
};
typedef enum nabla_code history_visitor(void *context, const struct history_row *row);

// *ret_revision is the job's revision in the same snapshot as the rows.
enum nabla_code store_history_metrics(struct store *store, const char *job_id,
                                      const struct history_query *query, history_visitor *visit,
                                      void *context, uint64_t *ret_revision, struct nabla_error *err);
enum nabla_code store_history_layers(struct store *store, const char *job_id,
                                     const struct history_query *query, history_visitor *visit, void *context,
                                     uint64_t *ret_revision, struct nabla_error *err);

// The names of a job's layers by index: *ret is an array of *ret_count texts ("" for an index that no layer
// has); free each and the array. Without layers *ret may be NULL.
enum nabla_code store_history_layer_names(struct store *store, const char *job_id, char ***ret,
                                          size_t *ret_count, struct nabla_error *err);

#endif
