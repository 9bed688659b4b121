// Dense layer: output = input · weight + bias. Pure kernels over the caller's memory.
//
// Shapes: input rows × inputs, weight inputs × units, bias units, output rows × units. The gradients of
// weight and bias are written, not added to. `bias` and its gradient may be NULL: no bias.
// `input_gradient` may be NULL where nobody asks for it. Thread safety: pure functions.
#ifndef NABLA_TRAIN_DENSE_H
#define NABLA_TRAIN_DENSE_H

#include "math/real.h"

#include <stddef.h>

ENGINE void dense_forward(real *output, const real *input, const real *weight, const real *bias, size_t rows,
                          size_t inputs, size_t units);
ENGINE void dense_backward(real *input_gradient, real *weight_gradient, real *bias_gradient,
                           const real *output_gradient, const real *input, const real *weight, size_t rows,
                           size_t inputs, size_t units);

#endif
