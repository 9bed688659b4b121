// Matrix products with AVX-512.
#include "math/product.h"
#include "math/vectorised.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include <immintrin.h>

#define number   float
#define PRODUCT  product
#define vec      __m512
#define vec_mask __mmask16

enum {
    LANES = 16,
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
    return _mm512_setzero_ps();
}

static inline vec vec_all(number value)
{
    return _mm512_set1_ps(value);
}

static inline vec vec_load(const number *from)
{
    return _mm512_loadu_ps(from);
}

static inline vec vec_load_first(const number *from, vec_mask mask)
{
    return _mm512_maskz_loadu_ps(mask, from);
}

static inline void vec_store(number *to, vec v)
{
    _mm512_storeu_ps(to, v);
}

static inline void vec_store_first(number *to, vec v, vec_mask mask)
{
    _mm512_mask_storeu_ps(to, mask, v);
}

// a·b + c
static inline vec vec_multiply_add(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

// In quarters: of the rows r, r + 4, r + 8 and r + 12 the four numbers from 4 q on.
INLINE void turn_block(float *turned, size_t stride, const float *b, size_t width, size_t count, size_t depth)
{
    __m512 quarters[LANES] __attribute__((uninitialized)), pairs[LANES] __attribute__((uninitialized));
    const __mmask8 parts[4] = {(__mmask8)((1U << (depth < 4 ? depth : 4)) - 1),
                               (__mmask8)(depth > 4 ? (1U << (depth < 8 ? depth - 4 : 4)) - 1 : 0),
                               (__mmask8)(depth > 8 ? (1U << (depth < 12 ? depth - 8 : 4)) - 1 : 0),
                               (__mmask8)(depth > 12 ? (1U << (depth - 12)) - 1 : 0)};
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++)
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++) {
            const float *at = b + r * width + 4 * q;
            __m128 piece[4] __attribute__((uninitialized));
#pragma GCC unroll 4
            for (size_t s = 0; s < 4; s++)
                piece[s] =
                    r + 4 * s < count ? _mm_maskz_loadu_ps(parts[q], at + 4 * s * width) : _mm_setzero_ps();
            __m512 whole = _mm512_castps128_ps512(piece[0]);
            whole = _mm512_insertf32x4(whole, piece[1], 1);
            whole = _mm512_insertf32x4(whole, piece[2], 2);
            quarters[4 * q + r] = _mm512_insertf32x4(whole, piece[3], 3);
        }
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        const __m512 *in = quarters + 4 * q;
        pairs[4 * q] = _mm512_unpacklo_ps(in[0], in[1]);
        pairs[4 * q + 1] = _mm512_unpackhi_ps(in[0], in[1]);
        pairs[4 * q + 2] = _mm512_unpacklo_ps(in[2], in[3]);
        pairs[4 * q + 3] = _mm512_unpackhi_ps(in[2], in[3]);
    }
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        float *at = turned + 4 * q * stride;
        const __m512d low[2] = {_mm512_castps_pd(pairs[4 * q]), _mm512_castps_pd(pairs[4 * q + 2])};
        const __m512d high[2] = {_mm512_castps_pd(pairs[4 * q + 1]), _mm512_castps_pd(pairs[4 * q + 3])};
        _mm512_storeu_ps(at, _mm512_castpd_ps(_mm512_unpacklo_pd(low[0], low[1])));
        _mm512_storeu_ps(at + stride, _mm512_castpd_ps(_mm512_unpackhi_pd(low[0], low[1])));
        _mm512_storeu_ps(at + 2 * stride, _mm512_castpd_ps(_mm512_unpacklo_pd(high[0], high[1])));
        _mm512_storeu_ps(at + 3 * stride, _mm512_castpd_ps(_mm512_unpackhi_pd(high[0], high[1])));
    }
}

#include "math/product_tiles.h"

void product_avx512(const struct product *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
#endif
