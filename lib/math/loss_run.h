// Inside the loss library's driver: a call at work and what it sums over the rows.
#ifndef NABLA_MATH_LOSS_RUN_H
#define NABLA_MATH_LOSS_RUN_H

#include "math/loss_fast.h"
#include "math/loss_row.h"

struct loss_totals {
    double loss, loss_error;       // compensated
    double squares, squares_scale; // gradient norm² = squares · squares_scale²
    size_t correct;
};

struct loss_run {
    const struct loss_plan *plan;
    const struct loss_fast_kernel *kernel;
    struct nabla_loss_result *ret;
    struct loss_totals totals;
    size_t end;                   // no row from here on is this run's
    struct loss_row row;          // the careful path's, carved when a row first needs it
    double *block;                // its memory, unless the stack's
    struct loss_fast_group group; // the short rows' scratch
};

// Computes rows first to end - 1 and adds to the run's totals.
enum nabla_code loss_run_rows(struct loss_run *run, size_t first, size_t end, struct nabla_error *err);

// Computes all rows, on up to `threads` threads.
enum nabla_code loss_run_all(struct loss_run *run, size_t threads, struct nabla_error *err);

// Frees what the run's rows have taken.
void loss_run_free(struct loss_run *run);

void loss_totals_add_loss(struct loss_totals *totals, double loss);

// Adds the squares of gradient · factor, whose largest magnitude is `max`. Far from 1 they are scaled, so
// that neither 1e200 overflows nor 1e-200 vanishes.
void loss_totals_add_squares(struct loss_totals *totals, const double *gradient, size_t classes,
                             double factor, double max);

// The same for a row whose squares are known and tame.
void loss_totals_add_square(struct loss_totals *totals, double squares);

// weight / denominator; where nothing counts the gradient is 0, but NaN for torch.
double loss_gradient_factor(const struct loss_plan *plan, double weight);

// Whether the call is one for the fast path at all.
bool loss_fast_applies(const struct loss_run *run);

// Computes row `index`, or it and some that follow, on the fast path; how many, 0 when it is for the careful
// one.
size_t loss_fast_rows(struct loss_run *run, size_t index);

#endif
