// The passes of summary.c's functions in the words of wide_avx512.h or wide_avx2.h, whichever was included
// before. summary.c's own, lane by lane and in double, are their oracle.
//
// Numbers come in blocks. A block's sums are taken in float, in lanes of which each adds up 64 numbers at
// most, and added to the summary in double: a sum is within 68·2^-24 of the sum of its terms' magnitudes.
// Where that would not be near enough the block is summed again in double: squares that overflow or
// underflow, as those of vanishing gradients do, and numbers so much alike that their mean would hide their
// deviation. What decides is the block alone, so the bits stay the same.
#ifndef NABLA_MATH_SUMMARY_KERNEL_H
#define NABLA_MATH_SUMMARY_KERNEL_H

#include "math/summary.h"

#include <math.h>

enum { BLOCK = 128 * LANES }; // numbers

INLINE size_t block_count(size_t left)
{
    return left < BLOCK ? left : BLOCK;
}

static size_t count_nonfinite(const float *x, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += isfinite(x[i]) ? 0 : 1;
    return found;
}

static size_t count_zero(const float *x, size_t count)
{
    size_t found = 0, i = 0;
    for (; i + LANES <= count; i += LANES)
        found += lanes_number(vec_is_zero(vec_load(x + i, LANES)), LANES);
    if (i < count)
        found += lanes_number(vec_is_zero(vec_load(x + i, count - i)), count - i);
    return found;
}

static void raise_max(struct summary *summary, vec_bits most)
{
    const double max_abs = vec_largest(most);
    if (!(summary->max_abs >= max_abs) && !isnan(summary->max_abs))
        summary->max_abs = max_abs;
}

// A sum in two turns, so that one addition need not wait for the one before. Its last vectors, of which there
// may be one or two, go to the first.
struct twin {
    vec turn[2];
};

INLINE struct twin twin_zero(void)
{
    return (struct twin){{vec_all(0), vec_all(0)}};
}

INLINE vec twin_sum(struct twin twin)
{
    return vec_add(twin.turn[0], twin.turn[1]);
}

INLINE void twin_add(struct twin *sum, vec x, size_t turn)
{
    sum->turn[turn] = vec_add(sum->turn[turn], x);
}

INLINE void twin_add_square(struct twin *sum, vec x, size_t turn)
{
    sum->turn[turn] = vec_fmadd(x, x, sum->turn[turn]);
}

// What a block adds to a summary.
struct block_sums {
    double sum, abs, square;
};

// A float's square is finite in double: a sum of squares that is not tells of numbers that are not.
static __attribute__((noinline, cold)) struct block_sums sum_exactly(struct summary *summary, const float *x,
                                                                     size_t count)
{
    struct wide sum = wide_all(0), abs = sum, square = sum;
    for (size_t i = 0; i < count; i += LANES) {
        const struct wide part = wide_new(vec_load(x + i, count - i < LANES ? count - i : LANES));
        wide_add(&sum, part);
        wide_add_abs(&abs, part);
        wide_add_square(&square, part);
    }
    const struct block_sums sums = {wide_total(sum), wide_total(abs), wide_total(square)};
    if (!isfinite(sums.square))
        summary->nonfinite += count_nonfinite(x, count);
    return sums;
}

// Neither overflowed nor lost to underflow, of which each addition may take 2^-150.
INLINE bool square_is_sound(double square)
{
    return square > 0x1p-100 && square < (double)INFINITY;
}

// And the mean's square is at most three quarters of the squares' mean: the variance keeps a quarter.
INLINE bool sums_are_sound(size_t count, double sum, double square)
{
    return square_is_sound(square) && sum * sum <= 0.75 * (double)count * square;
}

// ---- gradients ----

// Lanes beyond the last number are 0, and only counts need to know.
struct gradient_sums {
    struct twin sum, abs, square;
    vec_bits most;
    size_t tiny;
};

