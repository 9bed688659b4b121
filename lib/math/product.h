// Matrix products with kernels of our own: in the shapes that networks have, a general BLAS's calls and
// packing cost up to half of the time, and its silent choice of kernels is a trap. Row-major and contiguous
// as in matrix.h, the only user; the tests hold every kernel against the naive product.
//
// The kernels are written once (product_tiles.h) over a few vector operations, and compiled for each
// instruction set and number type with its own operations.
//
// Each entry of c is one chain over k in order, from the bias (or 0) on, of fused multiply-adds where the
// kernel has them, of products and sums rounded one by one where it has not. Its bits depend on nothing else:
// neither on the other dimensions, nor on transposition, nor on how rows are shared out. So "avx512" and
// "avx2" give the same bits, and so does "portable" where the compiler targets a processor with fused
// multiply-add (__FP_FAST_FMA: aarch64, x86-64-v3).
// Thread safety: pure functions of their arguments; product_use is for before threads start.
#ifndef NABLA_MATH_PRODUCT_H
#define NABLA_MATH_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

// What is multiplied: c (m × n) = a · b, plus `bias` (n numbers or NULL) in each row. No dimension is 0.
struct product {
    float *c;
    const float *a, *b, *bias;
    size_t m, n, k;
    bool a_transposed; // a is k × m
    bool b_transposed; // b is n × k
};

// The same in float64.
struct product64 {
    double *c;
    const double *a, *b, *bias;
    size_t m, n, k;
    bool a_transposed, b_transposed;
};

// A part of c: whole rows of a block of columns that begins at a multiple of PRODUCT_WIDTH.
enum { PRODUCT_WIDTH = 48 };
struct product_piece {
    size_t row, rows, column, columns;
};

// The kernels that were compiled in, best first; the last, "portable", runs anywhere.
struct product_kernel {
    const char *name;
    bool (*supported)(void);
    void (*compute)(const struct product *product, const struct product_piece *piece);
    void (*compute64)(const struct product64 *product, const struct product_piece *piece);
    bool fused; // its multiply-adds are rounded once
};

enum { PRODUCT_KERNELS = 3 };
extern const struct product_kernel product_kernels[PRODUCT_KERNELS];

// The one in use: the best that this processor has, unless another was asked for.
const struct product_kernel *product_kernel(void);

// From now on `kernel`, which this processor must have; NULL for the best. For tests and benchmarks.
void product_use(const struct product_kernel *kernel);

void product_avx512(const struct product *product, const struct product_piece *piece);
void product64_avx512(const struct product64 *product, const struct product_piece *piece);
void product_avx2(const struct product *product, const struct product_piece *piece);
void product64_avx2(const struct product64 *product, const struct product_piece *piece);
void product_portable(const struct product *product, const struct product_piece *piece);
void product64_portable(const struct product64 *product, const struct product_piece *piece);

#endif
