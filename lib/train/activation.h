// Activations: one table, one row and two small functions each.
//
// Formulas as Keras 3 has them (keras/src/activations/activations.py), a the layer's alpha:
//   leaky_relu    x above 0, a·x below                elu   x above 0, a·(exp(x) − 1) below
//   selu          1.0507·elu with a = 1.6733          gelu  x·Φ(x), exact, not the form with tanh
//   silu          x·sigmoid(x)                        mish  x·tanh(softplus(x))
//   softplus      log(1 + exp(x))                     softsign  x / (1 + |x|)
//   hard_sigmoid  relu6(x + 3) / 6
// The derivative at a kink is that of its left side, 0 at both of hard_sigmoid. Infinite inputs are NaN where
// the formula is ∞·0 or ∞/∞. Thread safety: pure functions; many numbers are shared with the calling thread's
// crew (base/crew.h), to the same bits.
#ifndef NABLA_TRAIN_ACTIVATION_H
#define NABLA_TRAIN_ACTIVATION_H

#include "math/real.h"
#include "train/spec.h"

// Where an activation is flat, for telemetry's saturated_fraction: its output (of_input: its input, where the
// output alone does not tell) is <= below or >= above, which is where its derivative falls under a hundredth
// of its largest. NaN: there is no such bound.
struct activation_bounds {
    double below, above;
    bool of_input;
};

// `alpha` is the layer's; activations without such an option ignore it.
ENGINE void activation_forward(enum activation activation, double alpha, real *output, const real *input,
                               size_t count);
// From what the forward pass took and gave. input_gradient may be output_gradient's own memory.
ENGINE void activation_backward(enum activation activation, double alpha, real *input_gradient,
                                const real *output_gradient, const real *input, const real *output,
                                size_t count);
ENGINE struct activation_bounds activation_flat(enum activation activation, double alpha);

#endif
