// Matrix products with kernels of our own: in the shapes that networks have, BLAS's calls and packing cost
// up to half of the time. Row-major and contiguous as in matrix.h, the only user; the tests hold both against
// the naive product.
//
// Each entry of c is one chain of fused multiply-adds over k in order, from the bias on: its bits depend on
// nothing else, so neither on the other dimensions nor on how rows are shared out.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_MATH_PRODUCT_H
#define NABLA_MATH_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

// What is multiplied: c (m × n) = a · b, plus `bias` (n numbers or NULL) in each row.
struct product {
    float *c;
    const float *a, *b, *bias;
    size_t m, n, k;
    bool a_transposed; // a is k × m
    bool b_transposed; // b is n × k
};

// A part of c: whole rows of a block of columns that begins at a multiple of PRODUCT_WIDTH.
enum { PRODUCT_WIDTH = 48 };
struct product_piece {
    size_t row, rows, column, columns;
};

// Whether this processor has such kernels: AVX-512 as SkylakeX has it.
bool product_is_ours(void);
void product_compute(const struct product *product, const struct product_piece *piece);

#endif
