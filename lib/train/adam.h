// Adam (adam and adamw alike) together with what telemetry wants to know of the update, in one pass with
// AVX-512: what the step is like is found out while the divider is busy with the step itself. The same
// kernel runs where nothing is to be told, so that telling changes no bit of what is trained.
//
// The sums are in double, in 16 lanes that are added in a fixed order. Other processors and optimisers go by
// optimizer.h and summary.h, whose pass by pass is this one's oracle.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_TRAIN_ADAM_H
#define NABLA_TRAIN_ADAM_H

#include "train/network.h"

bool adam_is_fused(const struct optimizer_step *step);

// Updates `range` (its `change` is not written) and adds to the summary, unless that is NULL.
void adam_apply_fused(const struct optimizer_step *step, const struct optimizer_range *range,
                      struct update_summary *summary);

// Adds to Σ w² what adam_apply_fused would find of these numbers: the same bits.
double adam_square_sum(const float *w, size_t count);

#endif
