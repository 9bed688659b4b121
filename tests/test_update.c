// Updates by every optimiser under every schedule, with clipping, decay, accumulation and averages, against
// Keras' own (scripts/golden/update_golden.py writes them and describes the lines): 100 steps in double.
#include "tests/engine_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/spec.h"
#include "train/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 100,
    EPOCH = 10,
    BATCHES = 300,
    INPUTS = 3,
    UNITS = 2,
    COUNT = INPUTS * UNITS + UNITS,
    LINE_SIZE = 4096
};

static const double tolerance = 1e-12;

struct golden {
    double start[COUNT], losses[STEPS / EPOCH], gradients[BATCHES][COUNT];
    size_t gradient_count, lines;
    double worst;
    bool seen[OPTIMIZER_COUNT][SCHEDULE_COUNT];
};

static void read_row(const char *text, size_t count, double *row)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        row[i] = strtod(text, &end);
        assert_ptr_not_equal(end, text);
        text = end;
    }
}

static void read_optimizer(const char *json, size_t length, struct job_spec *ret)
{
    static const struct dataset_limits any = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    char text[LINE_SIZE];
    struct nabla_error err;
    const int size = snprintf(
        text, sizeof text, "{\"model\":{\"layers\":[{\"type\":\"dense\",\"units\":2}]},\"optimizer\":%.*s}",
        (int)length, json);
    if (spec_from_json(text, (size_t)size, &any, ret, &err))
        fail_msg("%s: %s", text, err.text);
}

// A dense layer alone, whose gradients are given to it.
static struct network *make_network(const struct golden *golden, const struct train_spec *spec)
{
    struct network *network = NULL;
    assert_int_equal(network_new(spec, INPUTS, 1, &network, NULL), NABLA_OK);
    memset(network->state, 0, network->state_count * sizeof *network->state);
    memcpy(network->layers[0].parameters, golden->start, sizeof golden->start);
    return network;
}

static void take_step(struct network *network, const struct golden *golden, const struct optimizer_spec *spec,
                      const struct schedule_state *schedule, size_t step)
{
    const size_t batches = (size_t)spec->gradient_accumulation_steps;
    for (size_t i = 0; i < batches; i++) {
        memcpy(network->layers[0].gradient, golden->gradients[(step - 1) * batches + i],
               sizeof *golden->gradients);
        if (batches > 1)
            network_accumulate(network, i, batches);
    }
    const struct optimizer_step made = optimizer_step_new(spec, schedule_rate(spec, schedule, step), step);
    network_update(network, &made, NULL);
}

static struct network *run(const struct golden *golden, const struct train_spec *train, size_t steps)
{
    const struct optimizer_spec *spec = &train->optimizer;
    struct schedule_state schedule = schedule_start(spec);
    struct network *network = make_network(golden, train);
    for (size_t step = 1; step <= steps; step++) {
        take_step(network, golden, spec, &schedule, step);
        if (step % EPOCH == 0)
            schedule_epoch(spec, &schedule, golden->losses[step / EPOCH - 1]);
    }
    return network;
}

// Each parameter within the tolerance of itself, or of where it started: it may be on its way through 0.
static void compare(struct golden *golden, const char *line, const double *got, const double *wanted)
{
    for (size_t i = 0; i < COUNT; i++) {
        const double off = fabs(got[i] - wanted[i]);
        const double deviation = off > 0 ? off / fmax(fabs(wanted[i]), fabs(golden->start[i])) : 0;
        golden->worst = fmax(golden->worst, deviation);
        if (!(deviation <= tolerance))
            fail_msg("%.300s: parameter %zu is %.17g, not %.17g", line, i, got[i], wanted[i]);
    }
}

static void check_case(struct golden *golden, const char *line)
{
    struct job_spec job;
    double wanted[COUNT];
    const char *bar = strchr(line, '|'), *values = strchr(bar + 1, '|');
    assert_true(bar && values);
    read_optimizer(line + 5, (size_t)(bar - line - 5), &job);
    const struct optimizer_spec *optimizer = &job.train.optimizer;
    struct network *network = run(golden, &job.train, strtoul(bar + 1, NULL, 10));
    read_row(values + 1, COUNT, wanted);
    compare(golden, line, network->layers[0].parameters, wanted);
    const char *averages = strchr(values + 1, '|');
    assert_true(!averages == !optimizer->use_ema);
    if (averages) {
        read_row(averages + 1, COUNT, wanted);
        compare(golden, line, network->layers[0].average, wanted);
    }
    golden->seen[optimizer->type][optimizer->schedule.type] = true;
    golden->lines++;
    network_free(network);
    job_spec_free(&job);
}

static void a_hundred_updates_are_keras(void **state)
{
    (void)state;
    static struct golden golden;
    static char line[LINE_SIZE];
    FILE *file = fopen("tests/golden/update.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "start |", 7) == 0)
            read_row(line + 7, COUNT, golden.start);
        else if (strncmp(line, "losses |", 8) == 0)
            read_row(line + 8, STEPS / EPOCH, golden.losses);
        else if (strncmp(line, "gradient |", 10) == 0)
            read_row(line + 10, COUNT, golden.gradients[golden.gradient_count++]);
        else if (line[0] == 'c')
            check_case(&golden, line);
    fclose(file);
    for (int i = 0; i < OPTIMIZER_COUNT; i++)
        for (int j = 0; j < SCHEDULE_COUNT; j++)
            assert_true(golden.seen[i][j]);
    printf("%zu cases, %.2g at most\n", golden.lines, golden.worst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_hundred_updates_are_keras)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