INLINE void see_gradient(struct gradient_sums *sums, vec g, size_t count, const size_t turn)
{
    const vec size = vec_abs(g);
    twin_add(&sums->sum, g, turn);
    twin_add(&sums->abs, size, turn);
    twin_add_square(&sums->square, g, turn);
    sums->most = vec_most(sums->most, size);
    sums->tiny += lanes_number(vec_is_below(size, vec_all(1e-7F)), count);
}

INLINE void tell_gradient(struct summary *summary, const struct gradient_sums *sums, const float *g,
                          size_t count)
{
    double total[4];
    vec_totals(total, twin_sum(sums->sum), twin_sum(sums->abs), twin_sum(sums->square), vec_all(0));
    struct block_sums found = {total[0], total[1], total[2]};
    if (!sums_are_sound(count, found.sum, found.square))
        found = sum_exactly(summary, g, count);
    summary->count += count;
    summary->sum += found.sum;
    summary->sum_abs += found.abs;
    summary->sum_square += found.square;
    raise_max(summary, sums->most);
    summary->tiny += sums->tiny;
    if (sums->tiny > 0)
        summary->zero += count_zero(g, count);
}

static void gradient_pass(struct summary *summary, const float *x, size_t count)
{
    for (size_t first = 0; first < count; first += BLOCK) {
        const float *g = x + first;
        const size_t n = block_count(count - first);
        struct gradient_sums sums = {0};
        size_t i = 0;
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            see_gradient(&sums, vec_load(g + i, LANES), LANES, 0);
            see_gradient(&sums, vec_load(g + i + LANES, LANES), LANES, 1);
        }
        for (; i < n; i += LANES) {
            const size_t rest = n - i < LANES ? n - i : LANES;
            see_gradient(&sums, vec_load(g + i, rest), rest, 0);
        }
        tell_gradient(summary, &sums, g, n);
    }
}

// ---- weights ----

struct weights_sums {
    struct twin sum, square;
};

INLINE void see_weights(struct weights_sums *sums, vec w, const size_t turn)
{
    twin_add(&sums->sum, w, turn);
    twin_add_square(&sums->square, w, turn);
}

INLINE void tell_weights(struct summary *summary, const struct weights_sums *sums, const float *w,
                         size_t count)
{
    double total[4];
    vec_totals(total, twin_sum(sums->sum), twin_sum(sums->square), vec_all(0), vec_all(0));
    struct block_sums found = {.sum = total[0], .square = total[1]};
    if (!sums_are_sound(count, found.sum, found.square))
        found = sum_exactly(summary, w, count);
    summary->count += count;
    summary->sum += found.sum;
    summary->sum_square += found.square;
}

static void weights_pass(struct summary *summary, const float *x, size_t count)
{
    for (size_t first = 0; first < count; first += BLOCK) {
        const float *w = x + first;
        const size_t n = block_count(count - first);
        struct weights_sums sums = {0};
        size_t i = 0;
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            see_weights(&sums, vec_load(w + i, LANES), 0);
            see_weights(&sums, vec_load(w + i + LANES, LANES), 1);
        }
        for (; i < n; i += LANES)
            see_weights(&sums, vec_load(w + i, n - i < LANES ? n - i : LANES), 0);
        tell_weights(summary, &sums, w, n);
    }
}

// ---- and how they changed ----

struct change_sums {
    struct twin square;
    vec_bits most;
};

INLINE void see_change(struct change_sums *sums, vec change, const size_t turn)
{
    twin_add_square(&sums->square, change, turn);
    sums->most = vec_most(sums->most, vec_abs(change));
}

INLINE void tell_change(struct summary *summary, const struct change_sums *sums, const float *change,
                        size_t count)
{
    double total[4];
    vec_totals(total, twin_sum(sums->square), vec_all(0), vec_all(0), vec_all(0));
    summary->count += count;
    summary->sum_square += square_is_sound(total[0]) ? total[0] : sum_exactly(summary, change, count).square;
    raise_max(summary, sums->most);
}

