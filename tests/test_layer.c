// The layers' kernels in float beside naive ones in double, and the properties that gradients alone do not
// show: running statistics, the scaling of dropout, the moments of initial weights.
#include "train/activation.h"
#include "train/batch_norm.h"
#include "train/dense.h"
#include "train/dropout.h"
#include "train/initializer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { NUMBERS_MAX = 64 * 64 };

static void fill_random(float *x, size_t count, uint64_t stream)
{
    struct random random = random_new(9, stream);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)random_normal(&random);
}

static void assert_close(float got, double wanted, double tolerance)
{
    if (!(fabs((double)got - wanted) <= tolerance * (1 + fabs(wanted))))
        fail_msg("%.9g is not %.9g", (double)got, wanted);
}

static void dense_equals_the_naive_one(void **state)
{
    (void)state;
    static const struct {
        size_t rows, inputs, units;
    } shapes[] = {{1, 1, 1}, {3, 5, 7}, {32, 4, 17}, {9, 31, 2}};
    static float x[NUMBERS_MAX], w[NUMBERS_MAX], b[64], y[NUMBERS_MAX];
    fill_random(x, NUMBERS_MAX, 1);
    fill_random(w, NUMBERS_MAX, 2);
    fill_random(b, 64, 3);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s].rows, inputs = shapes[s].inputs, units = shapes[s].units;
        dense_forward(y, x, w, b, rows, inputs, units);
        for (size_t i = 0; i < rows * units; i++) {
            double sum = (double)b[i % units];
            for (size_t k = 0; k < inputs; k++)
                sum += (double)x[i / units * inputs + k] * (double)w[k * units + i % units];
            assert_close(y[i], sum, 1e-5);
        }
    }
}

static void dense_backward_equals_the_naive_one(void **state)
{
    (void)state;
    enum { ROWS = 13, INPUTS = 6, UNITS = 19 };
    float x[ROWS * INPUTS], w[INPUTS * UNITS], dy[ROWS * UNITS];
    float dx[ROWS * INPUTS], dw[INPUTS * UNITS], db[UNITS];
    fill_random(x, ROWS * INPUTS, 1);
    fill_random(w, INPUTS * UNITS, 2);
    fill_random(dy, ROWS * UNITS, 3);
    dense_backward(dx, dw, db, dy, x, w, ROWS, INPUTS, UNITS);
    for (size_t i = 0; i < INPUTS * UNITS; i++) {
        double sum = 0;
        for (size_t r = 0; r < ROWS; r++)
            sum += (double)x[r * INPUTS + i / UNITS] * (double)dy[r * UNITS + i % UNITS];
        assert_close(dw[i], sum, 1e-5);
    }
    for (size_t j = 0; j < UNITS; j++) {
        double sum = 0;
        for (size_t r = 0; r < ROWS; r++)
            sum += (double)dy[r * UNITS + j];
        assert_close(db[j], sum, 1e-5);
    }
    for (size_t i = 0; i < ROWS * INPUTS; i++) {
        double sum = 0;
        for (size_t j = 0; j < UNITS; j++)
            sum += (double)dy[i / INPUTS * UNITS + j] * (double)w[i % INPUTS * UNITS + j];
        assert_close(dx[i], sum, 1e-5);
    }
}

static double activation_naive(enum activation activation, double x)
{
    switch (activation) {
    case ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    default:
        return x;
    }
}

static double slope_naive(enum activation activation, double y)
{
    switch (activation) {
    case ACTIVATION_SIGMOID:
        return y * (1 - y);
    case ACTIVATION_TANH:
        return 1 - y * y;
    case ACTIVATION_RELU:
        return y > 0 ? 1 : 0;
    default:
        return 1;
    }
}

static void activations_equal_the_naive_ones(void **state)
{
    (void)state;
    enum { COUNT = 203 }; // whole vectors and a rest
    float x[COUNT], y[COUNT], dy[COUNT], dx[COUNT];
    fill_random(dy, COUNT, 4);
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i - 100) * 0.1F;
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        const enum activation activation = (enum activation)a;
        activation_forward(activation, y, x, COUNT);
        activation_backward(activation, dx, dy, y, COUNT);
        for (int i = 0; i < COUNT; i++) {
            assert_close(y[i], activation_naive(activation, (double)x[i]), 3e-7);
            assert_close(dx[i], (double)dy[i] * slope_naive(activation, (double)y[i]), 3e-7);
        }
    }
}

