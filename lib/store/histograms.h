// Histograms over time: one row per (job, layer, kind, step), its counts as a blob of a few dozen bytes.
// They are written with their batch (history.h): the same transaction, the same revision, and a row that is
// written again is replaced.
#ifndef NABLA_STORE_HISTOGRAMS_H
#define NABLA_STORE_HISTOGRAMS_H

#include "base/histogram.h"
#include "store/jobs.h"

// One to be written.
struct histogram_entry {
    uint64_t step;
    unsigned layer;   // at most HISTORY_LAYER_MAX
    const char *name; // of the layer
    enum histogram_kind kind;
    struct histogram histogram;
};

// What to read, in the order (revision, layer, kind, step). A cursor names the last row seen: `place` is
// layer · HISTOGRAM_KIND_COUNT + kind.
struct histogram_query {
    uint64_t after_revision, after_step; // exclusive, with after_place
    unsigned after_place;
    bool has_layer;
    unsigned layer;
    int kind;                        // -1: every one
    uint64_t since_step, until_step; // inclusive; 0 and UINT64_MAX for all
    size_t limit;                    // most rows
};

struct histogram_row {
    uint64_t revision, step;
    unsigned layer;
    enum histogram_kind kind;
    const struct histogram *histogram; // borrowed
};

// As store_history_layers.
enum nabla_code store_histograms(struct store *store, const char *job_id, const struct histogram_query *query,
                                 enum nabla_code (*visit)(void *context, const struct histogram_row *row),
                                 void *context, uint64_t *ret_revision, struct nabla_error *err);

// The blob: from the first bin that is not empty to the last, each count in base 128, low digits first, the
// high bit telling that more follow; before them the index of the first. An empty histogram is an empty blob.
enum { HISTOGRAM_BLOB_MAX = 1 + HISTOGRAM_BINS * 10 };
size_t histogram_pack(const struct histogram *histogram, unsigned char ret[HISTOGRAM_BLOB_MAX]);
// False: it is none. `nonfinite` is left alone.
bool histogram_unpack(const unsigned char *bytes, size_t size, struct histogram *ret);

// For history.c, within its transaction.
struct database;
enum nabla_code histogram_write(struct database *db, int64_t job, uint64_t revision,
                                const struct histogram_entry *entry, struct nabla_error *err);

#endif
