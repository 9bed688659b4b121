// Products of matrices, row-major and contiguous: the only user of BLAS, which has them where product.h has
// no kernels of our own for this processor (and in double). No dimension may be 0 or above
// INT_MAX; the result may not overlap the factors, and what it held before counts for nothing.
// Thread safety: pure functions of their arguments. Where product.h does it, a large product is shared with
// the calling thread's crew (base/crew.h), to the same bits.
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

// Keeps BLAS on the calling thread, for the whole process: its own threads conflict with a threaded caller's
// and would make results depend on how many there are.
void matrix_use_one_thread(void);

// The kernels that this processor gets ("Nabla AVX-512", or what BLAS picked: "Haswell"): part of what a
// result's bits depend on.
const char *matrix_core_type(void);

// OpenBLAS does not know every new processor and then silently falls back to kernels of half the speed. Where
// BLAS is used this is the core type that the environment's OPENBLAS_CORETYPE should name before the process
// starts, or NULL when the detection is right or the variable is set already. The library reads it while it
// is loaded: set it and exec.
const char *matrix_core_type_wanted(void);

#endif
#endif
