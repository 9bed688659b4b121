// Matrix products with AVX-512, in float64.
#include "math/product.h"
#include "math/vectorised.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include <immintrin.h>

#define number   double
#define PRODUCT  product64
#define vec      __m512d
#define vec_mask __mmask8

enum {
    LANES = 8,
    VECTORS = 3,
    ROWS_OF_1 = 16,
    ROWS_OF_2 = 12,
    ROWS_OF_3 = 8,
    DEPTH = 192, // 36 KiB, three quarters of a first-level cache
    COPY_WIDTH = 512,
    PACKS_A = 0, // not measured
    MASKS_ARE_FREE = 1,
};

static inline vec_mask vec_mask_first(size_t count)
{
    return (vec_mask)((1U << count) - 1);
}

static inline vec vec_zero(void)
{
    return _mm512_setzero_pd();
}

static inline vec vec_all(number value)
{
    return _mm512_set1_pd(value);
}

static inline vec vec_load(const number *from)
{
    return _mm512_loadu_pd(from);
}

static inline vec vec_load_first(const number *from, vec_mask mask)
{
    return _mm512_maskz_loadu_pd(mask, from);
}

static inline void vec_store(number *to, vec v)
{
    _mm512_storeu_pd(to, v);
}

static inline void vec_store_first(number *to, vec v, vec_mask mask)
{
    _mm512_mask_storeu_pd(to, mask, v);
}

// a·b + c
static inline vec vec_multiply_add(vec a, vec b, vec c)
{
    return _mm512_fmadd_pd(a, b, c);
}

// Two columns from the rows r, r + 2, r + 4 and r + 6.
static inline vec load_pairs(const double *b, size_t width, size_t r, size_t count, __mmask8 mask)
{
    vec whole = _mm512_setzero_pd();
    if (r < count)
        whole = _mm512_castpd128_pd512(_mm_maskz_loadu_pd(mask, b + r * width));
    if (r + 2 < count)
        whole = _mm512_insertf64x2(whole, _mm_maskz_loadu_pd(mask, b + (r + 2) * width), 1);
    if (r + 4 < count)
        whole = _mm512_insertf64x2(whole, _mm_maskz_loadu_pd(mask, b + (r + 4) * width), 2);
    if (r + 6 < count)
        whole = _mm512_insertf64x2(whole, _mm_maskz_loadu_pd(mask, b + (r + 6) * width), 3);
    return whole;
}

INLINE void turn_block(double *turned, size_t stride, const double *b, size_t width, size_t count,
                       size_t depth)
{
#pragma GCC unroll 4
    for (size_t l = 0; l < LANES; l += 2) {
        const __mmask8 mask = (__mmask8)(vec_mask_first(depth) >> l & 3);
        const vec even = load_pairs(b + l, width, 0, count, mask),
                  odd = load_pairs(b + l, width, 1, count, mask);
        vec_store(turned + l * stride, _mm512_unpacklo_pd(even, odd));
        vec_store(turned + (l + 1) * stride, _mm512_unpackhi_pd(even, odd));
    }
}

#include "math/product_tiles.h"

void product64_avx512(const struct product64 *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
#endif
