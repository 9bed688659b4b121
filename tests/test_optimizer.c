// Optimisers against Keras' own numbers over a recorded sequence of gradients (scripts/golden/
// optimizer_golden.py writes them and describes the lines), and SGD and Adam against naive formulas as well.
#include "tests/engine_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "train/optimizer_option.h"

#include <stdio.h>
#include <stdlib.h>

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
            struct optimizer_step step = optimizer_step_new(spec, spec->learning_rate, (uint64_t)t);
            struct optimizer_range range = {w, g, {m, v, NULL}, change, COUNT};
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
    struct optimizer_step step = optimizer_step_new(&spec, spec.learning_rate, 1);
    struct optimizer_range range = {&w, &gradient, {&m, &v, NULL}, &change, 1};
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

enum { GOLDEN_COUNT = 8, LINE_SIZE = 1024 };

struct golden {
    double start[GOLDEN_COUNT], gradients[STEPS][GOLDEN_COUNT];
    int gradient_count;
    size_t cases, wrong;
    unsigned types; // bits of those seen
};

static void read_row(const char *text, double *row)
{
    for (int i = 0; i < GOLDEN_COUNT; i++) {
        char *end;
        row[i] = strtod(text, &end);
        assert_ptr_not_equal(end, text);
        text = end;
    }
}

// "momentum=0.9,nesterov=1", or "-"
static void read_options(char *text, struct optimizer_spec *spec)
{
    for (char *place, *option = strtok_r(text, ",", &place); option; option = strtok_r(NULL, ",", &place)) {
        char *value = strchr(option, '=');
        bool known = strcmp(option, "-") == 0;
        if (value)
            *value++ = '\0';
        if (value && strcmp(option, "learning_rate") == 0) {
            spec->learning_rate = strtod(value, NULL);
            known = true;
        }
        for (size_t i = 0; value && i < optimizer_option_count; i++)
            if (strcmp(optimizer_options[i].name, option) == 0) {
                assert_true(optimizer_options[i].types & 1U << spec->type);
                *(double *)(void *)((char *)spec + optimizer_options[i].offset) = strtod(value, NULL);
                known = true;
            }
        for (size_t i = 0; value && i < optimizer_flag_count; i++)
            if (strcmp(optimizer_flags[i].name, option) == 0) {
                *(bool *)((char *)spec + optimizer_flags[i].offset) = strtod(value, NULL) != 0;
                known = true;
            }
        assert_true(known);
    }
}

static void run_optimizer(const struct golden *golden, const struct optimizer_spec *spec, int steps,
                          double *w)
{
    double slots[OPTIMIZER_SLOTS_MAX][GOLDEN_COUNT] = {{0}}, change[GOLDEN_COUNT];
    memcpy(w, golden->start, sizeof golden->start);
    for (int t = 1; t <= steps; t++) {
        struct optimizer_step step = optimizer_step_new(spec, spec->learning_rate, (uint64_t)t);
        struct optimizer_range range = {w, golden->gradients[t - 1], {NULL}, change, GOLDEN_COUNT};
        for (size_t slot = 0; slot < optimizer_slots(spec->type); slot++)
            range.slots[slot] = slots[slot];
        optimizer_apply(&step, &range);
    }
}

static void check_case(struct golden *golden, char *line)
{
    char name[32], options[128];
    int steps, start;
    double wanted[GOLDEN_COUNT], w[GOLDEN_COUNT];
    assert_int_equal(sscanf(line, "case %31s %127s | %d | %n", name, options, &steps, &start), 3);
    int type = optimizer_find(name);
    assert_true(type >= 0 && steps <= golden->gradient_count);
    struct optimizer_spec spec = optimizer_defaults((enum optimizer_type)type);
    char shown[128];
    memcpy(shown, options, sizeof shown);
    read_options(options, &spec);
    read_row(line + start, wanted);
    run_optimizer(golden, &spec, steps, w);
    for (int i = 0; i < GOLDEN_COUNT; i++)
        if (!(fabs(w[i] - wanted[i]) <= 1e-12 * (fabs(golden->start[i]) + fabs(wanted[i])))) {
            print_message("%s %s, step %d, parameter %d: %.17g, not %.17g\n", name, shown, steps, i, w[i],
                          wanted[i]);
            golden->wrong++;
        }
    golden->cases++;
    golden->types |= 1U << type;
}

static void every_optimiser_follows_keras(void **state)
{
    (void)state;
    static struct golden golden;
    static char line[LINE_SIZE];
    FILE *file = fopen("tests/golden/optimizer.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "start | ", 8) == 0)
            read_row(line + 8, golden.start);
        else if (strncmp(line, "gradient | ", 11) == 0 && golden.gradient_count < STEPS)
            read_row(line + 11, golden.gradients[golden.gradient_count++]);
        else if (line[0] != '#')
            check_case(&golden, line);
    fclose(file);
    assert_int_equal(golden.types, (1U << OPTIMIZER_COUNT) - 1);
    assert_true(golden.cases > 100);
    assert_int_equal(golden.wrong, 0);
}

// A gradient that is NaN makes its parameter NaN, and no other.
static void nan_is_kept(void **state)
{
    (void)state;
    for (int type = 0; type < OPTIMIZER_COUNT; type++) {
        struct optimizer_spec spec = optimizer_defaults((enum optimizer_type)type);
        double w[3] = {1, 1, 1}, g[3] = {1, NAN, 1}, slots[3][3] = {{0}}, change[3];
        struct optimizer_step step = optimizer_step_new(&spec, spec.learning_rate, 1);
        struct optimizer_range range = {w, g, {slots[0], slots[1], slots[2]}, change, 3};
        optimizer_apply(&step, &range);
        assert_true(isnan(w[1]) && isnan(change[1]));
        assert_true(isfinite(w[0]) && w[0] == w[2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_steps_follow_the_formula),
        cmocka_unit_test(every_optimiser_follows_keras),
        cmocka_unit_test(nan_is_kept),
        cmocka_unit_test(the_place_of_epsilon_decides_about_small_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
