// batch_norm.c's passes in the words of math/wide_avx512.h or math/wide_avx2.h, whichever was included
// before: a vector's worth of columns at a time, whose rows then stay in the first-level cache.
#ifndef NABLA_TRAIN_BATCH_NORM_KERNEL_H
#define NABLA_TRAIN_BATCH_NORM_KERNEL_H

#include "train/batch_norm_passes.h"

struct moments {
    struct wide mean, variance;
    vec center, inverse;
};

// Deviations are taken from the first row, which is never further from the mean than √rows standard
// deviations: mean and variance come out of one pass, and nothing cancels.
INLINE struct moments take_moments(const float *x, size_t rows, size_t stride, double epsilon, size_t count)
{
    const vec origin = vec_load(x, count);
    const struct wide n = wide_all((double)rows);
    struct wide sum = wide_all(0), square = wide_all(0);
    for (size_t i = 0; i < rows; i++) {
        const struct wide deviation = wide_new(vec_sub(vec_load(x + i * stride, count), origin));
        wide_add(&sum, deviation);
        wide_add_square(&square, deviation);
    }
    const struct wide shift = wide_quotient(sum, n);
    struct moments moments = {.mean = wide_sum(wide_new(origin), shift)};
    moments.variance = wide_not_negative(wide_quotient(wide_difference(square, wide_product(sum, shift)), n));
    moments.center = wide_narrow(moments.mean);
    moments.inverse =
        wide_narrow(wide_quotient(wide_all(1), wide_root(wide_sum(moments.variance, wide_all(epsilon)))));
    return moments;
}

INLINE void move_running(float *running, struct wide batch, double momentum, size_t count)
{
    const struct wide kept = wide_product(wide_all(momentum), wide_new(vec_load(running, count)));
    const struct wide moved = wide_sum(kept, wide_product(wide_all(1 - momentum), batch));
    vec_store(running, wide_narrow(moved), count);
}

INLINE void forward_columns(const struct batch_norm_forward_pass *pass, size_t j, size_t count)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *x = pass->x + j;
    float *kept = pass->cache.normalised + j, *y = pass->y + j;
    const struct moments moments = take_moments(x, rows, stride, pass->epsilon, count);
    const vec gamma = vec_load(pass->gamma + j, count), beta = vec_load(pass->beta + j, count);
    move_running(pass->running.mean + j, moments.mean, pass->momentum, count);
    move_running(pass->running.variance + j, moments.variance, pass->momentum, count);
    vec_store(pass->cache.inverse + j, moments.inverse, count);
    for (size_t i = 0; i < rows; i++) {
        const vec deviation = vec_sub(vec_load(x + i * stride, count), moments.center);
        const vec normalised = vec_mul(deviation, moments.inverse);
        vec_store(kept + i * stride, normalised, count);
        vec_store(y + i * stride, vec_fmadd(gamma, normalised, beta), count);
    }
}

static void forward_pass(const struct batch_norm_forward_pass *pass, size_t first, size_t end)
{
    for (; first + LANES <= end; first += LANES)
        forward_columns(pass, first, LANES);
    if (first < end)
        forward_columns(pass, first, end - first);
}

// dx = scale · ((dy − mean of dy) − x̂ · mean of dy·x̂)
INLINE void input_columns(const struct batch_norm_backward_pass *pass, size_t j, struct wide sum_dy,
                          struct wide sum_product, size_t count)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *normalised = pass->cache.normalised + j, *dy = pass->dy + j;
    float *dx = pass->dx + j;
    const struct wide n = wide_all((double)rows);
    const vec mean_dy = wide_narrow(wide_quotient(sum_dy, n));
    const vec mean_product = wide_narrow(wide_quotient(sum_product, n));
    const vec scale = vec_mul(vec_load(pass->cache.inverse + j, count), vec_load(pass->gamma + j, count));
    for (size_t i = 0; i < rows; i++) {
        const vec part = vec_mul(vec_load(normalised + i * stride, count), mean_product);
        const vec rest = vec_sub(vec_load(dy + i * stride, count), mean_dy);
        vec_store(dx + i * stride, vec_mul(scale, vec_sub(rest, part)), count);
    }
}

INLINE void backward_columns(const struct batch_norm_backward_pass *pass, size_t j, size_t count)
{
    const size_t rows = pass->rows, stride = pass->columns;
    const float *normalised = pass->cache.normalised + j, *dy = pass->dy + j;
    struct wide sum_dy = wide_all(0), sum_product = wide_all(0);
    for (size_t i = 0; i < rows; i++) {
        const vec row = vec_load(dy + i * stride, count);
        wide_add(&sum_dy, wide_new(row));
        wide_add(&sum_product, wide_new(vec_mul(row, vec_load(normalised + i * stride, count))));
    }
    vec_store(pass->dbeta + j, wide_narrow(sum_dy), count);
    vec_store(pass->dgamma + j, wide_narrow(sum_product), count);
    if (pass->dx)
        input_columns(pass, j, sum_dy, sum_product, count);
}

static void backward_pass(const struct batch_norm_backward_pass *pass, size_t first, size_t end)
{
    for (; first + LANES <= end; first += LANES)
        backward_columns(pass, first, LANES);
    if (first < end)
        backward_columns(pass, first, end - first);
}

static const struct batch_norm_passes passes = {forward_pass, backward_pass};

#endif
