// The checkpoint that a client which trains by itself keeps here: one file a job, the newest, in the job's
// folder. The server looks at none of its bytes. (Our own worker keeps its checkpoints itself:
// train/checkpoint.h.)
#ifndef NABLA_STORE_CHECKPOINTS_H
#define NABLA_STORE_CHECKPOINTS_H

#include "base/token.h"
#include "store/history.h"
#include "store/store.h"

struct checkpoint_row {
    unsigned attempt; // that has sent it
    uint64_t step, bytes;
    char sha256[TOKEN_SHA256_SIZE];
};

// Takes the file at `path`, whose content is synced to disk already, by another link; the one before it goes.
// Durable, and told in the job's log. Another attempt than the current one, or a job that is not running:
// NABLA_CONFLICT.
enum nabla_code store_checkpoint_put(struct store *store, const char *job, const struct checkpoint_row *row,
                                     const char *path, struct history_ack *ret, struct nabla_error *err);

// *ret_path is for the caller to free. NABLA_NOT_FOUND: no such job, or it has none.
enum nabla_code store_checkpoint_get(struct store *store, const char *job, struct checkpoint_row *ret,
                                     char **ret_path, struct nabla_error *err);

#endif
