// What the kernels of batch_norm.h do for wide vectors, columns from `first` to `end` of a batch at a time:
// columns know nothing of each other, so that threads may share them. batch_norm.c's own passes, which any
// processor can do, are their oracle.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_TRAIN_BATCH_NORM_PASSES_H
#define NABLA_TRAIN_BATCH_NORM_PASSES_H

#include "train/batch_norm.h"

struct batch_norm_forward_pass {
    float *y;
    const float *x, *gamma, *beta;
    struct batch_norm_cache cache; // of which sums and mean are left alone
    struct batch_norm_running running;
    double momentum, epsilon;
    size_t rows, columns;
};

struct batch_norm_backward_pass {
    float *dx, *dgamma, *dbeta; // dx may be NULL
    const float *dy, *gamma;
    struct batch_norm_cache cache; // as forward left it
    size_t rows, columns;
};

struct batch_norm_passes {
    void (*forward)(const struct batch_norm_forward_pass *pass, size_t first, size_t end);
    void (*backward)(const struct batch_norm_backward_pass *pass, size_t first, size_t end);
};

// This processor's, or NULL.
const struct batch_norm_passes *batch_norm_avx2(void);
const struct batch_norm_passes *batch_norm_avx512(void);

#endif
