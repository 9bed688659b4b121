// Learning-rate schedules: Keras' own numbers (scripts/golden/schedule_golden.py writes them and describes
// the lines), and those that Keras does not have against their formulas.
#include "train/schedule.h"
#include "train/spec_option.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void set_option(struct optimizer_spec *spec, const char *name, double value)
{
    bool known = strcmp(name, "initial_learning_rate") == 0;
    if (known)
        spec->learning_rate = value;
    for (size_t i = 0; i < schedule_options.number_count; i++) {
        const struct spec_option *option = &schedule_options.numbers[i];
        if (!(option->types & 1U << spec->schedule.type) || strcmp(option->name, name) != 0)
            continue;
        *(double *)(void *)((char *)&spec->schedule + option->offset) = value;
        known = true;
    }
    for (size_t i = 0; i < schedule_options.flag_count; i++)
        if (strcmp(schedule_options.flags[i].name, name) == 0) {
            *(bool *)((char *)&spec->schedule + schedule_options.flags[i].offset) = value != 0;
            known = true;
        }
    assert_true(known);
}

static struct optimizer_spec make_spec(enum schedule_type type, double learning_rate)
{
    struct optimizer_spec spec = optimizer_defaults(OPTIMIZER_SGD);
    spec.schedule = schedule_defaults(type);
    spec.learning_rate = learning_rate;
    return spec;
}

static double rate_at(const struct optimizer_spec *spec, uint64_t step)
{
    const struct schedule_state state = schedule_start(spec);
    return schedule_rate(spec, &state, step);
}

static void check_line(const char *line)
{
    char name[32], options[200], *place;
    unsigned step;
    double wanted;
    assert_int_equal(sscanf(line, "%31s %199s | %u | %lf", name, options, &step, &wanted), 4);
    int type = schedule_find(name);
    assert_true(type >= 0);
    struct optimizer_spec spec = make_spec((enum schedule_type)type, 0);
    for (char *option = strtok_r(options, ",", &place); option; option = strtok_r(NULL, ",", &place)) {
        char *value = strchr(option, '=');
        assert_non_null(value);
        *value = '\0';
        set_option(&spec, option, strtod(value + 1, NULL));
    }
    const double got = rate_at(&spec, step);
    if (!(fabs(got - wanted) <= 1e-12 * spec.learning_rate))
        fail_msg("%s: %.17g", line, got);
}

static void schedules_follow_keras(void **state)
{
    (void)state;
    static char line[512];
    size_t lines = 0;
    FILE *file = fopen("tests/golden/schedule.txt", "r");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file); lines++)
        if (line[0] != '#')
            check_line(line);
    fclose(file);
    assert_true(lines > 190);
}

static void cosines_are_exact_where_the_cosine_is_known(void **state)
{
    (void)state;
    struct optimizer_spec spec = make_spec(SCHEDULE_COSINE, 1);
    spec.schedule.decay_steps = 60;
    spec.schedule.alpha = 0.2;
    assert_true(fabs(rate_at(&spec, 21) - (0.8 * 0.75 + 0.2)) < 1e-15);
    assert_true(fabs(rate_at(&spec, 41) - (0.8 * 0.25 + 0.2)) < 1e-15);
    assert_true(fabs(rate_at(&spec, 99) - 0.2) < 1e-15);
    spec.schedule = schedule_defaults(SCHEDULE_COSINE_RESTARTS);
    spec.schedule.decay_steps = 60;
    spec.schedule.m_mul = 0.5;
    assert_true(fabs(rate_at(&spec, 21) - 0.75) < 1e-15);
    assert_true(fabs(rate_at(&spec, 62 + 39) - 0.5 * 0.75) < 1e-14); // a third of 120
    assert_true(fabs(rate_at(&spec, 62 + 79) - 0.5 * 0.25) < 1e-14);
}

static void steps_fall_at_their_multiples(void **state)
{
    (void)state;
    struct optimizer_spec spec = make_spec(SCHEDULE_STEP, 0.8);
    spec.schedule.decay_steps = 10;
    spec.schedule.decay_rate = 0.5;
    assert_true(rate_at(&spec, 1) == 0.8 && rate_at(&spec, 10) == 0.8);
    assert_true(rate_at(&spec, 11) == 0.4 && rate_at(&spec, 20) == 0.4 && rate_at(&spec, 31) == 0.1);
}

