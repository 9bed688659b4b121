#include "train/batch_norm.h"

#include "base/crew.h"
#include "math/vectorised.h"

#ifndef NABLA_REAL_DOUBLE
#include "train/batch_norm_passes.h"
#endif

#include <math.h>
#include <string.h>

// Column sums in double, row by row: the order is the same whatever the vectors' width.
static VECTORISED void sum_columns(double *restrict sum, const real *restrict x, size_t rows, size_t columns)
{
    memset(sum, 0, columns * sizeof *sum);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            sum[j] += (double)x[i * columns + j];
}

static VECTORISED void sum_square_deviations(double *restrict sum, const real *restrict x,
                                             const real *restrict mean, size_t rows, size_t columns)
{
    memset(sum, 0, columns * sizeof *sum);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            double deviation = (double)(x[i * columns + j] - mean[j]);
            sum[j] += deviation * deviation;
        }
}

static VECTORISED void sum_products(double *restrict sum, const real *restrict a, const real *restrict b,
                                    size_t rows, size_t columns)
{
    memset(sum, 0, columns * sizeof *sum);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            sum[j] += (double)(a[i * columns + j] * b[i * columns + j]);
}

static VECTORISED void divide(real *restrict quotient, const double *restrict sum, double divisor,
                              size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        quotient[j] = (real)(sum[j] / divisor);
}

static VECTORISED void normalise(real *restrict normalised, const real *restrict x, const real *restrict mean,
                                 const real *restrict inverse, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            normalised[i * columns + j] = (x[i * columns + j] - mean[j]) * inverse[j];
}

static VECTORISED void scale(real *restrict y, const real *restrict normalised, const real *restrict gamma,
                             const real *restrict beta, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            y[i * columns + j] = gamma[j] * normalised[i * columns + j] + beta[j];
}

static void move_towards(real *running, double batch, double momentum)
{
    *running = (real)(momentum * (double)*running + (1 - momentum) * batch);
}

static VECTORISED void take_variance(real *restrict inverse, const double *restrict sum, double epsilon,
                                     size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        inverse[j] = (real)(1 / sqrt(sum[j] / (double)rows + epsilon));
}

static void forward_by_rows(real *y, const real *x, const real *gamma, const real *beta,
                            const struct batch_norm_cache *cache, const struct batch_norm_running *running,
                            double momentum, double epsilon, size_t rows, size_t columns)
{
    double *sum = cache->sums, *squares = cache->sums + columns;
    sum_columns(sum, x, rows, columns);
    divide(cache->mean, sum, (double)rows, columns);
    sum_square_deviations(squares, x, cache->mean, rows, columns);
    take_variance(cache->inverse, squares, epsilon, rows, columns);
    for (size_t j = 0; j < columns; j++) {
        move_towards(&running->mean[j], sum[j] / (double)rows, momentum);
        move_towards(&running->variance[j], squares[j] / (double)rows, momentum);
    }
    normalise(cache->normalised, x, cache->mean, cache->inverse, rows, columns);
    scale(y, cache->normalised, gamma, beta, rows, columns);
}

ENGINE void batch_norm_infer(real *y, const real *x, const real *gamma, const real *beta,
                             const struct batch_norm_cache *cache, const struct batch_norm_running *running,
                             double epsilon, size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        cache->inverse[j] = (real)(1 / sqrt((double)running->variance[j] + epsilon));
    normalise(cache->normalised, x, running->mean, cache->inverse, rows, columns);
    scale(y, cache->normalised, gamma, beta, rows, columns);
}

// dx = gamma / (n √(variance + ε)) · (n·dy − Σdy − x̂·Σ(dy·x̂)), sums over the n rows.
static VECTORISED void input_gradient(real *dx, const real *dy, const real *normalised,
                                      const real *restrict scales, const real *restrict mean_dy,
                                      const real *restrict mean_product, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            size_t k = i * columns + j;
            dx[k] = scales[j] * (dy[k] - mean_dy[j] - normalised[k] * mean_product[j]);
        }
}

static void backward_by_rows(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                             const struct batch_norm_cache *cache, size_t rows, size_t columns)
{
    double *sum_dy = cache->sums, *sum_product = cache->sums + columns;
    sum_columns(sum_dy, dy, rows, columns);
    sum_products(sum_product, dy, cache->normalised, rows, columns);
    divide(dbeta, sum_dy, 1, columns);
    divide(dgamma, sum_product, 1, columns);
    if (!dx)
        return;
    // The cache is used up here: its room takes what the last pass needs of each column.
    real *mean_dy = cache->mean, *scales = cache->inverse, *mean_product = (real *)cache->sums;
    divide(mean_dy, sum_dy, (double)rows, columns);
    for (size_t j = 0; j < columns; j++) {
        mean_product[j] = (real)(sum_product[j] / (double)rows);
        scales[j] *= gamma[j];
    }
    input_gradient(dx, dy, cache->normalised, scales, mean_dy, mean_product, rows, columns);
}

#ifndef NABLA_REAL_DOUBLE
enum {
    SHARED_BATCH = 1 << 15, // a batch of fewer numbers is not worth sharing
    PIECE_COLUMNS = 64      // of one that is
};

static const struct batch_norm_passes *widest(void)
{
    const struct batch_norm_passes *passes = batch_norm_avx512();
    return passes ? passes : batch_norm_avx2();
}

static void forward_columns(void *context, size_t first, size_t end)
{
    widest()->forward(context, first, end);
}

static void backward_columns(void *context, size_t first, size_t end)
{
    widest()->backward(context, first, end);
}

// Of columns.
static size_t piece_of(size_t rows, size_t columns)
{
    return rows * columns >= SHARED_BATCH ? PIECE_COLUMNS : columns;
}
#endif

ENGINE void batch_norm_forward(real *y, const real *x, const real *gamma, const real *beta,
                               const struct batch_norm_cache *cache, const struct batch_norm_running *running,
                               double momentum, double epsilon, size_t rows, size_t columns)
{
#ifndef NABLA_REAL_DOUBLE
    struct batch_norm_forward_pass pass = {y,        x,        gamma,   beta, *cache,
                                           *running, momentum, epsilon, rows, columns};
    if (widest()) {
        crew_share_range(forward_columns, &pass, columns, piece_of(rows, columns));
        return;
    }
#endif
    forward_by_rows(y, x, gamma, beta, cache, running, momentum, epsilon, rows, columns);
}

ENGINE void batch_norm_backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                                const struct batch_norm_cache *cache, size_t rows, size_t columns)
{
#ifndef NABLA_REAL_DOUBLE
    struct batch_norm_backward_pass pass = {dx, dgamma, dbeta, dy, gamma, *cache, rows, columns};
    if (widest()) {
        crew_share_range(backward_columns, &pass, columns, piece_of(rows, columns));
        return;
    }
#endif
    backward_by_rows(dx, dgamma, dbeta, dy, gamma, cache, rows, columns);
}
