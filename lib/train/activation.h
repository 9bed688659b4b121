// Activations: one table, one row and two small functions each. Derivatives are taken from the output, so
// the input need not be kept. Thread safety: pure functions.
#ifndef NABLA_TRAIN_ACTIVATION_H
#define NABLA_TRAIN_ACTIVATION_H

#include "math/real.h"
#include "train/spec.h"

// Where an activation is flat, for telemetry's saturated_fraction: its output is <= below or >= above, which
// is where its derivative falls under a hundredth of its largest. NaN: there is no such bound.
struct activation_bounds {
    double below, above;
};

ENGINE void activation_forward(enum activation activation, real *output, const real *input, size_t count);
// input_gradient may be output_gradient's own memory.
ENGINE void activation_backward(enum activation activation, real *input_gradient, const real *output_gradient,
                                const real *output, size_t count);
ENGINE struct activation_bounds activation_flat(enum activation activation);

#endif