// torch.optim.lr_scheduler.OneCycleLR with max_lr 1, total_steps 11 and its defaults but pct_start.
static void one_cycle_rises_and_falls(void **state)
{
    (void)state;
    struct optimizer_spec spec = make_spec(SCHEDULE_ONE_CYCLE, 1);
    spec.schedule.decay_steps = 11;
    spec.schedule.pct_start = 5.0 / 11;
    const double first = 1.0 / 25, last = first / 1e4;
    assert_true(fabs(rate_at(&spec, 1) - first) < 1e-15);
    assert_true(fabs(rate_at(&spec, 3) - (1 + first) / 2) < 1e-15); // halfway to step 5
    assert_true(fabs(rate_at(&spec, 5) - 1) < 1e-15);
    assert_true(fabs(rate_at(&spec, 8) - (1 + last) / 2) < 1e-15);
    assert_true(fabs(rate_at(&spec, 11) - last) < 1e-15);
    assert_true(rate_at(&spec, 12) == rate_at(&spec, 11));
    spec.schedule.pct_start = 0;
    assert_true(rate_at(&spec, 1) <= 1 && isfinite(rate_at(&spec, 1)));
    spec.schedule.decay_steps = 1;
    assert_true(isfinite(rate_at(&spec, 1)));
}

static void a_warm_up_leads_to_where_any_schedule_starts(void **state)
{
    (void)state;
    for (int type = 0; type < SCHEDULE_COUNT; type++) {
        struct optimizer_spec spec = make_spec((enum schedule_type)type, 0.1);
        spec.schedule.decay_steps = 20;
        const double start = rate_at(&spec, 1), third = rate_at(&spec, 3);
        spec.schedule.warmup_steps = 4;
        spec.schedule.warmup_initial_learning_rate = 0.01;
        assert_true(rate_at(&spec, 1) == 0.01);
        assert_true(fabs(rate_at(&spec, 3) - (0.01 + start) / 2) < 1e-16);
        assert_true(rate_at(&spec, 5) == start && rate_at(&spec, 7) == third);
    }
}

// keras/src/callbacks/reduce_lr_on_plateau.py, epoch by epoch.
static void a_plateau_lowers_the_rate_after_its_patience(void **state)
{
    (void)state;
    struct optimizer_spec spec = make_spec(SCHEDULE_REDUCE_ON_PLATEAU, 1);
    spec.schedule.factor = 0.5;
    spec.schedule.patience = 2;
    spec.schedule.cooldown = 1;
    spec.schedule.min_delta = 0.1;
    spec.schedule.min_learning_rate = 0.2;
    const struct {
        double loss, rate;
    } epochs[] = {
        {3, 1},    {2, 1},    {1.95, 1}, // better, but by less than min_delta
        {2, 0.5},                        // the second without
        {2, 0.5},                        // cooldown ends with it: counted as the first
        {2, 0.25}, {2, 0.25}, {1, 0.25}, {NAN, 0.25}, {1, 0.2}, {1, 0.2}, {1, 0.2}, {1, 0.2},
    };
    struct schedule_state at = schedule_start(&spec);
    for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++) {
        schedule_epoch(&spec, &at, epochs[i].loss);
        if (schedule_rate(&spec, &at, 9) != epochs[i].rate)
            fail_msg("epoch %zu: %g", i + 1, schedule_rate(&spec, &at, 9));
    }
    struct optimizer_spec constant = make_spec(SCHEDULE_CONSTANT, 1);
    at = schedule_start(&constant);
    for (int i = 0; i < 30; i++)
        schedule_epoch(&constant, &at, 1);
    assert_true(schedule_rate(&constant, &at, 9) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_follow_keras),
        cmocka_unit_test(cosines_are_exact_where_the_cosine_is_known),
        cmocka_unit_test(steps_fall_at_their_multiples),
        cmocka_unit_test(one_cycle_rises_and_falls),
        cmocka_unit_test(a_warm_up_leads_to_where_any_schedule_starts),
        cmocka_unit_test(a_plateau_lowers_the_rate_after_its_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
