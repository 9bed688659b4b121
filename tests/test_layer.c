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

static const double alphas[ACTIVATION_COUNT] = {[ACTIVATION_LEAKY_RELU] = 0.2, [ACTIVATION_ELU] = 1.5};

static double naive_linear(double x)
{
    return x;
}
static double naive_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double naive_relu(double x)
{
    return fmax(x, 0);
}
static double naive_leaky_relu(double x)
{
    return fmax(x, 0.2 * x);
}
static double naive_elu(double x)
{
    return x > 0 ? x : 1.5 * expm1(x);
}
static double naive_selu(double x)
{
    return 1.05070098735548 * (x > 0 ? x : 1.67326324235438 * expm1(x));
}
static double naive_gelu(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}
static double naive_silu(double x)
{
    return x * naive_sigmoid(x);
}
static double naive_softplus(double x)
{
    return log1p(exp(x));
}
static double naive_softsign(double x)
{
    return x / (1 + fabs(x));
}
static double naive_hard_sigmoid(double x)
{
    return fmin(fmax(x + 3, 0), 6) / 6;
}
static double naive_mish(double x)
{
    return x * tanh(naive_softplus(x));
}

static double (*const naive[ACTIVATION_COUNT])(double) = {
    [ACTIVATION_LINEAR] = naive_linear,
    [ACTIVATION_SIGMOID] = naive_sigmoid,
    [ACTIVATION_TANH] = tanh,
    [ACTIVATION_RELU] = naive_relu,
    [ACTIVATION_LEAKY_RELU] = naive_leaky_relu,
    [ACTIVATION_ELU] = naive_elu,
    [ACTIVATION_SELU] = naive_selu,
    [ACTIVATION_GELU] = naive_gelu,
    [ACTIVATION_SILU] = naive_silu,
    [ACTIVATION_SOFTPLUS] = naive_softplus,
    [ACTIVATION_SOFTSIGN] = naive_softsign,
    [ACTIVATION_HARD_SIGMOID] = naive_hard_sigmoid,
    [ACTIVATION_MISH] = naive_mish,
};

static double naive_slope(int activation, double x)
{
    const double h = 1e-7;
    return (naive[activation](x + h) - naive[activation](x - h)) / (2 * h);
}

static bool has_kink(int activation, float x)
{
    if (activation == ACTIVATION_HARD_SIGMOID)
        return fabsf(x) == 3;
    return x == 0 && (activation == ACTIVATION_RELU || activation == ACTIVATION_LEAKY_RELU ||
                      activation == ACTIVATION_ELU || activation == ACTIVATION_SELU);
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
        activation_forward((enum activation)a, alphas[a], y, x, COUNT);
        activation_backward((enum activation)a, alphas[a], dx, dy, x, y, COUNT);
        for (int i = 0; i < COUNT; i++) {
            assert_close(y[i], naive[a]((double)x[i]), 5e-7);
            if (!has_kink(a, x[i]))
                assert_close(dx[i], (double)dy[i] * naive_slope(a, (double)x[i]), 1e-6);
        }
    }
}

