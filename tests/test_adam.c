// Adam's kernels for wide vectors against the update and its summaries pass by pass.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/random.h"
#include "train/adam.h"
#include "train/spec_option.h"

#include <math.h>
#include <string.h>

enum { MOST = 2500 };

struct state {
    float w[MOST + 1], g[MOST], m[MOST + 1], v[MOST + 1], change[MOST];
};

static struct state make_state(size_t count)
{
    struct state state = {0};
    struct random random = random_new(7, count);
    for (size_t i = 0; i < count; i++) {
        state.w[i] = random_float(&random) - 0.5F;
        state.g[i] = (random_float(&random) - 0.5F) * powf(10, (float)(i % 12) - 9);
        state.m[i] = 0.1F * (random_float(&random) - 0.5F);
        state.v[i] = 0.01F * random_float(&random);
    }
    return state;
}

static struct optimizer_range range_of(struct state *state, size_t count)
{
    return (struct optimizer_range){.parameters = state->w,
                                    .gradient = state->g,
                                    .change = state->change,
                                    .slots = {state->m, state->v},
                                    .count = count};
}

static void assert_close(double a, double b, double tolerance)
{
    if (!(a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

// What was found of two runs whose numbers may differ in their last bits.
static void check_summary(const struct summary *a, const struct summary *b, double tolerance)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->zero, b->zero);
    assert_int_equal(a->tiny, b->tiny);
    assert_int_equal(a->nonfinite, b->nonfinite);
    assert_close(a->sum, b->sum, tolerance);
    assert_close(a->sum_abs, b->sum_abs, tolerance / 10);
    assert_close(a->sum_square, b->sum_square, tolerance);
    assert_close(a->max_abs, b->max_abs, tolerance);
}

static struct update_summary update_naive(const struct optimizer_step *step, struct state *state,
                                          size_t count)
{
    const struct optimizer_range range = range_of(state, count);
    struct update_summary summary = {0};
    optimizer_apply(step, &range);
    summary_gradient(&summary.gradient, state->g, count);
    summary_weights(&summary.weights, state->w, count);
    summary_change(&summary.change, state->change, count);
    return summary;
}

struct kind {
    adam_kernel *(*adam)(void);
    const struct summary_kernel *(*summary)(void);
};

static const struct kind kinds[] = {{adam_avx2, summary_avx2}, {adam_avx512, summary_avx512}};

// What weights are after a step is what they are before the next, to the last bit.
static void check_weights(const struct kind *kind, const struct summary *found, const float *w, size_t count)
{
    struct summary again = {0};
    kind->summary()->weights(&again, w, count);
    assert_memory_equal(&found->sum_square, &again.sum_square, sizeof again.sum_square);
}

static void check_kernel(const struct kind *kind, const struct optimizer_step *step,
                         const struct state *start, size_t count)
{
    adam_kernel *const kernel = kind->adam();
    struct state naive = *start, fused = *start, untold = *start;
    const struct update_summary wanted = update_naive(step, &naive, count);
    const struct optimizer_range range = range_of(&fused, count), untold_range = range_of(&untold, count);
    struct update_summary found = {0};
    kernel(step, &range, &found);
    kernel(step, &untold_range, NULL);
    assert_memory_equal(fused.w, untold.w, sizeof fused.w); // and nothing beyond the range was written
    assert_memory_equal(fused.m, untold.m, sizeof fused.m);
    assert_memory_equal(fused.v, untold.v, sizeof fused.v);
    assert_true(fused.w[count] == start->w[count]);
    for (size_t i = 0; i < count; i++) {
        assert_close((double)fused.w[i], (double)naive.w[i], 1e-5);
        assert_close((double)fused.m[i], (double)naive.m[i], 1e-5);
        assert_close((double)fused.v[i], (double)naive.v[i], 1e-5);
    }
    check_weights(kind, &found.weights, fused.w, count);
    check_summary(&found.gradient, &wanted.gradient, 1e-5);
    check_summary(&found.weights, &wanted.weights, 1e-5);
    // A change of 1e-3 beside a weight of a half: multiply-adds that are not fused round it at 1e-5 of
    // itself.
    check_summary(&found.change, &wanted.change, 1e-4);
}

static void check_kernels(const struct optimizer_step *step, const struct state *start, size_t count)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k].adam())
            check_kernel(&kinds[k], step, start, count);
}

static void kernels_do_what_the_passes_do(void **state)
{
    (void)state;
    const struct optimizer_spec spec = optimizer_defaults(OPTIMIZER_ADAMW);
    const struct optimizer_step step = optimizer_step_new(&spec, 0.01, 3);
    for (size_t count = 1; count <= MOST; count += count < 40 ? 1 : 373) {
        const struct state start = make_state(count);
        check_kernels(&step, &start, count);
    }
}

// With an epsilon of 0 the lanes beyond the last number would divide 0 by 0.
static void nothing_beyond_the_range_is_told(void **state)
{
    (void)state;
    struct optimizer_spec spec = optimizer_defaults(OPTIMIZER_ADAM);
    spec.epsilon = 0;
    const struct optimizer_step step = optimizer_step_new(&spec, 0.01, 1);
    for (size_t count = 1; count < 40; count++) {
        const struct state start = make_state(count);
        check_kernels(&step, &start, count);
    }
}

static void strange_gradients_are_told(void **state)
{
    (void)state;
    const float strange[] = {NAN, INFINITY, -INFINITY, 1e30F, 0, -0.0F, 1e-30F};
    const struct optimizer_spec spec = optimizer_defaults(OPTIMIZER_ADAM);
    const struct optimizer_step step = optimizer_step_new(&spec, 0.001, 2);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        for (size_t at = 0; at < 43; at += 7) {
            struct state start = make_state(43);
            start.g[at] = strange[i];
            check_kernels(&step, &start, 43);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_do_what_the_passes_do),
        cmocka_unit_test(nothing_beyond_the_range_is_told),
        cmocka_unit_test(strange_gradients_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
