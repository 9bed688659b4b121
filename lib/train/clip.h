// Clipping of gradients, as Keras 3 does it (keras/src/optimizers/base_optimizer.py): by value, each number
// to ±limit; by norm, each tensor g ← g·limit / max(‖g‖, limit); by global norm, all of them with the norm of
// all. A norm that is NaN makes all NaN, and so does an infinite global one. Thread safety: pure functions.
#ifndef NABLA_TRAIN_CLIP_H
#define NABLA_TRAIN_CLIP_H

#include "math/real.h"

#include <stddef.h>

// What g is multiplied by, from Σ g².
ENGINE double clip_scale(double square_sum, double limit);
ENGINE double clip_scale_global(double square_sum, double limit);

// clipped[i] = g[i] · scale, within ±limit; infinity for no limit.
ENGINE void clip_apply(real *clipped, const real *g, real scale, real limit, size_t count);

#endif
