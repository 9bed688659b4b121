// Trains one network on one data set and tells of it as it goes.
//
// The same spec, data, seed and kernels (matrix_kernel_name, and the vectors of math/vectorised.h) give the
// same bits; recording more or less changes none of them. Initial weights, shuffling and dropout draw from
// streams of their own.
//
// Records: every layer with parameters has one, named by type and number ("dense_1", "batch_norm_1",
// "dense_2"), with its index in that order. A dense layer's activations are the outputs of its block: of the
// last activation before the next dense layer, else of the last batch_norm, else its own; dropout's zeros are
// not counted. A batch_norm's are its own outputs. The loss of evaluation and validation is the spec's own,
// class weights included (unlike Keras, which leaves them out of validation). Thread safety: one trainer, one
// thread; trainers share nothing. Ownership: the trainer borrows spec and data set (it makes its own
// standardised copy of the rows).
//
// With use_ema, validation, the result and the model are those of the averaged weights (Keras validates the
// others, and takes the averages when training ends).
#ifndef NABLA_TRAIN_TRAINER_H
#define NABLA_TRAIN_TRAINER_H

#include "base/histogram.h"
#include "base/stats.h"
#include "data/dataset.h"
#include "train/input_range.h"
#include "train/spec.h"

struct trainer;

// Where a run stands, told with each recorded step and at each end of an epoch.
struct train_progress {
    uint64_t step, steps;
    size_t epoch, epochs;  // epoch counts the finished ones
    double loss, accuracy; // of the newest batch
    double validation_loss,
        validation_accuracy; // of the newest finished epoch; NaN before, or without a split
};

// What the caller hears. Any function may be NULL. Returning anything but NABLA_OK ends the run with that
// code.
struct train_observer {
    void *context;
    // Every recorded step: 1, then each multiple of telemetry_every, each epoch's last, the last of all and
    // one whose loss ends the run. Steps in between are folded into the record that follows.
    // Validation figures stand in the record of the epoch's last step. The record is borrowed for the call.
    enum nabla_code (*record)(void *context, const struct step_record *record,
                              const struct train_progress *progress, struct nabla_error *err);
    // Histograms of every layer at step 1 and each multiple of histograms_every, before the step's record
    // where it has one. Borrowed for the call.
    enum nabla_code (*histograms)(void *context, const struct histogram_record *record,
                                  struct nabla_error *err);
    // Before every step: return NABLA_CANCELLED (or any other code) to stop. The trainer's state is whole
    // here: it can be saved within the call, or after a run that ended by it.
    enum nabla_code (*poll)(void *context, struct nabla_error *err);
};

// Why a run ended before its last epoch.
enum train_stop { STOP_NONE, STOP_EARLY, STOP_TIME_LIMIT };

// The figures of a finished run, of the whole training and validation parts with dropout off.
struct report;
struct train_result {
    uint64_t steps;
    size_t epochs;
    enum train_stop stop;
    size_t best_epoch;                          // whose model it is, from 1; 0: the last one's
    const struct report *training, *validation; // the trainer's; NULL without a validation part
    double loss, accuracy;
    double validation_loss, validation_accuracy; // NaN without a validation part
    double seconds;                              // of training, runs before a checkpoint included
};

// What the bits of a run depend on beside spec and data: the kernels that this processor gets,
// threads, and the program.
enum { TRAINER_PLATFORM_SIZE = 128 };
void trainer_platform(char ret[TRAINER_PLATFORM_SIZE]);

// Which statistics the trainer records: bit masks over network_stats and layer_stats.
uint32_t trainer_network_stats(const struct train_spec *spec, const struct dataset *dataset);
uint32_t trainer_layer_stats(void);

// `spec` has been completed for `dataset`.
enum nabla_code trainer_new(const struct train_spec *spec, const struct dataset *dataset,
                            struct trainer **ret, struct nabla_error *err);
void trainer_free(struct trainer *trainer);

// NABLA_DIVERGED where the spec says stop_on_nan and a step's loss is no finite number; the step is recorded.
// From where the trainer stands, the start or a restored state, to the end. A run that `poll` ended goes on
// with the next call.
enum nabla_code trainer_run(struct trainer *trainer, const struct train_observer *observer,
                            struct train_result *ret, struct nabla_error *err);

uint64_t trainer_step(const struct trainer *trainer); // updates done

// Of the training rows. Not within a run: it uses the network's room for a batch.
struct input_range trainer_inputs(struct trainer *trainer);

// All that the rest of the run depends on, where it lives; valid until the trainer is freed.
struct train_state;
void trainer_state(struct trainer *trainer, struct train_state *ret);
// The rows of trainer_state now hold what those of a trainer of the same spec and data held: goes on from
// there, to the same bits, recorded figures included (wall-clock values excepted).
void trainer_restored(struct trainer *trainer);
// Back to the start, whatever the rows hold.
void trainer_restart(struct trainer *trainer);

// Initial weights from a file instead of the initialisers'; before the first step. Errors as model_take's.
struct safetensors;
enum nabla_code trainer_load(struct trainer *trainer, const struct safetensors *weights,
                             struct nabla_error *err);

// The trained parameters by name ("dense_1.weight": inputs × units as stored, "dense_1.bias",
// "batch_norm_1.gamma", "…running_mean", …), valid until the trainer changes or is freed.
struct tensor;
size_t trainer_tensor_count(const struct trainer *trainer);
void trainer_tensors(const struct trainer *trainer, struct tensor *ret);

#endif
