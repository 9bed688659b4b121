#include "math/matrix.h"
#include "math/random.h"
#include "math/summary.h"
#include "math/vector_exp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ENTRIES_MAX = 1 << 17 };

static void fill_random(float *x, size_t count, uint64_t stream)
{
    struct random random = random_new(5, stream);
    for (size_t i = 0; i < count; i++)
        x[i] = random_float(&random) - 0.5F;
}

// c = a · b with every factor as it is stored; the oracle in double.
static double product_at(const float *a, const float *b, size_t i, size_t j, const size_t size[3], int form)
{
    const size_t m = size[0], n = size[1], k = size[2];
    double sum = 0;
    for (size_t l = 0; l < k; l++) {
        double left = (double)(form == 1 ? a[l * m + i] : a[i * k + l]);
        double right = (double)(form == 2 ? b[j * k + l] : b[l * n + j]);
        sum += left * right;
    }
    return sum;
}

static void products_equal_the_naive_ones(void **state)
{
    (void)state;
    static void (*const multiply[])(float *, const float *, const float *, size_t, size_t, size_t) = {
        matrix_multiply, matrix_multiply_transposed_a, matrix_multiply_transposed_b};
    const size_t sizes[][3] = {{1, 1, 1},      {1, 7, 3},     {5, 1, 4},     {3, 4, 1},
                               {32, 10, 64},   {17, 33, 5},   {9, 50, 200},  {31, 65, 193},
                               {70, 530, 195}, {16, 16, 385}, {13, 80, 1030}};
    static float a[ENTRIES_MAX], b[ENTRIES_MAX], c[ENTRIES_MAX];
    fill_random(a, ENTRIES_MAX, 1);
    fill_random(b, ENTRIES_MAX, 2);
    for (int form = 0; form < 3; form++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            const double tolerance = 2e-6 * sqrt((double)k); // rounding errors wander
            memset(c, 0xff, sizeof c);                       // NaN: what was there must not count
            multiply[form](c, a, b, m, n, k);
            for (size_t i = 0; i < m * n; i++)
                assert_true(fabs((double)c[i] - product_at(a, b, i / n, i % n, sizes[s], form)) < tolerance);
        }
}

// An entry is the same whatever stands beside it: the bits of a part are those of the whole.
static void a_row_does_not_depend_on_the_others(void **state)
{
    (void)state;
    enum { M = 29, N = 70, K = 210 };
    static float a[M * K], b[K * N], bias[N], whole[M * N], row[N];
    fill_random(a, M * K, 3);
    fill_random(b, K * N, 4);
    fill_random(bias, N, 5);
    matrix_multiply_bias(whole, a, b, bias, M, N, K);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++)
            assert_true(fabs((double)whole[i * N + j] - (double)bias[j] -
                             product_at(a, b, i, j, (size_t[]){M, N, K}, 0)) < 1e-5);
        matrix_multiply_bias(row, a + i * K, b, bias, 1, N, K);
        assert_memory_equal(row, whole + i * N, sizeof row);
    }
}

// Units in the last place between a float and the true value.
static double error_in_ulps(float got, double wanted)
{
    float rounded = (float)wanted;
    if (got == rounded || (isnan(got) && isnan(rounded)))
        return 0;
    if (!isfinite(got) || !isfinite(rounded))
        return INFINITY;
    float size = fabsf(rounded) < 0x1p-126F ? 0x1p-126F : fabsf(rounded);
    double ulp = ldexp(1, ilogbf(size) - 23);
    return fabs((double)got - wanted) / ulp;
}

static double sigmoid_double(double x)
{
    return 1 / (1 + exp(-x));
}

static float exp_of(float x)
{
    return exp_float(x);
}

static float sigmoid_of(float x)
{
    return sigmoid_float(x);
}

static float tanh_of(float x)
{
    return tanh_float(x);
}

static void elementary_functions_are_within_three_ulps(void **state)
{
    (void)state;
    const struct {
        const char *name;
        float (*fast)(float);
        double (*exact)(double);
        double ulps;
    } functions[] = {
        {"exp", exp_of, exp, 2}, {"sigmoid", sigmoid_of, sigmoid_double, 3}, {"tanh", tanh_of, tanh, 3}};
    const float special[] = {0,       -0.0F,   INFINITY, -INFINITY, NAN,    88.7F,  88.8F, -87.4F,
                             -103.0F, -104.5F, 1e-30F,   -1e-30F,   1e-40F, 0.625F, 3e38F, -3e38F};
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        double worst = 0;
        for (int i = -120000; i <= 120000; i++)
            worst = fmax(worst, error_in_ulps(functions[f].fast((float)i * 1e-3F),
                                              functions[f].exact((double)((float)i * 1e-3F))));
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
            worst = fmax(
                worst, error_in_ulps(functions[f].fast(special[i]), functions[f].exact((double)special[i])));
        if (!(worst <= functions[f].ulps))
            fail_msg("%s is off by %g units in the last place", functions[f].name, worst);
    }
}

