#include "train/layer_norm.h"

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

ENGINE void layer_norm_forward(real *y, const real *x, const real *gamma, const real *beta,
                               const struct layer_norm_cache *cache, double epsilon, size_t rows,
                               size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        const real *row = x + i * columns;
        real *normalised = cache->normalised + i * columns;
        const double mean = row_mean(row, columns);
        const double inverse = 1 / sqrt(row_variance(row, mean, columns) + epsilon);
        cache->inverse[i] = (real)inverse;
        normalise_row(normalised, row, mean, inverse, columns);
        scale_row(y + i * columns, normalised, gamma, beta, columns);
    }
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

ENGINE void layer_norm_backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *gamma,
                                const struct layer_norm_cache *cache, size_t rows, size_t columns)
{
    memset(dgamma, 0, columns * sizeof *dgamma);
    memset(dbeta, 0, columns * sizeof *dbeta);
    for (size_t i = 0; i < rows; i++) {
        const real *normalised = cache->normalised + i * columns;
        add_row(dgamma, dbeta, dy + i * columns, normalised, columns);
        if (dx)
            input_row(dx + i * columns, dy + i * columns, gamma, normalised, cache->inverse[i], columns);
    }
}