static void a_kink_has_the_slope_of_its_left_side(void **state)
{
    (void)state;
    const struct {
        enum activation activation;
        float x, slope;
    } cases[] = {
        {ACTIVATION_RELU, 0, 0},           {ACTIVATION_LEAKY_RELU, 0, 0.2F}, {ACTIVATION_ELU, 0, 1.5F},
        {ACTIVATION_SELU, 0, 1.75809934F}, {ACTIVATION_HARD_SIGMOID, -3, 0}, {ACTIVATION_HARD_SIGMOID, 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double alpha = alphas[cases[i].activation];
        float y, dx, dy = 1;
        activation_forward(cases[i].activation, alpha, &y, &cases[i].x, 1);
        activation_backward(cases[i].activation, alpha, &dx, &dy, &cases[i].x, &y, 1);
        assert_close(dx, (double)cases[i].slope, 1e-6);
    }
}

// Where 1 + … or y + alpha would round to nothing.
static void the_far_tails_keep_their_gradient(void **state)
{
    (void)state;
    const enum activation tails[] = {ACTIVATION_SIGMOID, ACTIVATION_ELU,  ACTIVATION_SELU,
                                     ACTIVATION_GELU,    ACTIVATION_SILU, ACTIVATION_SOFTPLUS,
                                     ACTIVATION_MISH};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        const double at = tails[i] == ACTIVATION_GELU ? -5 : -30;
        float x = (float)at, y, dx, dy = 1;
        activation_forward(tails[i], alphas[tails[i]], &y, &x, 1);
        activation_backward(tails[i], alphas[tails[i]], &dx, &dy, &x, &y, 1);
        double h = 1e-3, wanted = (naive[tails[i]](at + h) - naive[tails[i]](at - h)) / (2 * h);
        if (tails[i] == ACTIVATION_ELU || tails[i] == ACTIVATION_SELU) // whose differences cancel
            wanted = exp(-30) * (tails[i] == ACTIVATION_ELU ? 1.5 : 1.7580993408473766);
        if (!(fabs((double)dx - wanted) <= 1e-4 * fabs(wanted)))
            fail_msg("%s: %g, not %g", activation_name(tails[i]), (double)dx, wanted);
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
        [ACTIVATION_LEAKY_RELU] = {NAN, INFINITY, -INFINITY, 0, 0},
        [ACTIVATION_ELU] = {NAN, INFINITY, -1.5F, 0, 0},
        [ACTIVATION_SELU] = {NAN, INFINITY, -1.75809934F, 0, 0},
        [ACTIVATION_GELU] = {NAN, INFINITY, NAN, 0, 0}, // −∞·0
        [ACTIVATION_SILU] = {NAN, INFINITY, NAN, 0, 0},
        [ACTIVATION_SOFTPLUS] = {NAN, INFINITY, 0, 0.693147182F, 0.693147182F},
        [ACTIVATION_SOFTSIGN] = {NAN, NAN, NAN, 0, 0}, // ∞/∞
        [ACTIVATION_HARD_SIGMOID] = {NAN, 1, 0, 0.5F, 0.5F},
        [ACTIVATION_MISH] = {NAN, INFINITY, NAN, 0, 0},
    };
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        float y[5];
        activation_forward((enum activation)a, alphas[a], y, x, 5);
        for (int i = 0; i < 5; i++)
            if (!(y[i] == wanted[a][i] || (isnan(y[i]) && isnan(wanted[a][i]))))
                fail_msg("%s(%g) is %.9g", activation_name((enum activation)a), (double)x[i], (double)y[i]);
    }
}

// Just within each bound the slope is below a hundredth of its largest (over a grid), just outside above it.
static void saturation_starts_where_the_slope_is_a_hundredth_of_its_largest(void **state)
{
    (void)state;
    const double away = 1e-3;
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        const struct activation_bounds flat = activation_flat((enum activation)a, alphas[a]);
        double largest = 0;
        for (int i = -2000; i <= 2000; i++)
            largest = fmax(largest, naive_slope(a, i * 0.005 + 0.0001));
        for (int i = -2000; i <= 2000; i++) {
            const double x = i * 0.005 + 0.0001, at = flat.of_input ? x : naive[a](x);
            const double share = fabs(naive_slope(a, x)) / largest;
            if (at < flat.below - away || at > flat.above + away)
                assert_true(share < 0.0101);
            else if (!flat.of_input && !(at < flat.below + away) && !(at > flat.above - away))
                assert_true(share > 0.0099);
        }
        const double slope = flat.of_input ? naive_slope(a, flat.below) : -0.01 * largest;
        assert_true(fabs(slope / largest + 0.01) < 1e-6); // these three rise again below their minimum
    }
    assert_true(isnan(activation_flat(ACTIVATION_LINEAR, 0).below));
    assert_true(activation_flat(ACTIVATION_RELU, 0).below == 0);
    assert_true(isnan(activation_flat(ACTIVATION_LEAKY_RELU, 0.2).below));
    assert_true(activation_flat(ACTIVATION_LEAKY_RELU, 0.001).below == 0);
    assert_true(activation_flat(ACTIVATION_ELU, 1).below == -0.99);
    assert_true(activation_flat(ACTIVATION_ELU, 0).below == 0);
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
        double variance, range; // the largest magnitude possible; 0: there is none
        double value;
    } cases[] = {
        {INITIALIZER_GLOROT_UNIFORM, 2.0 / 500, 0.109545, 0},                 // √(6/500)
        {INITIALIZER_GLOROT_NORMAL, 2.0 / 500, 2 * 0.0632456 / 0.8796256, 0}, // two deviations
        {INITIALIZER_HE_UNIFORM, 2.0 / 100, 0.244949, 0},                     // √(6/100)
        {INITIALIZER_HE_NORMAL, 2.0 / 100, 2 * 0.1414214 / 0.8796256, 0},
        {INITIALIZER_LECUN_UNIFORM, 1.0 / 100, 0.173205, 0}, // √(3/100)
        {INITIALIZER_LECUN_NORMAL, 1.0 / 100, 2 * 0.1 / 0.8796256, 0},
        {INITIALIZER_ORTHOGONAL, 4.0 / 400, 0, 2},                          // rows of length 2
        {INITIALIZER_TRUNCATED_NORMAL, 0.05 * 0.05 * 0.7737413, 0.1, 0.05}, // of variance 0.8796²
        {INITIALIZER_UNIFORM, 0.09 / 3, 0.3, 0.3},
        {INITIALIZER_NORMAL, 0.04, 0, 0.2},
        {INITIALIZER_ZEROS, 0, 0, 0},
    };
    assert_int_equal(sizeof cases / sizeof *cases, INITIALIZER_COUNT - 2); // ones and constant do not vary
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct random random = random_new(2, c);
        initializer_fill(cases[c].initializer, cases[c].value, w, INPUTS, UNITS, &random);
        double sum = 0, square = 0, largest = 0;
        for (size_t i = 0; i < INPUTS * UNITS; i++) {
            sum += (double)w[i];
            square += (double)w[i] * (double)w[i];
            largest = fmax(largest, fabs((double)w[i]));
        }
        const double n = INPUTS * UNITS, deviation = sqrt(cases[c].variance);
        assert_true(fabs(sum / n) <= 5 * deviation / sqrt(n));
        assert_true(fabs(square / n - cases[c].variance) <= 0.02 * cases[c].variance);
        const bool bounded = cases[c].range > 0 || cases[c].initializer == INITIALIZER_ZEROS;
        assert_true(!bounded || (largest <= cases[c].range * 1.000001 && largest >= cases[c].range * 0.99));
        assert_true(bounded || largest > 3 * deviation);
    }
}

