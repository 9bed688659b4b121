// Optimisers against Keras' formulas, written out naively in double, over a recorded sequence of gradients.
#include "tests/engine_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEPS = 100, COUNT = 37 }; // not a whole number of vectors

static double gradient_at(int step, int i)
{
    return sin(1.3 * step + 0.7 * i) * pow(10, (double)(i % 5) - 3) + (i == 3 ? 1e-9 : 0);
}

// One parameter, step by step, as keras/src/optimizers/sgd.py says it.
static double sgd_naive(const struct optimizer_spec *spec, int i, double w)
{
    double m = 0;
    for (int t = 1; t <= STEPS; t++) {
        double g = gradient_at(t, i);
        m = spec->momentum * m - spec->learning_rate * g;
        w = spec->nesterov ? w + spec->momentum * m - spec->learning_rate * g : w + m;
    }
    return w;
}

// keras/src/optimizers/adam.py; corrected: Algorithm 1 of Kingma and Ba as torch.optim.Adam has it.
static double adam_naive(const struct optimizer_spec *spec, int i, double w)
{
    double m = 0, v = 0;
    for (int t = 1; t <= STEPS; t++) {
        double g = gradient_at(t, i);
        double c1 = 1 - pow(spec->beta_1, t), c2 = 1 - pow(spec->beta_2, t);
        m = spec->beta_1 * m + (1 - spec->beta_1) * g;
        v = spec->beta_2 * v + (1 - spec->beta_2) * g * g;
        if (spec->epsilon_placement == EPSILON_CORRECTED)
            w -= spec->learning_rate * (m / c1) / (sqrt(v / c2) + spec->epsilon);
        else
            w -= spec->learning_rate * sqrt(c2) / c1 * m / (sqrt(v) + spec->epsilon);
    }
    return w;
}

static void hundred_steps_follow_the_formula(void **state)
{
    (void)state;
    const struct {
        const char *comment;
        struct optimizer_spec spec;
    } cases[] = {
        {"sgd", {.type = OPTIMIZER_SGD, .learning_rate = 0.01}},
        {"sgd with momentum", {.type = OPTIMIZER_SGD, .learning_rate = 0.01, .momentum = 0.9}},
        {"sgd with nesterov",
         {.type = OPTIMIZER_SGD, .learning_rate = 0.01, .momentum = 0.9, .nesterov = true}},
        {"nesterov without momentum", {.type = OPTIMIZER_SGD, .learning_rate = 0.01, .nesterov = true}},
        {"adam, epsilon as Keras",
         {.type = OPTIMIZER_ADAM, .learning_rate = 0.001, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7}},
        {"adam, epsilon as PyTorch",
         {.type = OPTIMIZER_ADAM,
          .learning_rate = 0.001,
          .beta_1 = 0.9,
          .beta_2 = 0.999,
          .epsilon = 1e-8,
          .epsilon_placement = EPSILON_CORRECTED}},
        {"adam without memory",
         {.type = OPTIMIZER_ADAM, .learning_rate = 0.1, .beta_1 = 0, .beta_2 = 0, .epsilon = 1e-3}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct optimizer_spec *spec = &cases[c].spec;
        double w[COUNT], g[COUNT], m[COUNT] = {0}, v[COUNT] = {0}, change[COUNT];
        for (int i = 0; i < COUNT; i++)
            w[i] = 0.1 * i - 1;
        for (int t = 1; t <= STEPS; t++) {
            for (int i = 0; i < COUNT; i++)
                g[i] = gradient_at(t, i);
            struct optimizer_step step = optimizer_step_new(spec, (uint64_t)t);
            struct optimizer_range range = {w, g, {m, v}, change, COUNT};
            optimizer_apply(&step, &range);
        }
        for (int i = 0; i < COUNT; i++) {
            double start = 0.1 * i - 1;
            double wanted =
                spec->type == OPTIMIZER_SGD ? sgd_naive(spec, i, start) : adam_naive(spec, i, start);
            if (!(fabs(w[i] - wanted) <= 1e-12 * (fabs(start) + fabs(wanted))))
                fail_msg("%s, parameter %d: %.17g, not %.17g", cases[c].comment, i, w[i], wanted);
        }
    }
}

static double first_move(double gradient, double epsilon, enum epsilon_placement placement)
{
    struct optimizer_spec spec = {.type = OPTIMIZER_ADAM,
                                  .learning_rate = 1,
                                  .beta_1 = 0.9,
                                  .beta_2 = 0.999,
                                  .epsilon = epsilon,
                                  .epsilon_placement = placement};
    double w = 0, m = 0, v = 0, change;
    struct optimizer_step step = optimizer_step_new(&spec, 1);
    struct optimizer_range range = {&w, &gradient, {&m, &v}, &change, 1};
    optimizer_apply(&step, &range);
    assert_true(change == w);
    return -w;
}

static void the_place_of_epsilon_decides_about_small_gradients(void **state)
{
    (void)state;
    const struct {
        double gradient, epsilon;
        enum epsilon_placement placement;
        double moved; // in learning rates
    } cases[] = {
        {1e-7, 1e-7, EPSILON_UNCORRECTED, 0.0306534}, // √0.001 / (√0.001 + 1)
        {1e-9, 1e-7, EPSILON_UNCORRECTED, 0.000316128}, {1e-7, 1e-8, EPSILON_CORRECTED, 0.9090909},
        {1e-9, 1e-8, EPSILON_CORRECTED, 0.0909091},     {-1, 1e-7, EPSILON_UNCORRECTED, -0.9999968},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double moved = first_move(cases[i].gradient, cases[i].epsilon, cases[i].placement);
        assert_true(fabs(moved - cases[i].moved) < 1e-6 * fabs(cases[i].moved) + 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_steps_follow_the_formula),
        cmocka_unit_test(the_place_of_epsilon_decides_about_small_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
