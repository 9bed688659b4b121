// Optimisers: one table, one row and one small function each.
//
// Formulas as Keras 3 has them (keras/src/optimizers/{sgd,adam}.py); with g the gradient and t the step from
// 1: sgd      m ← momentum·m − rate·g;  w ← w + m, with Nesterov w ← w + momentum·m − rate·g
//   adam     m ← m + (1−β₁)(g−m);  v ← v + (1−β₂)(g²−v);  w ← w − α·m / (√v + ε_t)
//            with α = rate·√(1−β₂ᵗ)/(1−β₁ᵗ), and ε_t = ε beside the uncorrected √v (Keras' "ε hat") or
//            ε_t = ε·√(1−β₂ᵗ), which is ε beside the corrected √v̂ (Kingma and Ba, ICLR 2015, Algorithm 1).
// Thread safety: pure functions of their arguments.
#ifndef NABLA_TRAIN_OPTIMIZER_H
#define NABLA_TRAIN_OPTIMIZER_H

#include "math/real.h"
#include "train/network_size.h"

#include <stddef.h>

// The numbers of one step, the same for all parameters; made in double from the step's number alone.
struct optimizer_step {
    enum optimizer_type type;
    bool nesterov;
    real rate, momentum;
    real complement_1, complement_2; // 1 − β
    real epsilon;
};

ENGINE struct optimizer_step optimizer_step_new(const struct optimizer_spec *spec, uint64_t step);

// Some parameters: `count` of each. `slots` holds what the optimiser keeps, 0 at the start; `change` takes
// the parameters' change.
struct optimizer_range {
    real *parameters;
    const real *gradient;
    real *slots[OPTIMIZER_SLOTS_MAX];
    real *change;
    size_t count;
};

ENGINE void optimizer_apply(const struct optimizer_step *step, const struct optimizer_range *range);

#endif
