// How long a training step takes, as a job runs it, beside the sum of its parts, each timed alone in the same
// run. Usage: bench_train [seconds per figure], or bench_train whole
#include "base/clock.h"
#include "base/size.h"
#include "math/matrix.h"
#include "math/random.h"
#include "train/activation.h"
#include "train/network.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shape {
    const char *name;
    size_t columns, batch, hidden[2], classes, rows;
    size_t chunk; // steps timed at once
    enum activation activation;
    bool batch_norm;
};

static const struct shape shapes[] = {
    {"4-128-64-10 sigmoid, batch 32", 4, 32, {128, 64}, 10, 1024, 50, ACTIVATION_SIGMOID, false},
    {"4-128-64-10 relu + batch_norm, batch 32", 4, 32, {128, 64}, 10, 1024, 50, ACTIVATION_RELU, true},
    {"784-512-256-10 relu + batch_norm, batch 128", 784, 128, {512, 256}, 10, 4096, 2, ACTIVATION_RELU, true},
};

static void die(const struct nabla_error *err)
{
    fprintf(stderr, "%s: %s\n", err->pointer, err->text);
    exit(1);
}

static void spec_hidden(struct train_spec *spec, const struct shape *shape, size_t units)
{
    struct nabla_error err;
    struct layer_spec dense = layer_defaults(LAYER_TYPE_DENSE);
    struct layer_spec norm = layer_defaults(LAYER_TYPE_BATCH_NORM);
    struct layer_spec activation = layer_defaults(LAYER_TYPE_ACTIVATION);
    dense.units = units;
    activation.activation = shape->activation;
    if (spec_add_layer(spec, &dense, &err) != NABLA_OK)
        die(&err);
    if (shape->batch_norm && spec_add_layer(spec, &norm, &err) != NABLA_OK)
        die(&err);
    if (spec_add_layer(spec, &activation, &err) != NABLA_OK)
        die(&err);
}

static struct dataset *make_data(const struct shape *shape)
{
    struct nabla_error err;
    struct dataset *data;
    if (dataset_new(shape->rows, shape->columns, shape->classes, &data, &err) != NABLA_OK)
        die(&err);
    struct random random = random_new(1, 1);
    for (size_t i = 0; i < shape->rows * shape->columns; i++)
        data->features[i] = random_float(&random);
    for (size_t i = 0; i < shape->rows; i++)
        data->ids[i] = (int32_t)random_below(&random, shape->classes);
    return data;
}

static struct train_spec make_spec(const struct shape *shape, const struct dataset *data, size_t every)
{
    struct nabla_error err;
    struct train_spec spec = spec_defaults();
    for (int i = 0; i < 2; i++)
        spec_hidden(&spec, shape, shape->hidden[i]);
    spec.batch_size = shape->batch;
    spec.validation_split = 0;
    spec.epochs = 1000000;
    spec.telemetry_every = every;
    spec.telemetry_folds = every == 1;
    if (spec_complete(&spec, data, &err) != NABLA_OK)
        die(&err);
    return spec;
}

// The least time that a few steps took, some hundred microseconds to a few milliseconds: others on the
// machine only ever add to it.

struct stopwatch {
    size_t chunk; // steps timed at once
    int64_t chunk_start, end;
    uint64_t steps;
    double least; // ns a step
};

// Times chunks of steps and stops the run when its time is up.
static enum nabla_code stop_in_time(void *context, struct nabla_error *err)
{
    struct stopwatch *watch = context;
    if (watch->steps++ % watch->chunk != 0)
        return NABLA_OK;
    const int64_t now = clock_monotonic_ns();
    if (watch->steps > watch->chunk)
        watch->least = fmin(watch->least, (double)(now - watch->chunk_start) / (double)watch->chunk);
    watch->chunk_start = now;
    return now < watch->end ? NABLA_OK : nabla_fail(err, NABLA_CANCELLED, NULL, "time is up");
}

static double time_steps(const struct shape *shape, const struct dataset *data, size_t every, size_t threads,
                         double seconds)
{
    struct nabla_error err;
    struct trainer *trainer;
    struct train_spec spec = make_spec(shape, data, every);
    spec.threads = threads;
    if (trainer_new(&spec, data, &trainer, &err) != NABLA_OK)
        die(&err);
    struct stopwatch watch = {
        .chunk = shape->chunk, .end = clock_monotonic_ns() + (int64_t)(1e9 * seconds), .least = INFINITY};
    const struct train_observer observer = {.context = &watch, .poll = stop_in_time};
    struct train_result result;
    if (trainer_run(trainer, &observer, &result, &err) != NABLA_CANCELLED)
        die(&err);
    trainer_free(trainer);
    spec_free(&spec);
    return 1e-3 * watch.least;
}

// One part of a step, done once.
static void part_products(struct network *network, size_t rows)
{
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const size_t inputs = layer->size.inputs, units = layer->size.outputs;
        if (layer->spec->type != LAYER_TYPE_DENSE)
            continue;
        matrix_multiply(layer->output, layer->input, layer->parameters, rows, units, inputs);
        matrix_multiply_transposed_a(layer->gradient, layer->input, layer->output, inputs, units, rows);
        if (i > 0)
            matrix_multiply_transposed_b(network->gradients[0], layer->output, layer->parameters, rows,
                                         inputs, units);
    }
}

