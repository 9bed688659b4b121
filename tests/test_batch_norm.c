// Batch normalisation's kernels for wide vectors against its formulas in double.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/random.h"
#include "train/batch_norm_passes.h"

#include <math.h>
#include <string.h>

enum { ROWS = 33, COLUMNS = 70, COUNT = ROWS * COLUMNS };

static const double EPSILON = 1e-3, MOMENTUM = 0.9;

struct batch {
    float x[COUNT], dy[COUNT], y[COUNT], dx[COUNT], normalised[COUNT];
    float gamma[COLUMNS], beta[COLUMNS], dgamma[COLUMNS], dbeta[COLUMNS], mean[COLUMNS], inverse[COLUMNS];
    float running_mean[COLUMNS], running_variance[COLUMNS];
    size_t rows, columns;
};

// Columns around means of up to 4096, with deviations down to a hundredth. Every fifth one is strange: so
// wide that float cannot hold its squares, or with a first row, from which deviations are taken, far from all
// others.
static float strange_value(float value, size_t i, size_t j)
{
    return j % 10 == 4 ? 1e19F * value : j % 10 == 9 && i == 0 ? 1e4F : value;
}

static void fill_batch(struct batch *batch, size_t rows, size_t columns)
{
    struct random random = random_new(rows, columns);
    memset(batch, 0, sizeof *batch);
    batch->rows = rows;
    batch->columns = columns;
    for (size_t j = 0; j < columns; j++) {
        batch->gamma[j] = random_float(&random) + 0.5F;
        batch->beta[j] = random_float(&random) - 0.5F;
        batch->running_mean[j] = random_float(&random);
        batch->running_variance[j] = random_float(&random);
        for (size_t i = 0; i < rows; i++) {
            const double value =
                ldexp(random_normal(&random), -(int)(j % 7)) + ldexp((double)(j % 2), (int)(j % 13));
            batch->x[i * columns + j] = strange_value((float)value, i, j);
            batch->dy[i * columns + j] = (float)random_normal(&random);
        }
    }
}

static struct batch_norm_cache cache_of(struct batch *batch)
{
    return (struct batch_norm_cache){
        .mean = batch->mean, .inverse = batch->inverse, .normalised = batch->normalised};
}

static struct batch_norm_forward_pass forward_of(struct batch *batch)
{
    return (struct batch_norm_forward_pass){.y = batch->y,
                                            .x = batch->x,
                                            .gamma = batch->gamma,
                                            .beta = batch->beta,
                                            .cache = cache_of(batch),
                                            .running = {batch->running_mean, batch->running_variance},
                                            .momentum = MOMENTUM,
                                            .epsilon = EPSILON,
                                            .rows = batch->rows,
                                            .columns = batch->columns};
}

static struct batch_norm_backward_pass backward_of(struct batch *batch, float *dx)
{
    return (struct batch_norm_backward_pass){.dx = dx,
                                             .dgamma = batch->dgamma,
                                             .dbeta = batch->dbeta,
                                             .dy = batch->dy,
                                             .gamma = batch->gamma,
                                             .cache = cache_of(batch),
                                             .rows = batch->rows,
                                             .columns = batch->columns};
}

static void assert_within(double found, double wanted, double tolerance, const char *what, size_t j)
{
    if (!(fabs(found - wanted) <= tolerance))
        fail_msg("%s of column %zu is %.9g, not %.9g", what, j, found, wanted);
}

