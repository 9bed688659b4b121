// Matrix products with AVX2 and FMA, in float64.
#include "math/product.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#include <stdint.h>

#define number   double
#define PRODUCT  product64
#define vec      __m256d
#define vec_mask __m256i

enum {
    LANES = 4,
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
    static const int64_t window[8] = {-1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 4 - count));
}

static inline vec vec_zero(void)
{
    return _mm256_setzero_pd();
}

static inline vec vec_all(double value)
{
    return _mm256_set1_pd(value);
}

static inline vec vec_load(const double *from)
{
    return _mm256_loadu_pd(from);
}

static inline vec vec_load_first(const double *from, __m256i mask)
{
    return _mm256_maskload_pd(from, mask);
}

static inline void vec_store(double *to, vec v)
{
    _mm256_storeu_pd(to, v);
}

static inline void vec_store_first(double *to, vec v, __m256i mask)
{
    _mm256_maskstore_pd(to, mask, v);
}

// a·b + c
static inline vec vec_multiply_add(vec a, vec b, vec c)
{
    return _mm256_fmadd_pd(a, b, c);
}

// Two columns from the rows r and r + 2.
static inline vec load_halves(const double *b, size_t width, size_t r, size_t count, __m128i mask)
{
    const __m128d low = r < count ? _mm_maskload_pd(b + r * width, mask) : _mm_setzero_pd();
    const __m128d high = r + 2 < count ? _mm_maskload_pd(b + (r + 2) * width, mask) : _mm_setzero_pd();
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(low), high, 1);
}

// Two rows of what is turned.
static inline void turn_half(double *turned, size_t stride, const double *b, size_t width, size_t count,
                             __m128i mask)
{
    const vec even = load_halves(b, width, 0, count, mask), odd = load_halves(b, width, 1, count, mask);
    vec_store(turned, _mm256_unpacklo_pd(even, odd));
    vec_store(turned + stride, _mm256_unpackhi_pd(even, odd));
}

static inline void turn_block(double *turned, size_t stride, const double *b, size_t width, size_t count,
                              size_t depth)
{
    const __m256i mask = vec_mask_first(depth);
    turn_half(turned, stride, b, width, count, _mm256_castsi256_si128(mask));
    turn_half(turned + 2 * stride, stride, b + 2, width, count, _mm256_extracti128_si256(mask, 1));
}

#include "math/product_tiles.h"

void product64_avx2(const struct product64 *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
#endif
