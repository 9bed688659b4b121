// What a training step tells of itself: fills the records of base/stats.h from summaries that are taken where
// the numbers are at hand. Nothing here changes what is trained.
//
// Every layer with parameters has a record, in order from the input's side, with the network's name for it.
// A dense layer's activations are those of the block that it begins (struct layer's `observed`), dropout
// excluded; they are saturated where that block's activation is flat (activation.h).
// Every step is looked at, recorded or not: between two records the statistics are folded together (see
// base/stats.h). At its own step alone a record has figures of validation, samples_per_second,
// dead_unit_fraction, and, where histograms are taken, gradient_p5 and gradient_p95.
//
// dead_unit_fraction goes by windows of 100 steps: it is that of the newest whole window, within the first
// one that of the steps so far. What lies on either side of an activation's bounds is dead alike.
// Thread safety: one thread, as the network.
#ifndef NABLA_TRAIN_TELEMETRY_H
#define NABLA_TRAIN_TELEMETRY_H

#include "base/histogram.h"
#include "base/stats.h"
#include "train/network.h"
#include "train/report.h"
#include "train/train_state.h"

struct telemetry;

// What the trainer knows of a step beside the network itself. NaN for validation figures that are not due.
struct telemetry_step {
    uint64_t step;
    double loss, accuracy, learning_rate, noise_scale;
    double validation_loss, validation_accuracy;
    const struct report *validation; // NULL where it is not due
    bool histograms;                 // telemetry_histograms is called for this step before
    double samples_per_second;
};

// What there is to tell of a network: what makes no sense for the task is left out, and so are figures of
// validation without a part for it, and the noise scale of updates that have one batch each. `classes`: of
// the data set.
uint32_t telemetry_network_stats(enum task task, size_t classes, bool validates, bool accumulates);

// `recorded`: of telemetry_network_stats.
enum nabla_code telemetry_new(const struct network *network, uint32_t recorded, struct telemetry **ret,
                              struct nabla_error *err);
void telemetry_free(struct telemetry *telemetry);

// The weights were replaced, by those of a checkpoint: nothing is known of them any more.
void telemetry_forget(struct telemetry *telemetry);
// The same at the start of a training: nothing is gathered either.
void telemetry_restart(struct telemetry *telemetry);

// What is gathered for the next record, for a checkpoint.
void telemetry_state(struct telemetry *telemetry, struct train_state *state);

// After network_forward: looks at the outputs.
void telemetry_outputs(struct telemetry *telemetry, const struct network *network, size_t rows);
// The summaries for network_update.
struct update_summary *telemetry_updates(struct telemetry *telemetry, uint64_t step);
// After network_update: histograms of the step, valid until the next call.
const struct histogram_record *telemetry_histograms(struct telemetry *telemetry,
                                                    const struct network *network, uint64_t step);
// After network_update, in a step without a record: keeps what it was like for the next one.
void telemetry_fold(struct telemetry *telemetry, const struct telemetry_step *step);
// In a step with a record: the record, valid until the next call.
const struct step_record *telemetry_record(struct telemetry *telemetry, const struct telemetry_step *step);

#endif
