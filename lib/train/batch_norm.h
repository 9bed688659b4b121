// Batch normalisation (Ioffe and Szegedy, ICML 2015) with Keras 3's constants and meaning
// (keras/src/layers/normalization/batch_normalization.py): each column is brought to mean 0 and deviation 1
// over the batch's rows, then scaled by gamma and moved by beta. The running statistics move by
// running = momentum · running + (1 - momentum) · batch with the biased variance, and stand in for the
// batch's where the network is only used.
//
// Shapes: x, y and normalised rows × columns; everything else `columns` numbers. Pure kernels over the
// caller's memory. Thread safety: pure functions; the columns of a large batch are shared with the calling
// thread's crew (base/crew.h).
#ifndef NABLA_TRAIN_BATCH_NORM_H
#define NABLA_TRAIN_BATCH_NORM_H

#include "math/real.h"

#include <stddef.h>

// What backward needs of forward, and room for sums; one backward uses it up.
struct batch_norm_cache {
    double *sums;     // 2 × columns
    real *mean;       // of the batch
    real *inverse;    // 1 / √(variance + epsilon)
    real *normalised; // rows × columns
};

struct batch_norm_running {
    real *mean, *variance;
};

ENGINE void batch_norm_forward(real *y, const real *x, const real *gamma, const real *beta,
                               const struct batch_norm_cache *cache, const struct batch_norm_running *running,
                               double momentum, double epsilon, size_t rows, size_t columns);
// With the running statistics; changes nothing but y.
ENGINE void batch_norm_infer(real *y, const real *x, const real *gamma, const real *beta,
                             const struct batch_norm_cache *cache, const struct batch_norm_running *running,
                             double epsilon, size_t rows, size_t columns);
// dx may be NULL; it may be dy's own memory.
ENGINE void batch_norm_backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                                const struct batch_norm_cache *cache, size_t rows, size_t columns);

#endif
