// batch_norm.c's passes in the words of math/wide_avx512.h or math/wide_avx2.h, whichever was included
// before: a vector's worth of columns at a time, whose rows then stay in the first-level cache.
#ifndef NABLA_TRAIN_BATCH_NORM_KERNEL_H
#define NABLA_TRAIN_BATCH_NORM_KERNEL_H

#include "train/batch_norm_passes.h"

#include <math.h>

// Vectors of columns that are gone through together: a cache line of each row at least, and sums enough in
// flight to hide the time that each takes.
enum { TOGETHER = 2, TOGETHER_COLUMNS = TOGETHER * LANES };

// The build zeroes automatic variables; these are written before they are read.
#define BARE __attribute__((uninitialized))

// Of rows whose sums are taken in float before they go to double.
enum { ROWS_TOGETHER = 32 };

struct deviation_sums {
    struct wide sum[TOGETHER], square[TOGETHER];
};

INLINE size_t rows_end(size_t first, size_t rows)
{
    return rows - first < ROWS_TOGETHER ? rows : first + ROWS_TOGETHER;
}

INLINE struct deviation_sums sum_deviations(const float *x, size_t rows, size_t stride, size_t count,
                                            const size_t vectors)
{
    struct deviation_sums sums BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++)
        sums.sum[k] = sums.square[k] = wide_all(0);
    for (size_t first = 0; first < rows; first = rows_end(first, rows)) {
        vec sum[TOGETHER] BARE, square[TOGETHER] BARE;
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++)
            sum[k] = square[k] = vec_all(0);
        for (size_t i = first; i < rows_end(first, rows); i++)
#pragma GCC unroll 2
            for (size_t k = 0; k < vectors; k++) {
                const vec origin = vec_load(x + k * LANES, count);
                const vec deviation = vec_sub(vec_load(x + i * stride + k * LANES, count), origin);
                sum[k] = vec_add(sum[k], deviation);
                square[k] = vec_fmadd(deviation, deviation, square[k]);
            }
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            wide_add(&sums.sum[k], wide_new(sum[k]));
            wide_add(&sums.square[k], wide_new(square[k]));
        }
    }
    return sums; // cppcheck-suppress uninitvar // the first `vectors`, which the caller asked for
}

// Of one vector's columns. What is left of the squares when the mean is taken out, and that mean.
struct spread {
    struct wide rest, shift;
};

INLINE struct spread spread_of(struct wide sum, struct wide square, size_t rows)
{
    const struct wide shift = wide_quotient(sum, wide_all((double)rows));
    return (struct spread){wide_difference(square, wide_product(sum, shift)), shift};
}

static __attribute__((noinline, cold)) struct spread spread_exactly(const float *x, size_t rows,
                                                                    size_t stride, size_t count)
{
    const vec origin = vec_load(x, count);
    struct wide sum = wide_all(0), square = sum;
    for (size_t i = 0; i < rows; i++) {
        const struct wide deviation = wide_new(vec_sub(vec_load(x + i * stride, count), origin));
        wide_add(&sum, deviation);
        wide_add_square(&square, deviation);
    }
    return spread_of(sum, square, rows);
}

struct moments {
    struct wide mean[TOGETHER], variance[TOGETHER];
};

// Deviations are taken from the first row, which is never further from the mean than √rows standard
// deviations: mean and variance come out of one pass, and little cancels. A column of which more does than
// float can spare, or whose squares overflow, is summed again in double. Squares that underflow are lost
// beside epsilon.
INLINE struct moments take_moments(const float *x, size_t rows, size_t stride, size_t count, bool exactly,
                                   const size_t vectors)
{
    struct moments moments BARE;
    const struct deviation_sums sums = sum_deviations(x, rows, stride, count, vectors);
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        const struct wide square = sums.square[k], nothing = wide_difference(square, square); // or NaN
        struct spread spread = spread_of(sums.sum[k], square, rows);
        const struct wide least = exactly ? wide_all((double)NAN) : wide_sum(square, nothing);
        const struct wide most = wide_product(wide_all(8), spread.rest);
        if (!wide_is_at_most(least, most)) {
            const struct spread exact = spread_exactly(x + k * LANES, rows, stride, count);
            spread.rest = wide_choose(least, most, spread.rest, exact.rest);
            spread.shift = wide_choose(least, most, spread.shift, exact.shift);
        }
        moments.mean[k] = wide_sum(wide_new(vec_load(x + k * LANES, count)), spread.shift);
        moments.variance[k] = wide_not_negative(wide_quotient(spread.rest, wide_all((double)rows)));
    }
    return moments; // cppcheck-suppress uninitvar // the first `vectors`, which the caller asked for
}

INLINE vec inverse_of(struct wide variance, double epsilon)
{
    const struct wide deviation = wide_root(wide_sum(variance, wide_all(epsilon)));
    return wide_narrow(wide_quotient(wide_all(1), deviation));
}

INLINE void move_running(float *running, struct wide batch, double momentum, size_t count)
{
    const struct wide kept = wide_product(wide_all(momentum), wide_new(vec_load(running, count)));
    const struct wide moved = wide_sum(kept, wide_product(wide_all(1 - momentum), batch));
    vec_store(running, wide_narrow(moved), count);
}

