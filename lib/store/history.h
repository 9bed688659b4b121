// Histories: one wide row per (job, step) for the network and per (job, layer, step) for each layer. Writing
// the same key again replaces what the new record records and keeps the rest, so a batch that is sent twice
// counts once; NaN is kept (as NULL: which statistics were recorded stands with each row).
#ifndef NABLA_STORE_HISTORY_H
#define NABLA_STORE_HISTORY_H

#include "base/stats.h"
#include "store/histograms.h"
#include "store/jobs.h"

// One batch of a job's attempt, written in one transaction: revision + 1, progress and latest updated.
// Another attempt than the current one, or a job that is not running: NABLA_CONFLICT. Records may lack the
// network's part (recorded == 0) or layers. `progress` NULL leaves it. *ret tells where the job stands
// afterwards. An index of a layer is at most HISTORY_LAYER_MAX.
//
// Metrics that the program does not know by name are `named`: a client's own, which only jobs of executor
// client may have (NABLA_INVALID), up to `names_most` of them (NABLA_LIMIT; 0 stands for 1,000).
enum { HISTORY_LAYER_MAX = 65535, HISTORY_NAME_MAX = 100 };
struct history_named {
    const char *name; // letters, digits and _ . - / : @
    size_t count;
    const uint64_t *steps;
    const double *values;
};
struct history_batch {
    unsigned attempt;
    const struct step_record *records;
    size_t record_count;
    const struct history_named *named;
    size_t named_count, names_most;
    const struct histogram_entry *histograms;
    size_t histogram_count;
    const struct job_progress *progress;
    bool is_unsynced; // a power cut may undo it until store_sync, or another write that is not so
};
struct history_ack {
    uint64_t revision;
    enum job_request requested;
};
enum nabla_code store_history_append(struct store *store, const char *job_id,
                                     const struct history_batch *batch, struct history_ack *ret,
                                     struct nabla_error *err);

// What to read. Rows come in the order (revision, place, step) when `after` is set (has_after, or
// > 0 without has_place), else
// (place, step). A place is a layer's index; among the network's, 0 is the wide row and a metric that a
// client named has its number. A cursor names the last row seen.
struct history_cursor {
    uint64_t revision, step;
    unsigned layer;
};
struct history_query {
    bool has_after;
    struct history_cursor after; // exclusive
    bool has_place; // in the order of steps: behind after's layer and step, whatever the revision
    bool has_layer;
    unsigned layer;
    uint64_t since_step, until_step; // inclusive; 0 and UINT64_MAX for all
    size_t limit;                    // most rows
    size_t newest;                   // not 0: of each layer or metric only so many, the newest by step
    uint32_t columns;                // the statistics that are looked at, others may be NaN; 0: all
    bool is_selective;               // of the network only what is told by these:
    bool without_network;            // not the wide rows
    const unsigned *named;           // the numbers of the metrics that a client named
    size_t named_count;
    // Not 0: where a series has more rows than this, buckets of steps come in the place of rows, of all
    // series alike: [i·width, (i + 1)·width), width the smallest power of two that makes no more than so many
    // of them. Only in the order of steps, without has_place, `newest` and `limit`.
    size_t max_points;
};

// What a value was over the steps that a row or a bucket stands for. Extremes are those of the finite ones.
struct history_fold {
    uint64_t count, nonfinite; // steps with a finite value, and with NaN or an infinity
    double min, max;           // NaN while count is 0
};

// Visitors get each row; values follow the table order (NaN where not recorded or NaN). A code other than
// NABLA_OK ends the walk and is returned. A visitor must not call the store.
struct history_row {
    uint64_t revision, step;
    unsigned layer;                   // the place
    bool is_named;                    // a metric that a client named: one value
    const double *values;             // NETWORK_STAT_COUNT or LAYER_STAT_COUNT
    uint32_t recorded;                // the row's own mask
    uint64_t steps;                   // that the row stands for
    uint64_t width;                   // of a bucket, whose first step is `step`; 0: a row
    const struct history_fold *folds; // one for each value, of a bucket or where steps is above 1; else NULL
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

// The same for the metrics that a client named, whose numbers start at 1.
enum nabla_code store_history_metric_names(struct store *store, const char *job_id, char ***ret,
                                           size_t *ret_count, struct nabla_error *err);

#endif
