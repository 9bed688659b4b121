// What a training must remember to go on where it stopped: one table, a row for each piece, which the parts
// of the trainer fill in and a checkpoint writes and reads back. A piece that is in no row is lost when a job
// is killed: whoever adds something that later steps depend on adds its row (trainer_state in trainer.c; the
// numbers of struct training have theirs in training.c).
// Thread safety: one table, one thread.
#ifndef NABLA_TRAIN_TRAIN_STATE_H
#define NABLA_TRAIN_TRAIN_STATE_H

#include "data/safetensors.h"

struct train_state_row {
    const char *name; // of the tensor in a checkpoint; static
    enum tensor_dtype dtype;
    void *data; // where it lives: borrowed
    size_t count;
};

enum { TRAIN_STATE_ROWS_MAX = 64 };
struct train_state {
    struct train_state_row rows[TRAIN_STATE_ROWS_MAX];
    size_t count;
};

// Adds a row. No more than TRAIN_STATE_ROWS_MAX: an assertion holds it.
void train_state_add(struct train_state *state, const char *name, enum tensor_dtype dtype, void *data,
                     size_t count);
size_t train_state_row_bytes(const struct train_state_row *row);

#endif