// `count` is how much of each vector there is.
INLINE void forward_columns(const struct batch_norm_forward_pass *pass, size_t j, size_t count,
                            const size_t vectors)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *x = pass->x + j;
    float *kept = pass->cache.normalised + j, *y = pass->y + j;
    const struct moments moments = take_moments(x, rows, stride, count, pass->epsilon < 0x1p-100, vectors);
    vec center[TOGETHER] BARE, inverse[TOGETHER] BARE, gamma[TOGETHER] BARE, beta[TOGETHER] BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        const size_t at = j + k * LANES;
        center[k] = wide_narrow(moments.mean[k]);
        inverse[k] = inverse_of(moments.variance[k], pass->epsilon);
        gamma[k] = vec_load(pass->gamma + at, count);
        beta[k] = vec_load(pass->beta + at, count);
        vec_store(pass->cache.inverse + at, inverse[k], count);
        move_running(pass->running.mean + at, moments.mean[k], pass->momentum, count);
        move_running(pass->running.variance + at, moments.variance[k], pass->momentum, count);
    }
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            const size_t at = i * stride + k * LANES;
            const vec normalised = vec_mul(vec_sub(vec_load(x + at, count), center[k]), inverse[k]);
            vec_store(kept + at, normalised, count);
            vec_store(y + at, vec_fmadd(gamma[k], normalised, beta[k]), count);
        }
}

static void forward_pass(const struct batch_norm_forward_pass *pass, size_t first, size_t end)
{
    for (; first + TOGETHER_COLUMNS <= end; first += TOGETHER_COLUMNS)
        forward_columns(pass, first, LANES, TOGETHER);
    for (; first + LANES <= end; first += LANES)
        forward_columns(pass, first, LANES, 1);
    if (first < end)
        forward_columns(pass, first, end - first, 1);
}

struct column_sums {
    struct wide dy[TOGETHER], product[TOGETHER]; // Σ dy, Σ dy·x̂
};

// dx = scale · ((dy − mean of dy) − x̂ · mean of dy·x̂)
INLINE void input_columns(const struct batch_norm_backward_pass *pass, const struct column_sums *sums,
                          size_t j, size_t count, const size_t vectors)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *normalised = pass->cache.normalised + j, *dy = pass->dy + j;
    float *dx = pass->dx + j;
    const struct wide n = wide_all((double)rows);
    vec mean_dy[TOGETHER] BARE, mean_product[TOGETHER] BARE, scale[TOGETHER] BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        const size_t at = j + k * LANES;
        mean_dy[k] = wide_narrow(wide_quotient(sums->dy[k], n));
        mean_product[k] = wide_narrow(wide_quotient(sums->product[k], n));
        scale[k] = vec_mul(vec_load(pass->cache.inverse + at, count), vec_load(pass->gamma + at, count));
    }
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            const size_t at = i * stride + k * LANES;
            const vec part = vec_mul(vec_load(normalised + at, count), mean_product[k]);
            const vec rest = vec_sub(vec_load(dy + at, count), mean_dy[k]);
            vec_store(dx + at, vec_mul(scale[k], vec_sub(rest, part)), count);
        }
}

INLINE struct column_sums sum_columns_of(const float *normalised, const float *dy, size_t rows, size_t stride,
                                         size_t count, const size_t vectors)
{
    struct column_sums sums BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++)
        sums.dy[k] = sums.product[k] = wide_all(0);
    for (size_t first = 0; first < rows; first = rows_end(first, rows)) {
        vec sum[TOGETHER] BARE, product[TOGETHER] BARE;
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++)
            sum[k] = product[k] = vec_all(0);
        for (size_t i = first; i < rows_end(first, rows); i++)
#pragma GCC unroll 2
            for (size_t k = 0; k < vectors; k++) {
                const size_t at = i * stride + k * LANES;
                const vec row = vec_load(dy + at, count);
                sum[k] = vec_add(sum[k], row);
                product[k] = vec_fmadd(row, vec_load(normalised + at, count), product[k]);
            }
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            wide_add(&sums.dy[k], wide_new(sum[k]));
            wide_add(&sums.product[k], wide_new(product[k]));
        }
    }
    return sums; // cppcheck-suppress uninitvar // the first `vectors`, which the caller asked for
}

INLINE void backward_columns(const struct batch_norm_backward_pass *pass, size_t j, size_t count,
                             const size_t vectors)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *normalised = pass->cache.normalised + j, *dy = pass->dy + j;
    const struct column_sums sums = sum_columns_of(normalised, dy, rows, stride, count, vectors);
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        vec_store(pass->dbeta + j + k * LANES, wide_narrow(sums.dy[k]), count);
        vec_store(pass->dgamma + j + k * LANES, wide_narrow(sums.product[k]), count);
    }
    if (pass->dx)
        input_columns(pass, &sums, j, count, vectors);
}

static void backward_pass(const struct batch_norm_backward_pass *pass, size_t first, size_t end)
{
    for (; first + TOGETHER_COLUMNS <= end; first += TOGETHER_COLUMNS)
        backward_columns(pass, first, LANES, TOGETHER);
    for (; first + LANES <= end; first += LANES)
        backward_columns(pass, first, LANES, 1);
    if (first < end)
        backward_columns(pass, first, end - first, 1);
}

#undef BARE

static const struct batch_norm_passes passes = {forward_pass, backward_pass};

#endif
