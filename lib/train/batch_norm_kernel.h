// batch_norm.c's passes in the words of math/wide_avx512.h or math/wide_avx2.h, whichever was included
// before: a vector's worth of columns at a time, whose rows then stay in the first-level cache.
#ifndef NABLA_TRAIN_BATCH_NORM_KERNEL_H
#define NABLA_TRAIN_BATCH_NORM_KERNEL_H

#include "train/batch_norm_passes.h"

// Vectors of columns that are gone through together: a cache line of each row at least, and sums enough in
// flight to hide the time that each takes.
enum { TOGETHER = 2, TOGETHER_COLUMNS = TOGETHER * LANES };

// The build zeroes automatic variables; these are written before they are read.
#define BARE __attribute__((uninitialized))

struct moments {
    struct wide mean[TOGETHER], variance[TOGETHER];
};

// Deviations are taken from the first row, which is never further from the mean than √rows standard
// deviations: mean and variance come out of one pass, and nothing cancels.
INLINE struct moments take_moments(const float *x, size_t rows, size_t stride, size_t count,
                                   const size_t vectors)
{
    vec origin[TOGETHER] BARE;
    struct wide sum[TOGETHER] BARE, square[TOGETHER] BARE;
    struct moments moments BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        origin[k] = vec_load(x + k * LANES, count);
        sum[k] = square[k] = wide_all(0);
    }
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            const vec row = vec_load(x + i * stride + k * LANES, count);
            const struct wide deviation = wide_new(vec_sub(row, origin[k]));
            wide_add(&sum[k], deviation);
            wide_add_square(&square[k], deviation);
        }
    const struct wide n = wide_all((double)rows);
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++) {
        const struct wide shift = wide_quotient(sum[k], n);
        const struct wide rest = wide_difference(square[k], wide_product(sum[k], shift));
        moments.mean[k] = wide_sum(wide_new(origin[k]), shift);
        moments.variance[k] = wide_not_negative(wide_quotient(rest, n));
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
    const struct moments moments = take_moments(x, rows, stride, count, vectors);
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

INLINE void backward_columns(const struct batch_norm_backward_pass *pass, size_t j, size_t count,
                             const size_t vectors)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *normalised = pass->cache.normalised + j, *dy = pass->dy + j;
    struct column_sums sums BARE;
#pragma GCC unroll 2
    for (size_t k = 0; k < vectors; k++)
        sums.dy[k] = sums.product[k] = wide_all(0);
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (size_t k = 0; k < vectors; k++) {
            const size_t at = i * stride + k * LANES;
            const vec row = vec_load(dy + at, count);
            wide_add(&sums.dy[k], wide_new(row));
            wide_add(&sums.product[k], wide_new(vec_mul(row, vec_load(normalised + at, count))));
        }
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
