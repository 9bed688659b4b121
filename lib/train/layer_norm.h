// Layer normalisation (Ba, Kiros and Hinton, 2016) with Keras 3's constants and meaning
// (keras/src/layers/normalization/layer_normalization.py): each row is brought to mean 0 and deviation 1
// over its columns (biased variance, epsilon inside the root), then scaled by gamma and moved by beta. There
// is nothing to remember between batches: training and use are the same.
//
// Shapes: x, y and normalised rows × columns; inverse `rows` numbers; gamma, beta and their gradients
// `columns`. Pure kernels over the caller's memory. Thread safety: pure functions.
#ifndef NABLA_TRAIN_LAYER_NORM_H
#define NABLA_TRAIN_LAYER_NORM_H

#include "math/real.h"

#include <stddef.h>

// What backward needs of forward.
struct layer_norm_cache {
    real *normalised;
    real *inverse; // 1 / √(variance + epsilon) of each row
};

ENGINE void layer_norm_forward(real *y, const real *x, const real *gamma, const real *beta,
                               const struct layer_norm_cache *cache, double epsilon, size_t rows,
                               size_t columns);
// dx may be NULL; it may be dy's own memory.
ENGINE void layer_norm_backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                                const struct layer_norm_cache *cache, size_t rows, size_t columns);

#endif