static void part_update(struct network *network, size_t rows)
{
    (void)rows;
    struct optimizer_spec adam = optimizer_defaults(OPTIMIZER_ADAM);
    struct optimizer_step step = optimizer_step_new(&adam, adam.learning_rate, 1);
    network_update(network, &step, NULL);
}

static void part_activations(struct network *network, size_t rows)
{
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->spec->type != LAYER_TYPE_ACTIVATION)
            continue;
        const size_t count = rows * layer->size.outputs;
        activation_forward(layer->spec->activation, layer->spec->alpha, layer->output, layer->input, count);
        activation_backward(layer->spec->activation, layer->spec->alpha, network->gradients[0],
                            network->gradients[1], layer->input, layer->output, count);
    }
}

static void part_loss(struct network *network, size_t rows)
{
    static const int64_t ids[4096];
    struct nabla_error err;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT32,
                                     .rows = rows,
                                     .classes = network->outputs,
                                     .scores = network->layers[network->layer_count - 1].output,
                                     .ids = ids};
    struct nabla_loss_result result = {.gradient = network->gradients[0]};
    if (nabla_loss_compute(&loss, &batch, &result, &err) != NABLA_OK)
        die(&err);
}

static void part_forward(struct network *network, size_t rows)
{
    network_forward(network, rows, NETWORK_TRAIN);
}

static void part_backward(struct network *network, size_t rows)
{
    network_backward(network, rows);
}

// One thread and two take turns, so that other work on the machine troubles both.
static void time_threads(const struct shape *shape, const struct dataset *data, double seconds)
{
    enum { TURNS = 5 };
    double least[2] = {INFINITY, INFINITY};
    for (int i = 0; i < 2 * TURNS; i++)
        least[i % 2] = fmin(least[i % 2],
                            time_steps(shape, data, (size_t)1 << 40, 1 + (size_t)(i % 2), seconds / TURNS));
    printf("  %-12s %8.2f us, %.2f times as fast as %.2f us\n", "two threads", least[1], least[0] / least[1],
           least[0]);
}

static double time_part(void (*part)(struct network *, size_t), struct network *network, size_t rows,
                        size_t chunk, double seconds)
{
    const int64_t end = clock_monotonic_ns() + (int64_t)(1e9 * seconds);
    double least = INFINITY;
    for (int64_t now = clock_monotonic_ns(); now < end;) {
        const int64_t start = now;
        for (size_t i = 0; i < chunk; i++)
            part(network, rows);
        now = clock_monotonic_ns();
        least = fmin(least, (double)(now - start) / (double)chunk);
    }
    return 1e-3 * least;
}

static void time_parts(const struct shape *shape, const struct dataset *data, double seconds)
{
    static const struct {
        const char *name;
        void (*part)(struct network *, size_t);
        bool counted; // in the sum that a step is held against
    } parts[] = {
        {"products", part_products, true},       {"adam", part_update, true},
        {"activations", part_activations, true}, {"loss", part_loss, false},
        {"forward", part_forward, false},        {"backward", part_backward, false},
    };
    struct nabla_error err;
    struct network *network;
    struct train_spec spec = make_spec(shape, data, 1);
    if (network_new(&spec, shape->columns, shape->batch, &network, &err) != NABLA_OK)
        die(&err);
    struct random random = random_new(2, 2);
    network_initialize(network, &random);
    for (size_t i = 0; i < shape->batch * shape->columns; i++)
        network->input[i] = random_float(&random);
    double sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double taken = time_part(parts[i].part, network, shape->batch, shape->chunk, seconds);
        sum += parts[i].counted ? taken : 0;
        printf("  %-12s %8.2f us%s\n", parts[i].name, taken, parts[i].counted ? "" : "  (not in the sum)");
    }
    printf("  %-12s %8.2f us\n", "sum", sum);
    network_free(network);
    spec_free(&spec);
}

// A whole training of the first shape, 100,000 steps with default telemetry and nobody listening: what a job
// of it takes at least.
static int print_whole(void)
{
    struct nabla_error err;
    struct trainer *trainer;
    struct train_result result;
    struct shape shape = shapes[0];
    shape.rows = 1000;
    struct dataset *data = make_data(&shape);
    struct train_spec spec = spec_defaults();
    for (int i = 0; i < 2; i++)
        spec_hidden(&spec, &shape, shape.hidden[i]);
    spec.epochs = 4000;
    if (spec_complete(&spec, data, &err) != NABLA_OK ||
        trainer_new(&spec, data, &trainer, &err) != NABLA_OK ||
        trainer_run(trainer, NULL, &result, &err) != NABLA_OK)
        die(&err);
    printf("%.3f\n", result.seconds);
    trainer_free(trainer);
    spec_free(&spec);
    dataset_free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "whole") == 0)
        return print_whole();
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    printf("matrix kernels: %s\n", matrix_kernel_name());
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct dataset *data = make_data(&shapes[i]);
        printf("%s\n", shapes[i].name);
        printf("  %-12s %8.2f us\n", "step", time_steps(&shapes[i], data, 1, 1, seconds));
        printf("  %-12s %8.2f us  (without telemetry)\n", "step",
               time_steps(&shapes[i], data, (size_t)1 << 40, 1, seconds));
        time_threads(&shapes[i], data, seconds);
        time_parts(&shapes[i], data, seconds / 4);
        dataset_free(data);
    }
    return 0;
}
