// Products of matrices, row-major and contiguous, by the kernels of product.h. No dimension may be 0; the
// result may not overlap the factors, and what it held before counts for nothing.
// Thread safety: pure functions of their arguments. A large product is shared with the calling thread's crew
// (base/crew.h), to the same bits.
#ifndef NABLA_MATH_MATRIX_H
#define NABLA_MATH_MATRIX_H

#include "math/real.h"

#include <stddef.h>

// c (m × n) = a (m × k) · b (k × n)
ENGINE void matrix_multiply(real *c, const real *a, const real *b, size_t m, size_t n, size_t k);
// The same, plus `bias`, n numbers or NULL, in each row.
ENGINE void matrix_multiply_bias(real *c, const real *a, const real *b, const real *bias, size_t m, size_t n,
                                 size_t k);
// c (m × n) = aᵀ · b, where a is k × m and b is k × n
ENGINE void matrix_multiply_transposed_a(real *c, const real *a, const real *b, size_t m, size_t n, size_t k);
// c (m × n) = a · bᵀ, where a is m × k and b is n × k
ENGINE void matrix_multiply_transposed_b(real *c, const real *a, const real *b, size_t m, size_t n, size_t k);

#ifndef NABLA_REAL_DOUBLE
// The kernels that this processor gets ("avx2"): part of what a result's bits depend on.
const char *matrix_kernel_name(void);
#endif

#endif
