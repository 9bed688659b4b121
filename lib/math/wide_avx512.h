// Words for 16 floats at a time, and for their sums in double, with AVX-512; wide_avx2.h has the same for 8.
// The kernels that summarise are written in them once. Include it after the pragma that sets the target.
#ifndef NABLA_MATH_WIDE_AVX512_H
#define NABLA_MATH_WIDE_AVX512_H

#include "math/processor.h"
#include "math/vectorised.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16 };

typedef __m512 vec;
typedef __m512i vec_bits;
typedef __mmask16 vec_lanes; // those where something holds

INLINE bool wide_is_supported(void)
{
    return processor_has_avx512() && __builtin_cpu_supports("popcnt");
}

INLINE __mmask16 first_lanes(size_t count)
{
    return (__mmask16)((1U << count) - 1);
}

INLINE vec vec_all(float value)
{
    return _mm512_set1_ps(value);
}

// `count` numbers, the lanes beyond them 0.
INLINE vec vec_load(const float *x, size_t count)
{
    return count == LANES ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(first_lanes(count), x);
}

INLINE void vec_store(float *x, vec v, size_t count)
{
    if (count == LANES)
        _mm512_storeu_ps(x, v);
    else
        _mm512_mask_storeu_ps(x, first_lanes(count), v);
}

INLINE vec vec_keep(vec v, size_t count)
{
    return count == LANES ? v : _mm512_maskz_mov_ps(first_lanes(count), v);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

INLINE vec vec_sqrt(vec a)
{
    return _mm512_sqrt_ps(a);
}

INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vec vec_fmsub(vec a, vec b, vec c)
{
    return _mm512_fmsub_ps(a, b, c);
}

INLINE vec_lanes vec_is_below(vec a, vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

INLINE vec_lanes vec_is_at_most(vec a, vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

INLINE vec_lanes vec_is_zero(vec a)
{
    return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_EQ_OQ);
}

INLINE vec_lanes lanes_or(vec_lanes a, vec_lanes b)
{
    return (vec_lanes)(a | b);
}

INLINE bool lanes_any(vec_lanes lanes)
{
    return lanes != 0;
}

// How many of the first `count` lanes are set.
INLINE size_t lanes_number(vec_lanes lanes, size_t count)
{
    const vec_lanes kept = count == LANES ? lanes : (vec_lanes)(lanes & first_lanes(count));
    return (size_t)__builtin_popcount(kept);
}

// The lesser of each lane, `b` where either is NaN.
INLINE vec vec_lesser(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

INLINE vec vec_greater(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

INLINE vec vec_abs(vec a)
{
    return _mm512_abs_ps(a);
}

// Of magnitudes, whose bits are ordered as they are; NaN on top.
INLINE vec_bits vec_most(vec_bits most, vec magnitude)
{
    return _mm512_max_epu32(most, _mm512_castps_si512(magnitude));
}

INLINE double vec_largest(vec_bits magnitudes)
{
    const __m128i most = _mm_cvtsi32_si128((int)_mm512_reduce_max_epu32(magnitudes));
    return (double)_mm_cvtss_f32(_mm_castsi128_ps(most));
}

INLINE __m256 vec_halves_sum(vec a)
{
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}

// The sums of four vectors' lanes, the first three levels in float.
INLINE void vec_totals(double ret[4], vec a, vec b, vec c, vec d)
{
    const __m256 ab = _mm256_hadd_ps(vec_halves_sum(a), vec_halves_sum(b));
    const __m256 cd = _mm256_hadd_ps(vec_halves_sum(c), vec_halves_sum(d));
    const __m256 quarters = _mm256_hadd_ps(ab, cd);
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(quarters));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(quarters, 1));
    _mm256_storeu_pd(ret, _mm256_add_pd(low, high));
}

struct wide {
    __m512d low, high;
};

INLINE struct wide wide_new(vec x)
{
    return (struct wide){_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
                         _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
}

INLINE void wide_add(struct wide *sum, struct wide x)
{
    sum->low = _mm512_add_pd(sum->low, x.low);
    sum->high = _mm512_add_pd(sum->high, x.high);
}

INLINE void wide_add_abs(struct wide *sum, struct wide x)
{
    sum->low = _mm512_add_pd(sum->low, _mm512_abs_pd(x.low));
    sum->high = _mm512_add_pd(sum->high, _mm512_abs_pd(x.high));
}

INLINE void wide_add_square(struct wide *sum, struct wide x)
{
    sum->low = _mm512_fmadd_pd(x.low, x.low, sum->low);
    sum->high = _mm512_fmadd_pd(x.high, x.high, sum->high);
}

INLINE double wide_total(struct wide sum)
{
    return _mm512_reduce_add_pd(sum.low) + _mm512_reduce_add_pd(sum.high);
}

INLINE struct wide wide_all(double value)
{
    return (struct wide){_mm512_set1_pd(value), _mm512_set1_pd(value)};
}

INLINE struct wide wide_sum(struct wide a, struct wide b)
{
    return (struct wide){_mm512_add_pd(a.low, b.low), _mm512_add_pd(a.high, b.high)};
}

INLINE struct wide wide_difference(struct wide a, struct wide b)
{
    return (struct wide){_mm512_sub_pd(a.low, b.low), _mm512_sub_pd(a.high, b.high)};
}

INLINE struct wide wide_product(struct wide a, struct wide b)
{
    return (struct wide){_mm512_mul_pd(a.low, b.low), _mm512_mul_pd(a.high, b.high)};
}

INLINE struct wide wide_quotient(struct wide a, struct wide b)
{
    return (struct wide){_mm512_div_pd(a.low, b.low), _mm512_div_pd(a.high, b.high)};
}

INLINE struct wide wide_root(struct wide a)
{
    return (struct wide){_mm512_sqrt_pd(a.low), _mm512_sqrt_pd(a.high)};
}

// In every lane.
INLINE bool wide_is_at_most(struct wide a, struct wide b)
{
    return (_mm512_cmp_pd_mask(a.low, b.low, _CMP_LE_OQ) & _mm512_cmp_pd_mask(a.high, b.high, _CMP_LE_OQ)) ==
           0xff;
}

// x in the lanes where a is at most b, y in the others.
INLINE struct wide wide_choose(struct wide a, struct wide b, struct wide x, struct wide y)
{
    return (struct wide){
        _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.low, b.low, _CMP_LE_OQ), y.low, x.low),
        _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.high, b.high, _CMP_LE_OQ), y.high, x.high)};
}

// a, or 0 where it is below. NaN stays.
INLINE struct wide wide_not_negative(struct wide a)
{
    const __m512d zero = _mm512_setzero_pd();
    return (struct wide){_mm512_max_pd(zero, a.low), _mm512_max_pd(zero, a.high)};
}

INLINE vec wide_narrow(struct wide a)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.low)), _mm512_cvtpd_ps(a.high), 1);
}

#endif