static void change_pass(struct summary *summary, const float *x, size_t count)
{
    for (size_t first = 0; first < count; first += BLOCK) {
        const float *change = x + first;
        const size_t n = block_count(count - first);
        struct change_sums sums = {0};
        size_t i = 0;
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            see_change(&sums, vec_load(change + i, LANES), 0);
            see_change(&sums, vec_load(change + i + LANES, LANES), 1);
        }
        for (; i < n; i += LANES)
            see_change(&sums, vec_load(change + i, n - i < LANES ? n - i : LANES), 0);
        tell_change(summary, &sums, change, n);
    }
}

// ---- outputs ----

// Sums are of deviations from a number amidst the block's, so that a layer whose outputs are all near one
// value, as saturated ones are, keeps its deviation. What no number of a block can be, as its least and
// largest tell, is not counted there.
struct output_sums {
    struct twin sum, square, abs;
    vec least, largest; // but for NaN
    size_t nonpositive;
};

// What a pass over outputs looks for; constant in each caller. Outputs of sigmoid have no nonpositive one,
// those of relu no negative one whose magnitude is not itself.
enum { LOOK_NONPOSITIVE = 1, LOOK_ABS = 2, LOOK_LARGEST = 4 };

struct look {
    unsigned at;
    float pivot, below, above;
};

// And what comes of it.
struct output_totals {
    double sum, square, abs;
    size_t nonpositive;
    bool maybe_nonpositive, maybe_negative, maybe_flat;
};

INLINE void see_output(struct output_sums *sums, vec x, vec pivot, size_t count, unsigned at,
                       const size_t turn)
{
    const vec deviation = vec_keep(vec_sub(x, pivot), count);
    twin_add(&sums->sum, deviation, turn);
    twin_add_square(&sums->square, deviation, turn);
    if (at & LOOK_ABS)
        twin_add(&sums->abs, vec_abs(x), turn);
    if (at & LOOK_NONPOSITIVE)
        sums->nonpositive += lanes_number(vec_is_at_most(x, vec_all(0)), count);
    sums->least = vec_lesser(x, sums->least);
    if (at & LOOK_LARGEST)
        sums->largest = vec_greater(x, sums->largest);
}

// Of the first vector, or what there is of it.
INLINE float pivot_of(const float *x, size_t count)
{
    double total[4];
    const size_t n = count < LANES ? count : LANES;
    vec_totals(total, vec_load(x, n), vec_all(0), vec_all(0), vec_all(0));
    return (float)total[0] / (float)n;
}

INLINE void total_outputs(struct output_totals *ret, const struct output_sums *sums, const struct look *look)
{
    double total[4];
    vec_totals(total, twin_sum(sums->sum), twin_sum(sums->square), twin_sum(sums->abs), vec_all(0));
    ret->sum = total[0];
    ret->square = total[1];
    ret->abs = total[2];
    ret->nonpositive = sums->nonpositive;
    ret->maybe_nonpositive = lanes_any(vec_is_at_most(sums->least, vec_all(0)));
    ret->maybe_negative = lanes_any(vec_is_below(sums->least, vec_all(0)));
    ret->maybe_flat = lanes_any(lanes_or(vec_is_at_most(sums->least, vec_all(look->below)),
                                         vec_is_at_most(vec_all(look->above), sums->largest)));
}

INLINE void see_outputs(struct output_totals *ret, const float *x, size_t count, const struct look *look,
                        unsigned at)
{
    struct output_sums sums = {twin_zero(),       twin_zero(),        twin_zero(),
                               vec_all(INFINITY), vec_all(-INFINITY), 0};
    const vec pivot = vec_all(look->pivot);
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        see_output(&sums, vec_load(x + i, LANES), pivot, LANES, at, 0);
        see_output(&sums, vec_load(x + i + LANES, LANES), pivot, LANES, at, 1);
    }
    for (; i < count; i += LANES) {
        const size_t rest = count - i < LANES ? count - i : LANES;
        see_output(&sums, vec_load(x + i, rest), pivot, rest, at, 0);
    }
    total_outputs(ret, &sums, look);
}

