// Optimisers: one table, one row and two small functions each.
//
// Formulas as Keras 3 has them (keras/src/optimizers/….py); with g the gradient, t the step from 1, r the
// learning rate, ε inside a root where it is written there:
//   sgd       m ← momentum·m − r·g;  w ← w + m, with Nesterov w ← w + momentum·m − r·g
//   adam      m ← m + (1−β₁)(g−m);  v ← v + (1−β₂)(g²−v);  w ← w − α·m / (√v + ε_t)
//             with α = r·√(1−β₂ᵗ)/(1−β₁ᵗ), and ε_t = ε beside the uncorrected √v (Keras' "ε hat") or
//             ε_t = ε·√(1−β₂ᵗ), which is ε beside the corrected √v̂ (Kingma and Ba, ICLR 2015, Algorithm 1)
//   adamw     adam; its weight decay is not 0 by default (Loshchilov and Hutter, ICLR 2019)
//   amsgrad   adam with the largest v so far (Reddi et al., ICLR 2018)
//   nadam     u_t = β₁(1 − 0.96ᵗ/2), P_t = u_1⋯u_t;  m, v as adam;  w ← w − r·m̂ / (√(v/(1−β₂ᵗ)) + ε)
//             with m̂ = u_(t+1)·m/(1−P_(t+1)) + (1−u_t)·g/(1−P_t) (Dozat, ICLR workshop 2016)
//   rmsprop   v ← ρv + (1−ρ)g²;  centered: a ← ρa + (1−ρ)g, else a = 0;
//             m ← momentum·m + r·g/√(v − a² + ε);  w ← w − m
//   adagrad   s ← s + g², from initial_accumulator_value on;  w ← w − r·g/√(s + ε)
//   adadelta  s ← ρs + (1−ρ)g²;  d = g·√(e + ε)/√(s + ε);  e ← ρe + (1−ρ)d²;  w ← w − r·d
//   adamax    m as adam;  u ← max(β₂u, |g|);  w ← w − r·m / ((1−β₁ᵗ)(u + ε))
//   lion      w ← w − r·sign(β₁m + (1−β₁)g);  m ← β₂m + (1−β₂)g (Chen et al., NeurIPS 2023)
// Before any of them w ← w − r·weight_decay·w, for biases and batch_norm's parameters as well.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_TRAIN_OPTIMIZER_H
#define NABLA_TRAIN_OPTIMIZER_H

#include "math/real.h"
#include "train/network_size.h"

#include <stddef.h>

// The numbers of one step, the same for all parameters; made in double from the step's number and its
// learning rate alone.
struct optimizer_step {
    enum optimizer_type type;
    bool nesterov, centered;
    real keep; // 1 − r·weight_decay
    real rate; // with the corrections that do not depend on the parameter
    real momentum;
    real rate_gradient;              // nadam: of g itself
    real complement_1, complement_2; // 1 − β
    real rho, complement_rho;        // adamax: rho is β₂
    real epsilon;
    real ema_momentum, ema_complement; // of the averaged weights; the first step's are the weights themselves
    bool ema_overwrites;
    double clip_value, clip_norm, global_clip_norm; // the spec's; network_update clips
};

ENGINE struct optimizer_step optimizer_step_new(const struct optimizer_spec *spec, double learning_rate,
                                                uint64_t step);

// Some parameters: `count` of each. `slots` holds what the optimiser keeps, 0 at the start, NULL beyond what
// it needs; `change` takes the parameters' change.
struct optimizer_range {
    real *parameters;
    const real *gradient;
    real *slots[OPTIMIZER_SLOTS_MAX];
    real *change;
    size_t count;
};

ENGINE void optimizer_apply(const struct optimizer_step *step, const struct optimizer_range *range);

#endif