static void ones_and_constants_are_what_they_say(void **state)
{
    (void)state;
    float w[6];
    struct random random = random_new(2, 0);
    initializer_fill(INITIALIZER_ONES, 7, w, 2, 3, &random);
    for (int i = 0; i < 6; i++)
        assert_true(w[i] == 1);
    initializer_fill(INITIALIZER_CONSTANT, -0.25, w, 2, 3, &random);
    for (int i = 0; i < 6; i++)
        assert_true(w[i] == -0.25F);
}

// The product of vectors i and j of those that are to be orthonormal: columns, or rows where there are fewer.
static double vectors_product(const float *w, size_t rows, size_t columns, size_t i, size_t j)
{
    double sum = 0;
    if (rows < columns)
        for (size_t k = 0; k < columns; k++)
            sum += (double)w[i * columns + k] * (double)w[j * columns + k];
    else
        for (size_t k = 0; k < rows; k++)
            sum += (double)w[k * columns + i] * (double)w[k * columns + j];
    return sum;
}

static void an_orthogonal_matrix_is_one_and_keeps_the_draws_signs(void **state)
{
    (void)state;
    static const struct {
        size_t rows, columns;
    } shapes[] = {{1, 1}, {5, 3}, {3, 5}, {40, 40}, {150, 140}, {20, 90}};
    static float w[150 * 140], drawn[150 * 140];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s].rows, columns = shapes[s].columns;
        const size_t vectors = rows < columns ? rows : columns;
        struct random random = random_new(3, s), again = random_new(3, s);
        initializer_fill(INITIALIZER_ORTHOGONAL, 3, w, rows, columns, &random);
        initializer_fill(INITIALIZER_NORMAL, 1, drawn, rows, columns, &again);
        for (size_t i = 0; i < vectors; i++)
            for (size_t j = 0; j <= i; j++)
                assert_true(fabs(vectors_product(w, rows, columns, i, j) - (i == j ? 9 : 0)) < 9e-6);
        // R's diagonal is positive: the first vector is the drawn one, made to length 3.
        const double length = sqrt(vectors_product(drawn, rows, columns, 0, 0));
        assert_close(w[0], 3 * (double)drawn[0] / length, 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_equals_the_naive_one),
        cmocka_unit_test(dense_backward_equals_the_naive_one),
        cmocka_unit_test(activations_equal_the_naive_ones),
        cmocka_unit_test(a_kink_has_the_slope_of_its_left_side),
        cmocka_unit_test(the_far_tails_keep_their_gradient),
        cmocka_unit_test(activations_keep_nan_and_extremes),
        cmocka_unit_test(saturation_starts_where_the_slope_is_a_hundredth_of_its_largest),
        cmocka_unit_test(batch_norm_normalises_and_moves_its_running_statistics),
        cmocka_unit_test(batch_norm_in_use_reads_only_its_running_statistics),
        cmocka_unit_test(dropout_keeps_its_share_and_scales_it),
        cmocka_unit_test(ones_and_constants_are_what_they_say),
        cmocka_unit_test(an_orthogonal_matrix_is_one_and_keeps_the_draws_signs),
        cmocka_unit_test(initial_weights_have_the_moments_and_the_range_of_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