static struct summary summarize_naive(const float *x, size_t count, float below, float above)
{
    struct summary s = {.count = count};
    for (size_t i = 0; i < count; i++) {
        double value = (double)x[i];
        s.sum += value;
        s.sum_abs += fabs(value);
        s.sum_square += value * value;
        s.max_abs = fabs(value) > s.max_abs || isnan(value) ? fabs(value) : s.max_abs;
        s.zero += value == 0;
        s.tiny += fabs(value) < 1e-7;
        s.nonpositive += value <= 0;
        s.flat += x[i] <= below || x[i] >= above;
        s.nonfinite += isfinite(value) ? 0 : 1;
    }
    return s;
}

// How near to the naive sums a kernel's have to be, relative to their terms' magnitudes: in double, or in
// float by blocks (summary_kernel.h).
struct summing {
    const struct summary_kernel *kernel;
    double sum, pivoted, deviation; // pivoted: squares of outputs; deviation: standard ones
};

static void assert_near(double a, double b, double tolerance)
{
    if (!(a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g", a, b);
}

static double deviation_naive(const float *x, size_t count)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < count; i++)
        mean += (double)x[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)count;
    return sqrt(square);
}

// Beside what the sums lose in double.
static void check_deviation(const struct summary *found, double wanted, double tolerance)
{
    const double root = sqrt(found->sum_square / (double)found->count);
    assert_near(summary_std(found), wanted, tolerance * wanted + 1e-7 * root);
}

static void check_summary(const struct summing *summing, const float *x, size_t count)
{
    const struct summary_kernel *kernel = summing->kernel;
    const double sum = summing->sum, pivoted = summing->pivoted;
    const float below = -0.25F, above = 0.4F;
    struct summary wanted = summarize_naive(x, count, below, above);
    struct summary gradient = {0}, weights = {0}, change = {0}, outputs = {0};
    // In two parts, as blocks come.
    kernel->gradient(&gradient, x, count / 3);
    kernel->gradient(&gradient, x + count / 3, count - count / 3);
    kernel->weights(&weights, x, count);
    kernel->change(&change, x, count);
    kernel->outputs(&outputs, x, count, below, above);
    assert_int_equal(gradient.count, count);
    assert_near(gradient.sum, wanted.sum, sum * wanted.sum_abs);
    assert_near(gradient.sum_abs, wanted.sum_abs, sum * wanted.sum_abs);
    assert_near(gradient.sum_square, wanted.sum_square, sum * wanted.sum_square);
    assert_near(gradient.max_abs, wanted.max_abs, 0);
    assert_int_equal(gradient.zero, wanted.zero);
    assert_int_equal(gradient.tiny, wanted.tiny);
    assert_int_equal(gradient.nonfinite, wanted.nonfinite);
    assert_near(weights.sum, wanted.sum, sum * wanted.sum_abs);
    assert_near(weights.sum_square, wanted.sum_square, sum * wanted.sum_square);
    assert_int_equal(weights.nonfinite, wanted.nonfinite);
    assert_near(change.sum_square, wanted.sum_square, sum * wanted.sum_square);
    assert_near(change.max_abs, wanted.max_abs, 0);
    const double roots = 2 * sum * sqrt((double)count * wanted.sum_square);
    assert_near(outputs.sum, wanted.sum, roots);
    assert_near(outputs.sum_abs, wanted.sum_abs, roots);
    assert_near(outputs.sum_square, wanted.sum_square, pivoted * wanted.sum_square);
    assert_int_equal(outputs.nonpositive, wanted.nonpositive);
    assert_int_equal(outputs.flat, wanted.flat);
    assert_int_equal(outputs.nonfinite, wanted.nonfinite);
    if (!isfinite(wanted.sum_square))
        return;
    const double deviation = deviation_naive(x, count);
    check_deviation(&gradient, deviation, summing->deviation);
    check_deviation(&weights, deviation, summing->deviation);
    check_deviation(&outputs, deviation, summing->deviation);
}

