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

static void raise_max(struct summary *summary, double max_abs)
{
    if (!(summary->max_abs >= max_abs) && !isnan(summary->max_abs))
        summary->max_abs = max_abs;
}

// What passes find of gradients. Numbers beyond `count` are 0, and only counts need to know.
struct told_gradient {
    struct wide sum, abs, square;
    vec_bits most, zero, tiny;
};

INLINE void tell_gradient(struct told_gradient *told, vec g, size_t count)
{
    const struct wide x = wide_new(g);
    const vec size = vec_abs(g);
    wide_add(&told->sum, x);
    wide_add_abs(&told->abs, x);
    wide_add_square(&told->square, x);
    told->most = vec_most(told->most, size);
    told->tiny = lanes_count(told->tiny, vec_is_below(size, vec_all(1e-7F)), count);
    told->zero = lanes_count(told->zero, vec_is_zero(g), count);
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
    summary->zero += lanes_total(told->zero);
    summary->tiny += lanes_total(told->tiny);
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(g, count);
}

// Of weights. Two sums in turn where nothing else goes on, since each has to wait for the one before.
struct told_weights {
    struct wide sum[2], square[2];
};

INLINE void tell_weights(struct told_weights *told, vec w, const size_t turn)
{
    const struct wide x = wide_new(w);
    wide_add(&told->sum[turn], x);
    wide_add_square(&told->square[turn], x);
}

static void merge_weights(struct summary *summary, const struct told_weights *told, const float *w,
                          size_t count)
{
    const double square = wide_total(wide_sum(told->square[0], told->square[1]));
    summary->count += count;
    summary->sum += wide_total(wide_sum(told->sum[0], told->sum[1]));
    summary->sum_square += square;
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(w, count);
}

// And of how they changed.
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

static void tell_gradients(struct told_gradient *told, const float *x, size_t count)
{
    struct told_gradient own = *told;
    const size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        tell_gradient(&own, vec_load(x + i, LANES), LANES);
    if (whole < count)
        tell_gradient(&own, vec_load(x + whole, count - whole), count - whole);
    *told = own;
}

static void gradient_pass(struct summary *summary, const float *x, size_t count)
{
    struct told_gradient told = {0};
    tell_gradients(&told, x, count);
    merge_gradient(summary, &told, x, count);
}

// The same bits as tell_weights of vector after vector where SUMS_FIT, and whatever blocks of a multiple of
// two vectors the numbers come in.
static void tell_all_weights(struct told_weights *told, const float *w, size_t count)
{
    struct told_weights own = *told;
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        tell_weights(&own, vec_load(w + i, LANES), 0);
        tell_weights(&own, vec_load(w + i + LANES, LANES), SUMS_FIT ? 0 : 1);
    }
    for (; i < count; i += LANES)
        tell_weights(&own, vec_load(w + i, count - i < LANES ? count - i : LANES), 0);
    *told = own;
}

static void weights_pass(struct summary *summary, const float *x, size_t count)
{
    struct told_weights told = {0};
    tell_all_weights(&told, x, count);
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
    vec signs; // of all numbers, or-ed
    vec_bits nonpositive, flat;
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
        told->signs = vec_or(told->signs, x);
    told->nonpositive = lanes_count(told->nonpositive, vec_is_at_most(x, vec_all(0)), count);
    if (look & LOOK_FLAT) {
        const vec_lanes flat = lanes_or(vec_is_at_most(x, below), vec_is_at_most(above, x));
        told->flat = lanes_count(told->flat, flat, count);
    }
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
    bool negative = vec_has_negative(vec_load(x, count < LANES ? count : LANES));
    struct told_outputs told = {0};
    if (!negative) {
        told = see_positive(x, count, flat, below, above);
        told.abs = told.sum;
        negative = vec_has_negative(told.signs);
    }
    if (negative)
        told = see_any(x, count, flat, below, above);
    const double square = wide_total(told.square);
    summary->count += count;
    summary->sum += wide_total(told.sum);
    summary->sum_abs += wide_total(told.abs);
    summary->sum_square += square;
    summary->nonpositive += lanes_total(told.nonpositive);
    summary->flat += lanes_total(nonpositive ? told.nonpositive : told.flat);
    if (!isfinite(square))
        summary->nonfinite += count_nonfinite(x, count);
}

static const struct summary_kernel passes = {gradient_pass, weights_pass, change_pass, outputs_pass};

#endif
