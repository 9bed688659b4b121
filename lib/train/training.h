// Where a training stands: every number of the trainer itself that later steps depend on, and nothing else,
// so that a checkpoint can keep it whole. Each has a row in training_fields, and a test holds that the rows
// cover every byte of the struct: fields are 8 bytes wide (uint64_t or double, flags too) and leave no holes.
// What belongs to layers and their optimiser stands in struct network's `state`.
#ifndef NABLA_TRAIN_TRAINING_H
#define NABLA_TRAIN_TRAINING_H

#include "train/noise_scale.h"
#include "train/schedule.h"
#include "train/stopping.h"
#include "train/train_state.h"
#include "train/trainer.h"

struct training {
    struct train_progress progress;
    struct schedule_state schedule;
    struct stopping_state stopping;
    struct noise_scale noise;
    double epoch_loss, epoch_right, epoch_counted, epoch_rows; // sums over this epoch's batches
    double seconds;                                            // of the runs before this one
    double learning_rate;                                      // of the newest step
    uint64_t batch;                                            // steps done of this epoch
    uint64_t order_at;   // position of the shuffle's stream where this epoch's order begins
    uint64_t dropout_at; // position of the dropout's stream
};

struct training_field {
    const char *name;
    enum tensor_dtype dtype; // TENSOR_I64 or TENSOR_F64
    size_t offset, count;
};
extern const struct training_field training_fields[];
extern const size_t training_field_count;

void training_state(struct training *training, struct train_state *state); // adds the rows

#endif
