// Matrix products with AVX2 and FMA.
#include "math/product.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#include <stdint.h>

#define number   float
#define PRODUCT  product
#define vec      __m256
#define vec_mask __m256i

enum {
    LANES = 8,
    VECTORS = 3,
    ROWS_OF_1 = 12,
    ROWS_OF_2 = 6,
    ROWS_OF_3 = 4,
    DEPTH = 256, // 24 KiB
    COPY_WIDTH = 256,
    PACKS_A = 1,
    MASKS_ARE_FREE = 0,
};

static inline __m256i vec_mask_first(size_t count)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - count));
}

static inline vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline vec vec_all(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline vec vec_load_first(const float *from, __m256i mask)
{
    return _mm256_maskload_ps(from, mask);
}

static inline void vec_store(float *to, vec v)
{
    _mm256_storeu_ps(to, v);
}

static inline void vec_store_first(float *to, vec v, __m256i mask)
{
    _mm256_maskstore_ps(to, mask, v);
}

// a·b + c
static inline vec vec_multiply_add(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

// Four columns from row r of each half, r + 4 in the upper one.
static inline vec load_halves(const float *b, size_t width, size_t r, size_t count, __m128i mask)
{
    const __m128 low = r < count ? _mm_maskload_ps(b + r * width, mask) : _mm_setzero_ps();
    const __m128 high = r + 4 < count ? _mm_maskload_ps(b + (r + 4) * width, mask) : _mm_setzero_ps();
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
}

// Four rows of what is turned.
static inline void turn_half(float *turned, size_t stride, const float *b, size_t width, size_t count,
                             __m128i mask)
{
    const vec in[4] = {load_halves(b, width, 0, count, mask), load_halves(b, width, 1, count, mask),
                       load_halves(b, width, 2, count, mask), load_halves(b, width, 3, count, mask)};
    const vec low[2] = {_mm256_unpacklo_ps(in[0], in[1]), _mm256_unpacklo_ps(in[2], in[3])};
    const vec high[2] = {_mm256_unpackhi_ps(in[0], in[1]), _mm256_unpackhi_ps(in[2], in[3])};
    vec_store(turned, _mm256_shuffle_ps(low[0], low[1], 0x44));
    vec_store(turned + stride, _mm256_shuffle_ps(low[0], low[1], 0xee));
    vec_store(turned + 2 * stride, _mm256_shuffle_ps(high[0], high[1], 0x44));
    vec_store(turned + 3 * stride, _mm256_shuffle_ps(high[0], high[1], 0xee));
}

static inline void turn_block(float *turned, size_t stride, const float *b, size_t width, size_t count,
                              size_t depth)
{
    const __m256i mask = vec_mask_first(depth);
    turn_half(turned, stride, b, width, count, _mm256_castsi256_si128(mask));
    turn_half(turned + 4 * stride, stride, b + 4, width, count, _mm256_extracti128_si256(mask, 1));
}

#include "math/product_tiles.h"

void product_avx2(const struct product *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
#endif