static void activations_keep_nan_and_extremes(void **state)
{
    (void)state;
    const float x[] = {NAN, INFINITY, -INFINITY, -0.0F, 0};
    const float wanted[ACTIVATION_COUNT][5] = {
        [ACTIVATION_LINEAR] = {NAN, INFINITY, -INFINITY, 0, 0},
        [ACTIVATION_SIGMOID] = {NAN, 1, 0, 0.5F, 0.5F},
        [ACTIVATION_TANH] = {NAN, 1, -1, 0, 0},
        [ACTIVATION_RELU] = {NAN, INFINITY, 0, 0, 0},
    };
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        float y[5];
        activation_forward((enum activation)a, y, x, 5);
        for (int i = 0; i < 5; i++)
            assert_true(y[i] == wanted[a][i] || (isnan(y[i]) && isnan(wanted[a][i])));
    }
}

static void saturation_starts_where_the_slope_is_a_hundredth_of_its_largest(void **state)
{
    (void)state;
    struct activation_bounds sigmoid = activation_flat(ACTIVATION_SIGMOID);
    struct activation_bounds tanh_bounds = activation_flat(ACTIVATION_TANH);
    assert_true(fabs(sigmoid.below * (1 - sigmoid.below) - 0.0025) < 1e-8);
    assert_true(fabs(sigmoid.above * (1 - sigmoid.above) - 0.0025) < 1e-8);
    assert_true(fabs(1 - tanh_bounds.above * tanh_bounds.above - 0.01) < 1e-8);
    assert_true(tanh_bounds.below == -tanh_bounds.above);
    assert_true(activation_flat(ACTIVATION_RELU).below == 0);
    assert_true(isnan(activation_flat(ACTIVATION_LINEAR).below));
}

struct norm {
    double sums[2 * 3];
    float mean[3], inverse[3], normalised[4 * 3], running_mean[3], running_variance[3];
};

static const float norm_x[4 * 3] = {1, 10, 5, 2, 20, 5, 3, 30, 5, 6, 40, 5};

static void batch_norm_normalises_and_moves_its_running_statistics(void **state)
{
    (void)state;
    struct norm norm = {.running_mean = {1, 0, 0}, .running_variance = {1, 1, 1}};
    const struct batch_norm_cache cache = {norm.sums, norm.mean, norm.inverse, norm.normalised};
    const struct batch_norm_running running = {norm.running_mean, norm.running_variance};
    const float gamma[] = {2, 1, 1}, beta[] = {0.5F, 0, 7};
    float y[4 * 3];
    batch_norm_forward(y, norm_x, gamma, beta, &cache, &running, 0.9, 1e-3, 4, 3);
    // Columns: mean 3, variance 3.5 (over n); 25, 125; 5, 0.
    assert_close(y[0], 2 * (1 - 3) / sqrt(3.5 + 1e-3) + 0.5, 1e-6);
    assert_close(y[10], (40 - 25) / sqrt(125 + 1e-3), 1e-6);
    assert_close(y[11], 7, 0);
    assert_close(norm.running_mean[0], 0.9 * 1 + 0.1 * 3, 1e-6);
    assert_close(norm.running_variance[0], 0.9 * 1 + 0.1 * 3.5, 1e-6);
    assert_close(norm.running_mean[1], 2.5, 1e-6);
    assert_close(norm.running_variance[1], 0.9 + 12.5, 1e-6);
    assert_close(norm.running_variance[2], 0.9, 1e-6);
}

