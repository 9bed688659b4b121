// The passes of summary.c's functions in the words of wide_avx512.h or wide_avx2.h, whichever was included
// before. summary.c's own, lane by lane, are their oracle. A float's square is finite in double: sums of
// squares that are not tell of numbers that are not.
#ifndef NABLA_MATH_SUMMARY_KERNEL_H
#define NABLA_MATH_SUMMARY_KERNEL_H

#include "math/summary.h"

#include <math.h>

static size_t count_nonfinite(const float *x, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += isfinite(x[i]) ? 0 : 1;
    return found;
}

INLINE size_t count_lanes(unsigned lanes, size_t count)
{
    return (size_t)__builtin_popcount(lanes & ((1U << count) - 1));
}

static void raise_max(struct summary *summary, double max_abs)
{
    if (!(summary->max_abs >= max_abs) && !isnan(summary->max_abs))
        summary->max_abs = max_abs;
}

// What passes find of gradients. Numbers beyond `count` are 0, and only counts need to know.
struct told_gradient {
    struct wide sum, abs, square;
    vec_bits most;
    size_t zero, tiny;
};

INLINE void tell_gradient(struct told_gradient *told, vec g, size_t count)
{
    const struct wide x = wide_new(g);
    const vec size = vec_abs(g);
    wide_add(&told->sum, x);
    wide_add_abs(&told->abs, x);
    wide_add_square(&told->square, x);
    told->most = vec_most(told->most, size);
    const unsigned tiny = vec_is_below(size, vec_all(1e-7F));
    if (__builtin_expect(tiny != 0, 0)) {
        told->tiny += count_lanes(tiny, count);
        told->zero += count_lanes(vec_is_zero(g), count);
    }
}

static void merge_gradient(struct summary *summary, const struct told_gradient *told, const float *g,
                           size_t count)
{
    const double square = wide_total(told->square);
    summary->count += count;
    summary->sum += wide_total(told->sum);
    summary->sum_abs += wide_total(told->abs);
    summary->sum_square += square;
    raise_max(summary, vec_largest(told->most));
    summary->zero += told->zero;
    summary->tiny += told->tiny;
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(g, count);
}

// Of weights and of how they changed.
struct told_weights {
    struct wide sum, square;
};

INLINE void tell_weights(struct told_weights *told, vec w)
{
    const struct wide x = wide_new(w);
    wide_add(&told->sum, x);
    wide_add_square(&told->square, x);
}

static void merge_weights(struct summary *summary, const struct told_weights *told, const float *w,
                          size_t count)
{
    const double square = wide_total(told->square);
    summary->count += count;
    summary->sum += wide_total(told->sum);
    summary->sum_square += square;
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(w, count);
}

struct told_change {
    struct wide square;
    vec_bits most;
};

INLINE void tell_change(struct told_change *told, vec change)
{
    wide_add_square(&told->square, wide_new(change));
    told->most = vec_most(told->most, vec_abs(change));
}

static void merge_change(struct summary *summary, const struct told_change *told, size_t count)
{
    summary->count += count;
    summary->sum_square += wide_total(told->square);
    raise_max(summary, vec_largest(told->most));
}

static void gradient_pass(struct summary *summary, const float *x, size_t count)
{
    struct told_gradient told = {0};
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        tell_gradient(&told, vec_load(x + i, LANES), LANES);
    if (whole < count)
        tell_gradient(&told, vec_load(x + whole, count - whole), count - whole);
    merge_gradient(summary, &told, x, count);
}

static void weights_pass(struct summary *summary, const float *x, size_t count)
{
    struct told_weights told = {0};
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        tell_weights(&told, vec_load(x + i, LANES));
    if (whole < count)
        tell_weights(&told, vec_load(x + whole, count - whole));
    merge_weights(summary, &told, x, count);
}

static void change_pass(struct summary *summary, const float *x, size_t count)
{
    struct told_change told = {0};
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        tell_change(&told, vec_load(x + i, LANES));
    if (whole < count)
        tell_change(&told, vec_load(x + whole, count - whole));
    merge_change(summary, &told, count);
}

struct told_outputs {
    struct wide sum, abs, square;
    unsigned signs; // of all numbers, or-ed
    size_t nonpositive, flat;
};

// What a pass over outputs looks for; constant in each caller. Magnitudes are the numbers themselves where
// none is negative.
enum { LOOK_ABS = 1, LOOK_FLAT = 2 };

INLINE void tell_outputs(struct told_outputs *told, vec x, size_t count, unsigned look, vec below, vec above)
{
    const struct wide wide = wide_new(x);
    wide_add(&told->sum, wide);
    wide_add_square(&told->square, wide);
    if (look & LOOK_ABS)
        wide_add_abs(&told->abs, wide);
    else
        told->signs |= vec_signs(x);
    told->nonpositive += count_lanes(vec_is_at_most(x, vec_all(0)), count);
    if (look & LOOK_FLAT)
        told->flat += count_lanes(vec_is_at_most(x, below) | vec_is_at_most(above, x), count);
}

INLINE struct told_outputs see_outputs(const float *x, size_t count, unsigned look, float below, float above)
{
    struct told_outputs told = {0};
    const vec low = vec_all(below), high = vec_all(above);
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        tell_outputs(&told, vec_load(x + i, LANES), LANES, look, low, high);
    if (whole < count)
        tell_outputs(&told, vec_load(x + whole, count - whole), count - whole, look, low, high);
    return told;
}

static struct told_outputs see_positive(const float *x, size_t count, bool flat, float below, float above)
{
    return flat ? see_outputs(x, count, LOOK_FLAT, below, above) : see_outputs(x, count, 0, below, above);
}

static struct told_outputs see_any(const float *x, size_t count, bool flat, float below, float above)
{
    return flat ? see_outputs(x, count, LOOK_ABS | LOOK_FLAT, below, above)
                : see_outputs(x, count, LOOK_ABS, below, above);
}

// Outputs whose first numbers are not negative, as those of sigmoid and relu, mostly have no negative one at
// all; where that was wrong, they are gone through again.
static void outputs_pass(struct summary *summary, const float *x, size_t count, float below, float above)
{
    const bool nonpositive = below == 0 && isnan(above),
               flat = !nonpositive && !(isnan(below) && isnan(above));
    bool negative = vec_signs(vec_load(x, count < LANES ? count : LANES)) != 0;
    struct told_outputs told = {0};
    if (!negative) {
        told = see_positive(x, count, flat, below, above);
        told.abs = told.sum;
        negative = told.signs != 0;
    }
    if (negative)
        told = see_any(x, count, flat, below, above);
    const double square = wide_total(told.square);
    summary->count += count;
    summary->sum += wide_total(told.sum);
    summary->sum_abs += wide_total(told.abs);
    summary->sum_square += square;
    summary->nonpositive += told.nonpositive;
    summary->flat += nonpositive ? told.nonpositive : told.flat;
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(x, count);
}

static const struct summary_kernel passes = {gradient_pass, weights_pass, change_pass, outputs_pass};

#endif
