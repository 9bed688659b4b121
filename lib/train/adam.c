#include "train/adam.h"

#include <math.h>

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")
#include <immintrin.h>

#include "math/wide_sums.h"

enum { LANES = 16 };

bool adam_is_fused(const struct optimizer_step *step)
{
    return (step->type == OPTIMIZER_ADAM || step->type == OPTIMIZER_ADAMW) &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
}

struct adam {
    __m512 keep, rate, epsilon, complement_1, complement_2;
};

struct told {
    struct wide gradient, gradient_abs, gradient_square, weight, weight_square, change_square;
    __m512i gradient_max, change_max; // magnitudes, whose bits are ordered as they are; NaN on top
    size_t zero, tiny;
};

INLINE __m512i magnitude(__m512 x)
{
    return _mm512_and_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

INLINE double largest(__m512i magnitudes)
{
    const __m128i most = _mm_cvtsi32_si128((int)_mm512_reduce_max_epu32(magnitudes));
    return (double)_mm_cvtss_f32(_mm_castsi128_ps(most));
}

// Of numbers beyond the mask, which are 0, only the counts need to know.
INLINE void tell_gradient(struct told *told, __m512 g, __mmask16 mask)
{
    const struct wide x = wide_new(g);
    wide_add(&told->gradient, x);
    wide_add_abs(&told->gradient_abs, x);
    wide_add_square(&told->gradient_square, x);
    const __m512i size = magnitude(g);
    told->gradient_max = _mm512_max_epu32(told->gradient_max, size);
    const __mmask16 tiny =
        _mm512_mask_cmp_ps_mask(mask, _mm512_castsi512_ps(size), _mm512_set1_ps(1e-7F), _CMP_LT_OQ);
    if (__builtin_expect(tiny != 0, 0)) {
        told->tiny += (size_t)__builtin_popcount(tiny);
        told->zero += (size_t)__builtin_popcount(_mm512_mask_testn_epi32_mask(tiny, size, size));
    }
}

INLINE void tell_weights(struct told *told, __m512 w, __m512 change)
{
    const struct wide x = wide_new(w);
    wide_add(&told->weight, x);
    wide_add_square(&told->weight_square, x);
    wide_add_square(&told->change_square, wide_new(change));
    told->change_max = _mm512_max_epu32(told->change_max, magnitude(change));
}

INLINE void step_vector(const struct adam *adam, const struct optimizer_range *range, size_t i,
                        __mmask16 mask, struct told *told)
{
    float *w = range->parameters + i, *m = range->slots[0] + i, *v = range->slots[1] + i;
    const __m512 g = _mm512_maskz_loadu_ps(mask, range->gradient + i);
    const __m512 old_m = _mm512_maskz_loadu_ps(mask, m), old_v = _mm512_maskz_loadu_ps(mask, v);
    const __m512 before = _mm512_maskz_loadu_ps(mask, w);
    const __m512 first = _mm512_fmadd_ps(_mm512_sub_ps(g, old_m), adam->complement_1, old_m);
    const __m512 second = _mm512_fmadd_ps(_mm512_fmsub_ps(g, g, old_v), adam->complement_2, old_v);
    const __m512 root = _mm512_add_ps(_mm512_sqrt_ps(second), adam->epsilon);
    const __m512 move = _mm512_maskz_div_ps(mask, _mm512_mul_ps(adam->rate, first), root);
    const __m512 after = _mm512_fmsub_ps(before, adam->keep, move);
    _mm512_mask_storeu_ps(m, mask, first);
    _mm512_mask_storeu_ps(v, mask, second);
    _mm512_mask_storeu_ps(w, mask, after);
    if (told) {
        tell_gradient(told, g, mask);
        tell_weights(told, after, _mm512_sub_ps(after, before));
    }
}

INLINE void step_all(const struct optimizer_step *step, const struct optimizer_range *range,
                     struct told *told)
{
    const struct adam adam = {_mm512_set1_ps(step->keep), _mm512_set1_ps(step->rate),
                              _mm512_set1_ps(step->epsilon), _mm512_set1_ps(step->complement_1),
                              _mm512_set1_ps(step->complement_2)};
    const size_t whole = range->count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        step_vector(&adam, range, i, 0xffff, told);
    if (whole < range->count)
        step_vector(&adam, range, whole, (__mmask16)((1U << (range->count - whole)) - 1), told);
}

static size_t count_nonfinite(const float *x, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += isfinite(x[i]) ? 0 : 1;
    return found;
}

static void raise_max(struct summary *summary, double max_abs)
{
    if (!(summary->max_abs >= max_abs) && !isnan(summary->max_abs))
        summary->max_abs = max_abs;
}

static void merge_gradient(struct summary *summary, const struct told *told, const float *g, size_t count)
{
    const double sum = wide_total(told->gradient), square = wide_total(told->gradient_square);
    summary->count += count;
    summary->sum += sum;
    summary->sum_abs += wide_total(told->gradient_abs);
    summary->sum_square += square;
    raise_max(summary, largest(told->gradient_max));
    summary->zero += told->zero;
    summary->tiny += told->tiny;
    if (!isfinite(square)) // a float's square is finite in double
        summary->nonfinite += count_nonfinite(g, count);
}

static void merge_weights(struct update_summary *summary, const struct told *told, const float *w,
                          size_t count)
{
    const double square = wide_total(told->weight_square);
    summary->weights.count += count;
    summary->weights.sum += wide_total(told->weight);
    summary->weights.sum_square += square;
    if (!isfinite(square))
        summary->weights.nonfinite += count_nonfinite(w, count);
    summary->change.count += count;
    summary->change.sum_square += wide_total(told->change_square);
    raise_max(&summary->change, largest(told->change_max));
}

void adam_apply_fused(const struct optimizer_step *step, const struct optimizer_range *range,
                      struct update_summary *summary)
{
    if (!summary) {
        step_all(step, range, NULL);
        return;
    }
    struct told told = {0};
    step_all(step, range, &told);
    merge_gradient(&summary->gradient, &told, range->gradient, range->count);
    merge_weights(summary, &told, range->parameters, range->count);
}

double adam_square_sum(const float *w, size_t count)
{
    struct wide sum = {0};
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const __mmask16 mask = (__mmask16)(left < LANES ? (1U << left) - 1 : 0xffffU);
        wide_add_square(&sum, wide_new(_mm512_maskz_loadu_ps(mask, w + i)));
    }
    return wide_total(sum);
}

#else

bool adam_is_fused(const struct optimizer_step *step)
{
    (void)step;
    return false;
}

void adam_apply_fused(const struct optimizer_step *step, const struct optimizer_range *range,
                      struct update_summary *summary)
{
    (void)step, (void)range, (void)summary;
}

double adam_square_sum(const float *w, size_t count)
{
    (void)w, (void)count;
    return 0;
}
#endif
