#include "math/summary_wide.h"

#include <math.h>

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")
#include <immintrin.h>

#include "math/wide_sums.h"

enum { LANES = 16 };

bool summary_is_wide(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
}

struct seen {
    struct wide sum, square;
    __m512i signs; // of all numbers, or-ed
    size_t nonpositive, flat;
};

// Which bounds there are; constant in each caller.
enum flat { FLAT_NOWHERE, FLAT_NONPOSITIVE, FLAT_BOUNDED };

INLINE void see(struct seen *seen, const float *x, __mmask16 mask, enum flat flat, __m512 below, __m512 above)
{
    const __m512 v = _mm512_maskz_loadu_ps(mask, x);
    const struct wide wide = wide_new(v);
    wide_add(&seen->sum, wide);
    wide_add_square(&seen->square, wide);
    seen->signs = _mm512_or_epi32(seen->signs, _mm512_castps_si512(v));
    const __mmask16 low = _mm512_mask_cmp_ps_mask(mask, v, _mm512_setzero_ps(), _CMP_LE_OQ);
    seen->nonpositive += (size_t)__builtin_popcount(low);
    if (flat != FLAT_BOUNDED)
        return;
    const __mmask16 outside = _mm512_mask_cmp_ps_mask(mask, v, below, _CMP_LE_OQ) |
                              _mm512_mask_cmp_ps_mask(mask, v, above, _CMP_GE_OQ);
    seen->flat += (size_t)__builtin_popcount(outside);
}

INLINE __mmask16 mask_at(size_t left)
{
    return (__mmask16)(left < LANES ? (1U << left) - 1 : 0xffffU);
}

INLINE struct seen see_all(const float *x, size_t count, enum flat flat, float below, float above)
{
    struct seen seen = {0};
    const __m512 low = _mm512_set1_ps(below), high = _mm512_set1_ps(above);
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        see(&seen, x + i, 0xffff, flat, low, high);
    if (whole < count)
        see(&seen, x + whole, mask_at(count - whole), flat, low, high);
    return seen;
}

static double sum_magnitudes(const float *x, size_t count)
{
    struct wide sum = {0};
    for (size_t i = 0; i < count; i += LANES)
        wide_add_abs(&sum, wide_new(_mm512_maskz_loadu_ps(mask_at(count - i), x + i)));
    return wide_total(sum);
}

static size_t count_nonfinite(const float *x, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += isfinite(x[i]) ? 0 : 1;
    return found;
}

void summary_outputs_wide(struct summary *summary, const float *x, size_t count, float below, float above)
{
    const enum flat flat = isnan(below) && isnan(above) ? FLAT_NOWHERE
                           : below == 0 && isnan(above) ? FLAT_NONPOSITIVE
                                                        : FLAT_BOUNDED;
    const struct seen seen = flat == FLAT_BOUNDED ? see_all(x, count, FLAT_BOUNDED, below, above)
                                                  : see_all(x, count, FLAT_NOWHERE, below, above);
    const double sum = wide_total(seen.sum), square = wide_total(seen.square);
    const bool negative = _mm512_movepi32_mask(seen.signs) != 0;
    summary->count += count;
    summary->sum += sum;
    summary->sum_abs += negative ? sum_magnitudes(x, count) : sum;
    summary->sum_square += square;
    summary->nonpositive += seen.nonpositive;
    summary->flat += flat == FLAT_NONPOSITIVE ? seen.nonpositive : seen.flat;
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(x, count);
}

#else

bool summary_is_wide(void)
{
    return false;
}

void summary_outputs_wide(struct summary *summary, const float *x, size_t count, float below, float above)
{
    (void)summary, (void)x, (void)count, (void)below, (void)above;
}
#endif
