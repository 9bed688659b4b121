// Data sets: rows that describe files. The same content with the same options is the same data set.
#ifndef NABLA_STORE_DATASETS_H
#define NABLA_STORE_DATASETS_H

#include "base/token.h"
#include "store/keys.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct dataset_row {
    char id[TOKEN_ID_SIZE];
    char sha256[TOKEN_SHA256_SIZE]; // of the file: datasets/<sha256>.safetensors
    char *name;                     // "" for none
    uint64_t rows, features, classes, bytes;
    char *description; // JSON text of the parts that grow with the data: feature and class summaries
    int64_t created_ms;
    // Of a new one, not read back:
    const char *owner;   // id of the token that it was sent with, or NULL
    uint64_t owner_most; // bytes that all data sets of this owner may have, with this one; 0: any number
    uint64_t disk_most;  // and the folder; 0: as many as the disk has
};
void dataset_row_free(struct dataset_row *row);

// Keeps a data set: writes the file, the pieces one behind the other, durably unless it is there, then
// inserts the row. `row` gives everything but id and created_ms. When a row with this sha256 exists already,
// *ret gives its id and says so. A known key gives what it gave first; NABLA_INVALID when that was for
// another request, NABLA_LIMIT when its owner's data sets would be too large, NABLA_DISK_FULL when the folder
// would be: whoever looks before looks beside others who do the same.
enum nabla_code store_dataset_create(struct store *store, const struct dataset_row *row,
                                     const struct iovec *pieces, size_t count, const struct creation_key *key,
                                     struct creation *ret, struct nabla_error *err);
enum nabla_code store_dataset_get(struct store *store, const char *id, struct dataset_row **ret,
                                  struct nabla_error *err);
// As store_job_list.
enum nabla_code store_dataset_list(struct store *store, const char *cursor, size_t limit,
                                   struct dataset_row ***ret, size_t *ret_count, char ret_next[TOKEN_ID_SIZE],
                                   struct nabla_error *err);
// NABLA_CONFLICT while an unfinished job needs it.
enum nabla_code store_dataset_delete(struct store *store, const char *id, struct nabla_error *err);
// The path of its file, to be freed by the caller; NULL when memory cannot be had.
char *store_dataset_path(const struct store *store, const char *sha256);

#endif
