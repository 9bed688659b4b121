// Truth: losses within 2 ulp, gradients within 4, against 113-bit arithmetic.
#include "loss_truth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_true_to(const struct truth *truth, const char *name)
{
    print_message("%s: loss %.3f ulp (at %g), gradient %.3f ulp (at %g), %zu rows, %zu entries\n", name,
                  truth->loss_ulps, truth->worst_loss, truth->gradient_ulps, truth->worst_gradient,
                  truth->rows, truth->entries);
    assert_true(truth->loss_ulps <= 2);
    assert_true(truth->gradient_ulps <= 4);
}

static void float32_is_true_to_the_last_places(void **state)
{
    (void)state;
    struct truth truth = truth_run(NABLA_FLOAT32, 4000, 88172645463325252u);
    assert_true_to(&truth, "float32");
    assert_true(truth.entries > 40000);
}

static void float64_is_true_to_the_last_places(void **state)
{
    (void)state;
    struct truth truth = truth_run(NABLA_FLOAT64, 4000, 2463534242u);
    assert_true_to(&truth, "float64");
    assert_true(truth.entries > 40000);
}

// One row each: two or three scores, the label the first of them.
static const struct {
    double scores[3];
    size_t classes;
    const char *comment;
} edges[] = {
    {{27.631, 0, 0}, 2, "loss 1e-12"},
    {{0, 700, 0}, 2, "loss 700"},
    {{0, 1e4, -1e4}, 3, "loss 10,000"},
    {{0, 1e30, -1e30}, 3, "loss 1e30"},
    {{-1e38, 1e38, 0}, 3, "loss 2e38"},
    {{1e38, 1e38, -1e38}, 3, "a tie at 1e38"},
    {{69.08, 0, 0}, 2, "gradient 1e-30"},
    {{102, 0, 1}, 3, "gradient subnormal in float32"},
    {{103.9, 0, 0}, 2, "the smallest subnormal of float32"},
    {{104.5, 0, 0}, 2, "below it"},
    {{744, 0, 1}, 3, "gradient subnormal in float64"},
    {{746, 0, 0}, 2, "below the smallest subnormal of float64"},
    {{1e8, 1e8 + 8, 1e8 - 8}, 3, "shifted by 1e8"},
    {{-1e8, -1e8 - 8, -1e8 + 8}, 3, "shifted by -1e8"},
    {{0.1, 100.3, 50.7}, 3, "differences that round"},
    {{-87.3, 0.1, 0.3}, 3, "differences that round"},
    {{0, 0, 0}, 3, "all alike"},
    {{1e-30, -1e-30, 0}, 3, "almost alike"},
    {{5, 0, 0}, 1, "one class"},
};

static void the_edges_are_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        for (int dtype = NABLA_FLOAT32; dtype <= NABLA_FLOAT64; dtype++) {
            struct truth truth = {0};
            double x[] = {edges[i].scores[0], edges[i].scores[1], edges[i].scores[2]};
            truth_try(&truth, (enum nabla_dtype)dtype, x, edges[i].classes, 0);
            assert_true_to(&truth, edges[i].comment);
        }
}

// The oracle itself, against values with more digits than a double holds.
static void the_oracle_knows_e_and_ln2(void **state)
{
    (void)state;
    __float128 e = quad_exp(1) - 2.718281828459045235360287471352662498Q;
    __float128 l = quad_log1p(1) - 0.693147180559945309417232121458176568Q;
    __float128 tiny = quad_log1p(quad_exp(-100)) / quad_exp(-100) - 1;
    assert_true(quad_abs(e) < 1e-30Q && quad_abs(l) < 1e-30Q && quad_abs(tiny) < 1e-30Q);
    assert_true(quad_abs(quad_log1p(quad_exp(20)) - 20.000000002061153620314380Q) < 1e-22Q);
    assert_true(truth_ulps(1 + DBL_EPSILON, 1, NABLA_FLOAT64) == 1);
    assert_true(truth_ulps(0, 0x1p-149Q, NABLA_FLOAT32) == 1);
    assert_true(truth_ulps(0, (__float128)0x1p-1074, NABLA_FLOAT64) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oracle_knows_e_and_ln2),
        cmocka_unit_test(the_edges_are_true),
        cmocka_unit_test(float32_is_true_to_the_last_places),
        cmocka_unit_test(float64_is_true_to_the_last_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
