// Inside the trainer: what it holds, and its parts.
#ifndef NABLA_TRAIN_TRAINER_RUN_H
#define NABLA_TRAIN_TRAINER_RUN_H

#include "base/crew.h"
#include "train/model.h"
#include "train/network.h"
#include "train/objective.h"
#include "train/report.h"
#include "train/telemetry.h"
#include "train/train_data.h"
#include "train/training.h"

struct trainer {
    const struct train_spec *spec;
    struct crew *crew; // who shares the steps
    struct train_data *data;
    struct network *network;
    struct telemetry *telemetry;
    struct model *model; // the tensors' names
    struct objective *objective;
    struct random shuffle;
    struct report_builder *reports[2]; // of a finished run: training, validation
    struct training training;
    int64_t started_ns; // clock of the run under way; 0 for none
    int64_t busy_ns;    // training since the last record
    size_t busy_rows;
};

static inline size_t size_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Why the run is over before its last epoch; STOP_NONE where it is not.
enum train_stop trainer_stop(const struct trainer *trainer);

// After the last step of an epoch: validates, tells the schedule and early stopping.
enum nabla_code trainer_end_epoch(struct trainer *trainer, struct nabla_error *err);
// After the last step of all: the model is that of the averages or of the best epoch, and is reported on. All
// of *ret but its seconds.
enum nabla_code trainer_end_run(struct trainer *trainer, struct train_result *ret, struct nabla_error *err);

#endif
