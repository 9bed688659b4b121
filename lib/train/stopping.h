// Early stopping, as Keras 3 does it (keras/src/callbacks/early_stopping.py): whether an epoch is the best so
// far, and whether none has been for `patience` epochs. Thread safety: pure functions.
#ifndef NABLA_TRAIN_STOPPING_H
#define NABLA_TRAIN_STOPPING_H

#include "train/spec.h"

// Part of a checkpoint; begins as {0}.
struct stopping_state {
    double best, waited;
    uint64_t best_epoch; // from 1; 0: no epoch was looked at
    uint64_t is_over;
};

// After epoch number `epoch`, from 1, whose monitored figure is `value`. Returns whether its model is the one
// to keep: the best so far, or the first one looked at.
bool stopping_epoch(const struct early_stopping *stopping, struct stopping_state *state, uint64_t epoch,
                    double value);

#endif
