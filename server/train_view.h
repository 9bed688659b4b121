// What `nabla train` shows of a run: a bar on a terminal, a line an epoch (of many, now and then) elsewhere,
// and a table at the end.
#ifndef NABLA_SERVER_TRAIN_VIEW_H
#define NABLA_SERVER_TRAIN_VIEW_H

#include "train/trainer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct train_view {
    FILE *out;
    bool is_terminal;
    size_t batch_size;
    int64_t started_ms, shown_ms;
    size_t epoch_shown;
    uint64_t first_step; // where it began: after a checkpoint not at 0
};

struct train_view train_view_new(FILE *out, const struct train_spec *spec, uint64_t first_step);
void train_view_progress(struct train_view *view, const struct train_progress *progress);
void train_view_end(struct train_view *view); // leaves the bar's line

// The gradient norms of each layer at the first and the last recorded step.
void train_view_gradients(FILE *out, const struct step_record *first, const struct step_record *last);

#endif
