// Data sets between memory and the store: what jobs and uploads share.
#ifndef NABLA_API_DATASETS_KEEP_H
#define NABLA_API_DATASETS_KEEP_H

#include "api/api.h"
#include "data/dataset.h"
#include "store/datasets.h"

struct dataset_limits dataset_limits_of(const struct api_limits *limits);

// Who keeps a data set, and how much they may: see struct dataset_row.
struct dataset_owner {
    const char *id;
    uint64_t bytes_most, disk_most;
};

// Writes the data set as a file of the store, described. The same rows and names are the same data set.
// `key` may be NULL: see store_dataset_create; `owner`, too: nobody, who may keep anything.
enum nabla_code dataset_keep(struct store *store, const struct dataset *dataset, const char *name,
                             const struct dataset_owner *owner, const struct creation_key *key,
                             struct creation *ret, struct nabla_error *err);

// Reads a kept data set; the caller frees it. NABLA_NOT_FOUND: no such id.
enum nabla_code dataset_load(struct store *store, const char *id, const struct dataset_limits *limits,
                             struct dataset **ret, struct nabla_error *err);

// A data set's row as JSON; the features' summaries, which grow with the data, only where asked.
void dataset_encode(const struct dataset_row *row, bool summaries, struct buffer *ret);

#endif