static void batch_norm_in_use_reads_only_its_running_statistics(void **state)
{
    (void)state;
    struct norm norm = {.running_mean = {1, 2, 3}, .running_variance = {4, 9, 16}};
    const struct batch_norm_cache cache = {norm.sums, norm.mean, norm.inverse, norm.normalised};
    const struct batch_norm_running running = {norm.running_mean, norm.running_variance};
    const float gamma[] = {1, 2, 3}, beta[] = {0, 1, 2};
    float y[3];
    batch_norm_infer(y, norm_x, gamma, beta, &cache, &running, 1e-3, 1, 3);
    for (int j = 0; j < 3; j++) {
        double deviation = sqrt((double)norm.running_variance[j] + 1e-3);
        double wanted = (double)gamma[j] * ((double)norm_x[j] - (j + 1)) / deviation + (double)beta[j];
        assert_close(y[j], wanted, 1e-6);
        assert_close(norm.running_mean[j], j + 1, 0);
    }
}

static void dropout_keeps_its_share_and_scales_it(void **state)
{
    (void)state;
    static float x[NUMBERS_MAX], y[NUMBERS_MAX], mask[NUMBERS_MAX], dx[NUMBERS_MAX];
    const double rates[] = {0, 0.25, 0.5, 0.9};
    for (size_t i = 0; i < NUMBERS_MAX; i++)
        x[i] = 3;
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        struct random random = random_new(1, r);
        dropout_forward(y, mask, x, rates[r], &random, NUMBERS_MAX);
        dropout_backward(dx, x, mask, NUMBERS_MAX);
        assert_int_equal(random.position, NUMBERS_MAX);
        size_t kept = 0;
        for (size_t i = 0; i < NUMBERS_MAX; i++) {
            kept += y[i] != 0;
            if (y[i] != 0)
                assert_close(y[i], 3 / (1 - rates[r]), 1e-6);
            assert_true(dx[i] == y[i]);
        }
        const double share = (double)kept / NUMBERS_MAX, expected = 1 - rates[r];
        assert_true(fabs(share - expected) <= 5 * sqrt(expected * rates[r] / NUMBERS_MAX));
    }
}

static void initial_weights_have_the_moments_and_the_range_of_their_kind(void **state)
{
    (void)state;
    enum { INPUTS = 100, UNITS = 400 };
    static float w[INPUTS * UNITS];
    static const struct {
        enum initializer initializer;
        double variance, range; // the largest magnitude possible
    } cases[] = {
        {INITIALIZER_GLOROT_UNIFORM, 2.0 / 500, 0.109545},                 // √(6/500)
        {INITIALIZER_GLOROT_NORMAL, 2.0 / 500, 2 * 0.0632456 / 0.8796256}, // two deviations
        {INITIALIZER_HE_UNIFORM, 2.0 / 100, 0.244949},                     // √(6/100)
        {INITIALIZER_HE_NORMAL, 2.0 / 100, 2 * 0.1414214 / 0.8796256},
        {INITIALIZER_ZEROS, 0, 0},
    };
    assert_int_equal(sizeof cases / sizeof *cases, INITIALIZER_COUNT);
    for (size_t c = 0; c < INITIALIZER_COUNT; c++) {
        struct random random = random_new(2, c);
        initializer_fill(cases[c].initializer, w, INPUTS, UNITS, &random);
        double sum = 0, square = 0, largest = 0;
        for (size_t i = 0; i < INPUTS * UNITS; i++) {
            sum += (double)w[i];
            square += (double)w[i] * (double)w[i];
            largest = fmax(largest, fabs((double)w[i]));
        }
        const double n = INPUTS * UNITS, deviation = sqrt(cases[c].variance);
        assert_true(fabs(sum / n) <= 5 * deviation / sqrt(n));
        assert_true(fabs(square / n - cases[c].variance) <= 0.02 * cases[c].variance);
        assert_true(largest <= cases[c].range * 1.000001 && largest >= cases[c].range * 0.99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_equals_the_naive_one),
        cmocka_unit_test(dense_backward_equals_the_naive_one),
        cmocka_unit_test(activations_equal_the_naive_ones),
        cmocka_unit_test(activations_keep_nan_and_extremes),
        cmocka_unit_test(saturation_starts_where_the_slope_is_a_hundredth_of_its_largest),
        cmocka_unit_test(batch_norm_normalises_and_moves_its_running_statistics),
        cmocka_unit_test(batch_norm_in_use_reads_only_its_running_statistics),
        cmocka_unit_test(dropout_keeps_its_share_and_scales_it),
        cmocka_unit_test(initial_weights_have_the_moments_and_the_range_of_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
