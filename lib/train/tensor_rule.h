// What keeps a tensor small (struct tensor_rule): the penalties l1·Σ|w| + l2·Σw² with their gradient
// l1·sign(w) + 2·l2·w, and max_norm, as Keras 3 has them (keras/src/regularizers/regularizers.py,
// constraints/constraints.py: axis 0, ε 1e-7). Thread safety: pure functions; large tensors are shared with
// the calling thread's crew (base/crew.h), to the same bits.
#ifndef NABLA_TRAIN_TENSOR_RULE_H
#define NABLA_TRAIN_TENSOR_RULE_H

#include "math/real.h"
#include "train/spec.h"

#include <stddef.h>

ENGINE double tensor_penalty(const struct tensor_rule *rule, const real *w, size_t count);
// Adds the penalty's gradient.
ENGINE void tensor_penalty_gradient(const struct tensor_rule *rule, real *gradient, const real *w,
                                    size_t count);
// Brings the norm of each column of w, rows × columns, down to max_norm; a vector is one column.
ENGINE void tensor_limit_norm(const struct tensor_rule *rule, real *w, size_t rows, size_t columns);

#endif