static void check_column(const struct batch *start, const struct batch *batch, size_t j)
{
    const size_t rows = batch->rows, columns = batch->columns;
    double mean = 0, variance = 0, sum_dy = 0, sum_product = 0, size = 0;
    double normalised[ROWS];
    for (size_t i = 0; i < rows; i++)
        mean += (double)batch->x[i * columns + j] / (double)rows;
    for (size_t i = 0; i < rows; i++)
        variance += pow((double)batch->x[i * columns + j] - mean, 2) / (double)rows;
    const double inverse = 1 / sqrt(variance + EPSILON), gamma = (double)batch->gamma[j];
    // The mean is rounded to float before it is subtracted.
    const double rounding = (fabs(mean) * 6e-8) * inverse + 1e-6;
    for (size_t i = 0; i < rows; i++) {
        const double dy = (double)batch->dy[i * columns + j];
        normalised[i] = ((double)batch->x[i * columns + j] - mean) * inverse;
        sum_dy += dy;
        sum_product += dy * normalised[i];
        size += fabs(dy) * (1 + fabs(normalised[i]));
    }
    assert_within((double)batch->running_mean[j],
                  MOMENTUM * (double)start->running_mean[j] + (1 - MOMENTUM) * mean,
                  1e-6 * (1 + fabs(mean) + sqrt(variance)), "running mean", j);
    assert_within((double)batch->running_variance[j],
                  MOMENTUM * (double)start->running_variance[j] + (1 - MOMENTUM) * variance,
                  1e-6 * (1 + variance), "running variance", j);
    assert_within((double)batch->dbeta[j], sum_dy, 1e-6 * size, "dbeta", j);
    assert_within((double)batch->dgamma[j], sum_product, rounding * 2 * size, "dgamma", j);
    for (size_t i = 0; i < rows; i++) {
        const size_t at = i * columns + j;
        const double dx =
            gamma * inverse *
            ((double)batch->dy[at] - sum_dy / (double)rows - normalised[i] * sum_product / (double)rows);
        assert_within((double)batch->y[at], gamma * normalised[i] + (double)batch->beta[j],
                      8 * rounding * (1 + fabs(normalised[i])), "y", j);
        assert_within((double)batch->dx[at], dx, 1e-6 * inverse * (1 + size) + rounding * inverse * size,
                      "dx", j);
    }
}

static void run_passes(const struct batch_norm_passes *passes, struct batch *batch, size_t cut, float *dx)
{
    const struct batch_norm_forward_pass forward = forward_of(batch);
    const struct batch_norm_backward_pass backward = backward_of(batch, dx);
    passes->forward(&forward, 0, cut);
    passes->forward(&forward, cut, batch->columns);
    passes->backward(&backward, 0, cut);
    passes->backward(&backward, cut, batch->columns);
}

static void check_passes(const struct batch_norm_passes *passes, size_t rows, size_t columns)
{
    static struct batch start, whole, parts, own;
    fill_batch(&start, rows, columns);
    whole = parts = own = start;
    run_passes(passes, &whole, columns, whole.dx);
    for (size_t j = 0; j < columns; j++)
        check_column(&start, &whole, j);
    run_passes(passes, &parts, columns / 3, parts.dx);
    assert_memory_equal(&whole, &parts, sizeof whole);
    run_passes(passes, &own, columns, own.dy); // dx in dy's own memory
    assert_memory_equal(whole.dx, own.dy, rows * columns * sizeof *own.dy);
}

static const struct batch_norm_passes *(*const kinds[])(void) = {batch_norm_avx2, batch_norm_avx512};

static void passes_follow_the_formulas(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 7, 32, ROWS};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; kinds[k]() && i < sizeof rows / sizeof *rows; i++)
            for (size_t columns = 1; columns <= COLUMNS; columns += columns < 34 ? 1 : 12)
                check_passes(kinds[k](), rows[i], columns);
}

static void a_nan_stays_in_its_column(void **state)
{
    (void)state;
    static struct batch batch;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t row = 0; kinds[k]() && row < 5; row += 4) {
            fill_batch(&batch, 5, 20);
            batch.x[row * 20 + 3] = NAN;
            run_passes(kinds[k](), &batch, 20, batch.dx);
            for (size_t j = 0; j < 20; j++) {
                assert_int_equal(isnan(batch.y[j]) != 0, j == 3);
                assert_int_equal(isnan(batch.dx[j]) != 0, j == 3);
                assert_int_equal(isnan(batch.running_variance[j]) != 0, j == 3);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_the_formulas),
        cmocka_unit_test(a_nan_stays_in_its_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
