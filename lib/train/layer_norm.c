#include "train/layer_norm.h"

#include "base/crew.h"
#include "math/vectorised.h"

#include <math.h>
#include <string.h>

// Sums of a row are in double: one order whatever the vectors' width.
static VECTORISED double row_mean(const real *restrict x, size_t columns)
{
    double sum = 0;
    for (size_t j = 0; j < columns; j++)
        sum += (double)x[j];
    return sum / (double)columns;
}

static VECTORISED double row_variance(const real *restrict x, double mean, size_t columns)
{
    double sum = 0;
    for (size_t j = 0; j < columns; j++) {
        double deviation = (double)x[j] - mean;
        sum += deviation * deviation;
    }
    return sum / (double)columns;
}

static VECTORISED void normalise_row(real *restrict normalised, const real *restrict x, double mean,
                                     double inverse, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        normalised[j] = (real)(((double)x[j] - mean) * inverse);
}

static VECTORISED void scale_row(real *restrict y, const real *restrict normalised,
                                 const real *restrict gamma, const real *restrict beta, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        y[j] = gamma[j] * normalised[j] + beta[j];
}

enum { SHARED_NUMBERS = 1 << 14 }; // numbers: fewer are not worth sharing

static size_t piece_rows(size_t columns)
{
    return SHARED_NUMBERS / columns + 1;
}

struct norm_forward {
    real *y;
    const real *x, *gamma, *beta;
    const struct layer_norm_cache *cache;
    double epsilon;
    size_t columns;
};

static void forward_rows(void *context, size_t first, size_t end)
{
    const struct norm_forward *forward = context;
    const size_t columns = forward->columns;
    for (size_t i = first; i < end; i++) {
        const real *row = forward->x + i * columns;
        real *normalised = forward->cache->normalised + i * columns;
        const double mean = row_mean(row, columns);
        const double inverse = 1 / sqrt(row_variance(row, mean, columns) + forward->epsilon);
        forward->cache->inverse[i] = (real)inverse;
        normalise_row(normalised, row, mean, inverse, columns);
        scale_row(forward->y + i * columns, normalised, forward->gamma, forward->beta, columns);
    }
}

ENGINE void layer_norm_forward(real *y, const real *x, const real *gamma, const real *beta,
                               const struct layer_norm_cache *cache, double epsilon, size_t rows,
                               size_t columns)
{
    struct norm_forward forward = {y, x, gamma, beta, cache, epsilon, columns};
    crew_share_range(forward_rows, &forward, rows, piece_rows(columns));
}

static VECTORISED void add_row(real *restrict dgamma, real *restrict dbeta, const real *restrict dy,
                               const real *restrict normalised, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        dgamma[j] += dy[j] * normalised[j];
        dbeta[j] += dy[j];
    }
}

// With d = gamma·dy: dx = (d − mean(d) − x̂·mean(d·x̂)) / √(variance + ε), means over the row.
static VECTORISED void input_row(real *dx, const real *dy, const real *restrict gamma,
                                 const real *restrict normalised, real inverse, size_t columns)
{
    double sum = 0, product = 0;
    for (size_t j = 0; j < columns; j++) {
        double scaled = (double)dy[j] * (double)gamma[j];
        sum += scaled;
        product += scaled * (double)normalised[j];
    }
    const real mean = (real)(sum / (double)columns), slope = (real)(product / (double)columns);
    for (size_t j = 0; j < columns; j++)
        dx[j] = inverse * (dy[j] * gamma[j] - mean - normalised[j] * slope);
}

struct norm_backward {
    real *dx;
    const real *dy, *gamma;
    const struct layer_norm_cache *cache;
    size_t columns;
};

static void input_rows(void *context, size_t first, size_t end)
{
    const struct norm_backward *backward = context;
    const size_t columns = backward->columns;
    for (size_t i = first; i < end; i++)
        input_row(backward->dx + i * columns, backward->dy + i * columns, backward->gamma,
                  backward->cache->normalised + i * columns, backward->cache->inverse[i], columns);
}

ENGINE void layer_norm_backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                                const struct layer_norm_cache *cache, size_t rows, size_t columns)
{
    struct norm_backward backward = {dx, dy, gamma, cache, columns};
    memset(dgamma, 0, columns * sizeof *dgamma);
    memset(dbeta, 0, columns * sizeof *dbeta);
    for (size_t i = 0; i < rows; i++)
        add_row(dgamma, dbeta, dy + i * columns, cache->normalised + i * columns, columns);
    if (dx)
        crew_share_range(input_rows, &backward, rows, piece_rows(columns));
}