static void see_any(struct output_totals *ret, const float *x, size_t count, const struct look *look)
{
    switch (look->at) {
    case 0:
        return see_outputs(ret, x, count, look, 0);
    case LOOK_NONPOSITIVE:
        return see_outputs(ret, x, count, look, LOOK_NONPOSITIVE);
    case LOOK_NONPOSITIVE | LOOK_ABS:
        return see_outputs(ret, x, count, look, LOOK_NONPOSITIVE | LOOK_ABS);
    case LOOK_LARGEST:
        return see_outputs(ret, x, count, look, LOOK_LARGEST);
    case LOOK_LARGEST | LOOK_NONPOSITIVE:
        return see_outputs(ret, x, count, look, LOOK_LARGEST | LOOK_NONPOSITIVE);
    default:
        return see_outputs(ret, x, count, look, LOOK_LARGEST | LOOK_NONPOSITIVE | LOOK_ABS);
    }
}

// From where there is a nonpositive or negative number on, others are expected.
static void expect_more(struct look *look, bool nonpositive, bool negative)
{
    look->at |= nonpositive ? LOOK_NONPOSITIVE : 0;
    look->at |= negative ? LOOK_NONPOSITIVE | LOOK_ABS : 0;
}

static struct look look_for(const float *x, size_t count, float below, float above)
{
    struct look look = {isnan(above) ? 0 : LOOK_LARGEST, pivot_of(x, count), below, above};
    const vec first = vec_load(x, count < LANES ? count : LANES);
    expect_more(&look, lanes_any(vec_is_at_most(first, vec_all(0))),
                lanes_any(vec_is_below(first, vec_all(0))));
    return look;
}

static size_t count_flat(const float *x, size_t count, const struct look *look)
{
    const vec below = vec_all(look->below), above = vec_all(look->above);
    size_t found = 0;
    for (size_t i = 0; i < count; i += LANES) {
        const size_t n = count - i < LANES ? count - i : LANES;
        const vec part = vec_load(x + i, n);
        found += lanes_number(lanes_or(vec_is_at_most(part, below), vec_is_at_most(above, part)), n);
    }
    return found;
}

static struct block_sums sum_outputs(struct summary *summary, const struct output_totals *totals,
                                     const struct look *look, const float *x, size_t count)
{
    if (!sums_are_sound(count, totals->sum, totals->square))
        return sum_exactly(summary, x, count);
    const double pivot = (double)look->pivot, sum = (double)count * pivot + totals->sum;
    const double square = pivot * (sum + totals->sum) + totals->square;
    return (struct block_sums){sum, look->at & LOOK_ABS ? totals->abs : sum, square};
}

static void count_outputs(struct summary *summary, const struct output_totals *totals,
                          const struct look *look, const float *x, size_t count)
{
    const bool same = look->below == 0 && isnan(look->above);
    const size_t flat = !same && totals->maybe_flat ? count_flat(x, count, look) : 0;
    summary->nonpositive += totals->nonpositive;
    summary->flat += same ? totals->nonpositive : flat;
}

// A block with a number that was not expected is gone through again.
static void outputs_pass(struct summary *summary, const float *x, size_t count, float below, float above)
{
    struct look look = look_for(x, count, below, above);
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = block_count(count - first);
        const unsigned expected = look.at;
        struct output_totals totals;
        see_any(&totals, x + first, n, &look);
        expect_more(&look, totals.maybe_nonpositive, totals.maybe_negative);
        if (look.at != expected)
            see_any(&totals, x + first, n, &look);
        const struct block_sums found = sum_outputs(summary, &totals, &look, x + first, n);
        summary->count += n;
        summary->sum += found.sum;
        summary->sum_abs += found.abs;
        summary->sum_square += found.square;
        count_outputs(summary, &totals, &look, x + first, n);
    }
}

static const struct summary_kernel passes = {gradient_pass, weights_pass, change_pass, outputs_pass};

#endif
