// wide_avx512.h's words for 8 floats at a time, with AVX2 and FMA.
#ifndef NABLA_MATH_WIDE_AVX2_H
#define NABLA_MATH_WIDE_AVX2_H

#include "math/processor.h"
#include "math/vectorised.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8 };

typedef __m256 vec;
typedef __m256i vec_bits;
typedef __m256 vec_lanes;

INLINE bool wide_is_supported(void)
{
    return processor_has_avx2() && __builtin_cpu_supports("popcnt");
}

// A window on ones followed by zeros.
INLINE __m256i first_lanes(size_t count)
{
    static const int32_t window[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(window + LANES - count));
}

INLINE vec vec_all(float value)
{
    return _mm256_set1_ps(value);
}

INLINE vec vec_load(const float *x, size_t count)
{
    return count == LANES ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_lanes(count));
}

INLINE void vec_store(float *x, vec v, size_t count)
{
    if (count == LANES)
        _mm256_storeu_ps(x, v);
    else
        _mm256_maskstore_ps(x, first_lanes(count), v);
}

INLINE vec vec_keep(vec v, size_t count)
{
    return count == LANES ? v : _mm256_and_ps(v, _mm256_castsi256_ps(first_lanes(count)));
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

INLINE vec vec_sqrt(vec a)
{
    return _mm256_sqrt_ps(a);
}

INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE vec vec_fmsub(vec a, vec b, vec c)
{
    return _mm256_fmsub_ps(a, b, c);
}

INLINE vec_lanes vec_is_below(vec a, vec b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

INLINE vec_lanes vec_is_at_most(vec a, vec b)
{
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}

INLINE vec_lanes vec_is_zero(vec a)
{
    return _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_EQ_OQ);
}

INLINE vec_lanes lanes_or(vec_lanes a, vec_lanes b)
{
    return _mm256_or_ps(a, b);
}

INLINE bool lanes_any(vec_lanes lanes)
{
    return _mm256_movemask_ps(lanes) != 0;
}

INLINE size_t lanes_number(vec_lanes lanes, size_t count)
{
    return (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(vec_keep(lanes, count)));
}

INLINE vec vec_lesser(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

INLINE vec vec_greater(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

INLINE vec vec_abs(vec a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a);
}

INLINE vec_bits vec_most(vec_bits most, vec magnitude)
{
    return _mm256_max_epu32(most, _mm256_castps_si256(magnitude));
}

INLINE double vec_largest(vec_bits magnitudes)
{
    __m128i most = _mm_max_epu32(_mm256_castsi256_si128(magnitudes), _mm256_extracti128_si256(magnitudes, 1));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, _MM_SHUFFLE(1, 0, 3, 2)));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, _MM_SHUFFLE(2, 3, 0, 1)));
    return (double)_mm_cvtss_f32(_mm_castsi128_ps(most));
}

INLINE void vec_totals(double ret[4], vec a, vec b, vec c, vec d)
{
    const __m256 quarters = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(quarters));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(quarters, 1));
    _mm256_storeu_pd(ret, _mm256_add_pd(low, high));
}

struct wide {
    __m256d low, high;
};

INLINE struct wide wide_new(vec x)
{
    return (struct wide){_mm256_cvtps_pd(_mm256_castps256_ps128(x)),
                         _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}

INLINE void wide_add(struct wide *sum, struct wide x)
{
    sum->low = _mm256_add_pd(sum->low, x.low);
    sum->high = _mm256_add_pd(sum->high, x.high);
}

INLINE void wide_add_abs(struct wide *sum, struct wide x)
{
    const __m256d sign = _mm256_set1_pd(-0.0);
    sum->low = _mm256_add_pd(sum->low, _mm256_andnot_pd(sign, x.low));
    sum->high = _mm256_add_pd(sum->high, _mm256_andnot_pd(sign, x.high));
}

INLINE void wide_add_square(struct wide *sum, struct wide x)
{
    sum->low = _mm256_fmadd_pd(x.low, x.low, sum->low);
    sum->high = _mm256_fmadd_pd(x.high, x.high, sum->high);
}

INLINE double wide_total(struct wide sum)
{
    const __m256d both = _mm256_add_pd(sum.low, sum.high);
    const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
    return _mm_cvtsd_f64(pair) + _mm_cvtsd_f64(_mm_unpackhi_pd(pair, pair));
}

INLINE struct wide wide_all(double value)
{
    return (struct wide){_mm256_set1_pd(value), _mm256_set1_pd(value)};
}

INLINE struct wide wide_sum(struct wide a, struct wide b)
{
    return (struct wide){_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
}

INLINE struct wide wide_difference(struct wide a, struct wide b)
{
    return (struct wide){_mm256_sub_pd(a.low, b.low), _mm256_sub_pd(a.high, b.high)};
}

INLINE struct wide wide_product(struct wide a, struct wide b)
{
    return (struct wide){_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)};
}

INLINE struct wide wide_quotient(struct wide a, struct wide b)
{
    return (struct wide){_mm256_div_pd(a.low, b.low), _mm256_div_pd(a.high, b.high)};
}

INLINE struct wide wide_root(struct wide a)
{
    return (struct wide){_mm256_sqrt_pd(a.low), _mm256_sqrt_pd(a.high)};
}

INLINE bool wide_is_at_most(struct wide a, struct wide b)
{
    const __m256d low = _mm256_cmp_pd(a.low, b.low, _CMP_LE_OQ),
                  high = _mm256_cmp_pd(a.high, b.high, _CMP_LE_OQ);
    return _mm256_movemask_pd(_mm256_and_pd(low, high)) == 0xf;
}

INLINE struct wide wide_choose(struct wide a, struct wide b, struct wide x, struct wide y)
{
    return (struct wide){_mm256_blendv_pd(y.low, x.low, _mm256_cmp_pd(a.low, b.low, _CMP_LE_OQ)),
                         _mm256_blendv_pd(y.high, x.high, _mm256_cmp_pd(a.high, b.high, _CMP_LE_OQ))};
}

// a, or 0 where it is below. NaN stays.
INLINE struct wide wide_not_negative(struct wide a)
{
    const __m256d zero = _mm256_setzero_pd();
    return (struct wide){_mm256_max_pd(zero, a.low), _mm256_max_pd(zero, a.high)};
}

INLINE vec wide_narrow(struct wide a)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a.low)), _mm256_cvtpd_ps(a.high), 1);
}

#endif