// As activations are: none negative, flat where they are 0, and at both ends.
static void check_positive_summary(const struct summing *summing, float *x, size_t count)
{
    static const float bounds[][2] = {{0, NAN}, {0.0025F, 0.3F}, {0, 0.3F}, {NAN, 0.1F}, {NAN, NAN}};
    for (size_t i = 0; i < count; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const struct summary wanted = summarize_naive(x, count, bounds[i][0], bounds[i][1]);
        struct summary outputs = {0};
        summing->kernel->outputs(&outputs, x, count, bounds[i][0], bounds[i][1]);
        assert_near(outputs.sum, wanted.sum, summing->pivoted * wanted.sum_abs);
        assert_near(outputs.sum_abs, wanted.sum_abs, summing->pivoted * wanted.sum_abs);
        assert_near(outputs.sum_square, wanted.sum_square, summing->pivoted * wanted.sum_square);
        assert_int_equal(outputs.nonpositive, wanted.nonpositive);
        assert_int_equal(outputs.flat, wanted.flat);
    }
}

// Those that this processor has.
static size_t summary_kernels(struct summing ret[3])
{
    const struct summing all[] = {{summary_lanes(), 1e-13, 1e-13, 1e-7},
                                  {summary_avx2(), 4.2e-6, 6e-5, 3e-5},
                                  {summary_avx512(), 4.2e-6, 6e-5, 3e-5}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].kernel)
            ret[count++] = all[i];
    return count;
}

enum { MOST = 5000 };

static void check_all_summaries(float *x, size_t count)
{
    struct summing kernels[3];
    const size_t kernel_count = summary_kernels(kernels);
    for (size_t k = 0; k < kernel_count; k++)
        check_summary(&kernels[k], x, count);
    for (size_t k = 0; k < kernel_count; k++)
        check_positive_summary(&kernels[k], x, count);
}

static void summaries_equal_the_naive_ones(void **state)
{
    (void)state;
    float x[MOST];
    for (size_t count = 1; count <= MOST; count += count < 40 ? 1 : count < 1100 ? 37 : 977) {
        fill_random(x, count, count);
        if (count > 5) {
            x[1] = 0;
            x[2] = -0.0F;
            x[3] = 5e-8F;
            x[4] = -1e-30F;
            x[5] = 1e-7F;
        }
        check_all_summaries(x, count);
    }
}

// Numbers whose squares float cannot hold, that are nearly or wholly alike, or that hide beside one another.
static void no_numbers_are_too_strange_to_sum(void **state)
{
    (void)state;
    static const struct {
        float center, spread, first; // first: of every block of 700
    } kinds[] = {
        {0, 1e-25F, 0},   {0, 1e-18F, 0},     {0, 1e-15F, 0},      {0, 1e-42F, 0},    {0, 1e18F, 0},
        {0, 1e25F, 0},    {0, 0, 0},          {0.1F, 0, 0},        {0.5F, 1e-4F, 0},  {0.7F, 1e-6F, 0},
        {1000, 1e-3F, 0}, {-3, 0.1F, 0},      {1e-25F, 1e-27F, 0}, {0, 1, 1e6F},      {0, 1e-20F, 1},
        {0, 1, 1e20F},    {0.5F, 1e-3F, 100}, {0, 1e-12F, 1e12F},  {-0.1F, 0, -0.2F},
    };
    float x[MOST];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t count = 5; count <= MOST; count = count * 3 + 1) {
            fill_random(x, count, count);
            for (size_t i = 0; i < count; i++)
                x[i] = kinds[k].center + kinds[k].spread * x[i] * (i % 3 ? 1 : 0.1F);
            for (size_t i = 0; i < count && kinds[k].first != 0; i += 700)
                x[i] = kinds[k].first;
            check_all_summaries(x, count);
        }
}

static void nothing_hides_in_a_summary(void **state)
{
    (void)state;
    const float strange[] = {NAN, -NAN, INFINITY, -INFINITY, 3e38F, 1e-44F};
    float x[1300];
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        for (size_t count = 41; count <= 1300; count += 1259)
            for (size_t at = 0; at < count; at += count / 5) {
                fill_random(x, count, 3);
                x[at] = strange[i];
                check_all_summaries(x, count);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_the_naive_ones),
        cmocka_unit_test(a_row_does_not_depend_on_the_others),
        cmocka_unit_test(elementary_functions_are_within_three_ulps),
        cmocka_unit_test(summaries_equal_the_naive_ones),
        cmocka_unit_test(no_numbers_are_too_strange_to_sum),
        cmocka_unit_test(nothing_hides_in_a_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
