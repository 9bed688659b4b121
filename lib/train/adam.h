// Adam (adam and adamw alike) together with what telemetry wants to know of the update, block by
// block with AVX-512 or AVX2: what the step is like is found out while the divider is busy with the step
// itself. The same kernel runs where nothing is to be told, so that telling changes no bit of what is
// trained.
//
// The sums are those that summary.h finds of the same numbers, to the same bits. Other processors and
// optimisers go by optimizer.h and summary.h, whose pass by pass is this one's oracle.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_TRAIN_ADAM_H
#define NABLA_TRAIN_ADAM_H

#include "train/network.h"

// Updates `range` (its `change` is not written) and adds to the summary, unless that is NULL.
typedef void adam_kernel(const struct optimizer_step *step, const struct optimizer_range *range,
                         struct update_summary *summary);

// This processor's, or NULL.
adam_kernel *adam_avx2(void);
adam_kernel *adam_avx512(void);

// The one for a step, or NULL where it is not Adam's or there is none.
adam_kernel *adam_fused(const struct optimizer_step *step);

#endif
