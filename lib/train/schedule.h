// Learning rates, step by step: one table, one row and one small function each.
//
// With r the optimiser's learning_rate, n the steps since the warm-up, from 0, D decay_steps, p = n/D:
//   constant         r
//   step             r·decay_rate^⌊p⌋
//   exponential      r·decay_rate^p; staircase: of ⌊p⌋
//   inverse_time     r / (1 + decay_rate·p); staircase: of ⌊p⌋
//   polynomial       (r − end)·(1 − min(p, 1))^power + end; cycle: D·⌈p⌉ in place of D
//   cosine           r·((1 − alpha)·(1 + cos π·min(p, 1))/2 + alpha)
//   cosine_restarts  the same over periods of D, D·t_mul, D·t_mul², …, the cosine's part times m_mul each
//   time one_cycle        by half cosines from r/div_factor up to r, over pct_start of D, and down to
//                    r/(div_factor·final_div_factor)
//   reduce_on_plateau  r, times `factor` whenever the validation loss has not fallen by min_delta for
//                    `patience` epochs, down to min_learning_rate; `cooldown` epochs are not counted after
//                    that
// as Keras 3 (keras/src/optimizers/schedules/, callbacks/reduce_lr_on_plateau.py) and, step and one_cycle,
// PyTorch (torch/optim/lr_scheduler.py) have them. The first warmup_steps go in a straight line from
// warmup_initial_learning_rate to where the schedule starts. Thread safety: pure functions.
#ifndef NABLA_TRAIN_SCHEDULE_H
#define NABLA_TRAIN_SCHEDULE_H

#include "train/spec.h"

// What a schedule keeps between epochs: part of a checkpoint.
struct schedule_state {
    double learning_rate, best; // reduce_on_plateau
    double waited, cooldown;    // epochs
};

struct schedule_state schedule_start(const struct optimizer_spec *spec);
// The learning rate of a step, counted from 1.
double schedule_rate(const struct optimizer_spec *spec, const struct schedule_state *state, uint64_t step);
// After an epoch that was validated.
void schedule_epoch(const struct optimizer_spec *spec, struct schedule_state *state, double validation_loss);

// Whether decay_steps, where it is not given, is the length of the job; the others want it.
bool schedule_spans_job(enum schedule_type type);
bool schedule_needs_decay_steps(enum schedule_type type);

#endif
