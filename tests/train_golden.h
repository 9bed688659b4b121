// Whole networks against what Keras 3 and PyTorch made of them, step by step. Compiled twice: in float, as
// the library trains, and in double (tests/engine_double.h).
//
// A file of tests/golden/train (scripts/golden/train_golden.py writes them) is one case: safetensors with
//   features, labels (I64 ids or F64 targets), sample_weights     the rows
//   order           steps × batches a step × rows                 what each step trains on
//   state.<tensor>  (steps + 1) × shape                           parameters and running statistics
//   slot_<n>.<tensor>, average.<tensor>                           what the optimiser keeps
// and the metadata `spec` (a job's document), `excluded` (tensors whose gradient is 0 but for rounding,
// and "slot_2." and the like, which the reference does not keep) and free_32,
// free_64: how far the reference strays from itself in all its steps, relative to the norm of all tensors,
// when each batch's rows are permuted. Our own runs end beside the reference's last state in float64: in
// float32 Keras takes 1 − β₂ from a rounded β₂, which is off by 1e-5 and no straying.
#ifndef NABLA_TESTS_TRAIN_GOLDEN_H
#define NABLA_TESTS_TRAIN_GOLDEN_H

#include "train/network.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/spec.h"
#include "base/mapped.h"
#include "data/safetensors.h"
#include "train/schedule.h"
#include "train/task.h"

enum { GOLDEN_NAME_SIZE = 96, IS_DOUBLE = sizeof(real) == sizeof(double) };

struct golden {
    struct mapped mapped;
    struct safetensors *file;
    struct job_spec spec;
    struct dataset *data;
    struct network *network;
    size_t steps, batches, rows;   // of `order`
    double worst;                  // deviation met, relative
    double free_square, free_norm; // Σ (ours − theirs)², Σ theirs², at the end of a free run
    char worst_at[GOLDEN_NAME_SIZE + 32];
};

static const struct tensor *golden_tensor(const struct golden *golden, const char *prefix, const char *name)
{
    char whole[GOLDEN_NAME_SIZE];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    return safetensors_find(golden->file, whole);
}

static double golden_number(const struct tensor *tensor, size_t index)
{
    double value;
    memcpy(&value, (const char *)tensor->data + index * sizeof value, sizeof value);
    return value;
}

static int64_t golden_id(const struct tensor *tensor, size_t index)
{
    int64_t value;
    memcpy(&value, (const char *)tensor->data + index * sizeof value, sizeof value);
    return value;
}

static struct dataset *golden_dataset(const struct golden *golden)
{
    const struct tensor *features = golden_tensor(golden, "features", ""),
                        *labels = golden_tensor(golden, "labels", ""),
                        *weights = golden_tensor(golden, "sample_weights", "");
    const size_t rows = features->shape[0], columns = features->shape[1];
    struct dataset *data;
    size_t classes = 0;
    const bool is_ids = labels->dtype == TENSOR_I64;
    for (size_t i = 0; is_ids && i < rows; i++)
        classes = (size_t)golden_id(labels, i) >= classes ? (size_t)golden_id(labels, i) + 1 : classes;
    assert_int_equal(is_ids ? dataset_new(rows, columns, classes, &data, NULL)
                            : dataset_new_targets(rows, columns, labels->shape[1], &data, NULL),
                     NABLA_OK);
    for (size_t i = 0; i < rows * columns; i++)
        data->features[i] = (float)golden_number(features, i);
    for (size_t i = 0; i < labels->elements; i++)
        if (is_ids)
            data->ids[i] = (int32_t)golden_id(labels, i);
        else
            data->targets[i] = (float)golden_number(labels, i);
    if (weights)
        assert_int_equal(dataset_add_weights(data, NULL), NABLA_OK);
    for (size_t i = 0; weights && i < rows; i++)
        data->weights[i] = (float)golden_number(weights, i);
    return data;
}

static void golden_open(struct golden *golden, const char *path)
{
    static const struct dataset_limits any = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    struct nabla_error err = {0};
    *golden = (struct golden){0};
    if (mapped_open_path(path, &golden->mapped, &err) ||
        safetensors_read(golden->mapped.bytes, golden->mapped.size, &golden->file, &err))
        fail_msg("%s: %s", path, err.text);
    const char *text = safetensors_metadata(golden->file, "spec");
    golden->data = golden_dataset(golden);
    if (spec_from_json(text, strlen(text), &any, &golden->spec, &err) ||
        spec_prepare(&golden->spec, golden->data, &err))
        fail_msg("%s: %s: %s", path, err.pointer, err.text);
    const struct tensor *order = golden_tensor(golden, "order", "");
    golden->steps = order->shape[0];
    golden->batches = order->shape[1];
    golden->rows = order->shape[2];
    assert_int_equal(
        network_new(&golden->spec.train, golden->data->columns, golden->rows, &golden->network, &err),
        NABLA_OK);
}

static void golden_close(struct golden *golden)
{
    network_free(golden->network);
    job_spec_free(&golden->spec);
    dataset_free(golden->data);
    safetensors_free(golden->file);
    mapped_close(&golden->mapped);
}

// Where a tensor of ours lives: one of "parameters", "running", a slot, …
struct place {
    char prefix[32], name[GOLDEN_NAME_SIZE - 32];
    real *numbers;
    size_t count;
};

typedef void place_visitor(struct golden *golden, const struct place *place, size_t step);

static void visit_part(struct golden *golden, const struct layer *layer, const char *part, size_t offset,
                       size_t count, size_t step, place_visitor *visit)
{
    const size_t slots = optimizer_slots(golden->spec.train.optimizer.type);
    struct place place = {.prefix = "state.", .numbers = layer->parameters + offset, .count = count};
    snprintf(place.name, sizeof place.name, "%s.%s", layer->name, part);
    visit(golden, &place, step);
    for (size_t slot = 0; slot < slots; slot++) {
        snprintf(place.prefix, sizeof place.prefix, "slot_%zu.", slot + 1);
        place.numbers = layer->slots[slot] + offset;
        visit(golden, &place, step);
    }
    if (!layer->average)
        return;
    snprintf(place.prefix, sizeof place.prefix, "average.");
    place.numbers = layer->average + offset;
    visit(golden, &place, step);
}

static void visit_running(struct golden *golden, const struct layer *layer, size_t step, place_visitor *visit)
{
    static const char *const parts[] = {"running_mean", "running_variance"};
    for (size_t i = 0; layer->size.running > 0 && i < 2; i++) {
        struct place place = {.prefix = "state.", .count = layer->size.inputs};
        place.numbers = layer->running + i * layer->size.inputs;
        snprintf(place.name, sizeof place.name, "%s.%s", layer->name, parts[i]);
        visit(golden, &place, step);
    }
}

static void visit_all(struct golden *golden, size_t step, place_visitor *visit)
{
    for (size_t i = 0; i < golden->network->trained_count; i++) {
        const struct layer *layer = &golden->network->layers[golden->network->trained[i]];
        const bool kernel = layer->spec->type == LAYER_TYPE_DENSE || layer->spec->type == LAYER_TYPE_RESIDUAL;
        const size_t first = layer->size.first, rest = layer->size.parameters - first;
        visit_part(golden, layer, kernel ? "weight" : "gamma", 0, first, step, visit);
        if (rest > 0)
            visit_part(golden, layer, kernel ? "bias" : "beta", first, rest, step, visit);
        visit_running(golden, layer, step, visit);
    }
}

static void load_place(struct golden *golden, const struct place *place, size_t step)
{
    const struct tensor *tensor = golden_tensor(golden, place->prefix, place->name);
    if (!tensor)
        fail_msg("the file has no %s%s", place->prefix, place->name);
    assert_int_equal(tensor->elements, place->count * (golden->steps + 1));
    for (size_t i = 0; i < place->count; i++)
        place->numbers[i] = (real)golden_number(tensor, step * place->count + i);
}

// By its name, or with all of its kind ("slot_2.").
static bool is_excluded(const struct golden *golden, const struct place *place)
{
    const char *list = safetensors_metadata(golden->file, "excluded");
    return list && (strstr(list, place->name) || strstr(list, place->prefix));
}

// ‖ours − theirs‖ against ‖theirs‖: the larger of the norms before and after the step, since a moment that
// passes through 0 is the difference of two terms that are not small.
static void compare_place(struct golden *golden, const struct place *place, size_t step)
{
    const struct tensor *tensor = golden_tensor(golden, place->prefix, place->name);
    double difference = 0, norm = 0, before = 0;
    if (is_excluded(golden, place))
        return;
    for (size_t i = 0; i < place->count; i++) {
        const double wanted = golden_number(tensor, step * place->count + i);
        const double off = (double)place->numbers[i] - wanted;
        const double earlier = golden_number(tensor, (step - 1) * place->count + i);
        difference += off * off;
        norm += wanted * wanted;
        before += earlier * earlier;
    }
    norm = fmax(norm, before);
    const double deviation = norm > 0 ? sqrt(difference / norm) : difference > 0 ? INFINITY : 0;
    if (!(deviation <= golden->worst)) {
        golden->worst = deviation;
        snprintf(golden->worst_at, sizeof golden->worst_at, "%s%s, step %zu", place->prefix, place->name,
                 step);
    }
}

// What a row counts: its own weight, and where one output stands for two classes that of its class.
static double row_weight(const struct golden *golden, size_t row)
{
    const struct train_spec *spec = &golden->spec.train;
    const bool by_class = spec->class_weight_count > 0 && spec_task(spec, golden->data) == TASK_BINARY;
    return (golden->data->weights ? (double)golden->data->weights[row] : 1) *
           (by_class ? spec->class_weights[golden->data->ids[row]] : 1);
}

static void learn_golden_batch(struct golden *golden, const struct tensor *order, size_t first)
{
    enum { MOST = 4096 };
    static int64_t ids[MOST];
    static double weights[MOST];
    static real targets[MOST];
    struct network *network = golden->network;
    const struct dataset *data = golden->data;
    const size_t columns = data->columns, outputs = network->outputs;
    assert_true(golden->rows * (outputs > 1 ? outputs : 1) <= MOST);
    for (size_t i = 0; i < golden->rows; i++) {
        const size_t row = (size_t)golden_id(order, first + i);
        for (size_t j = 0; j < columns; j++)
            network->input[i * columns + j] = (real)data->features[row * columns + j];
        for (size_t j = 0; data->targets && j < outputs; j++)
            targets[i * outputs + j] = (real)data->targets[row * outputs + j];
        ids[i] = data->ids ? data->ids[row] : 0;
        weights[i] = row_weight(golden, row);
    }
    struct nabla_loss loss = golden->spec.train.loss;
    if (spec_task(&golden->spec.train, data) == TASK_BINARY)
        loss.class_weights = NULL;
    const struct nabla_loss_batch batch = {.dtype = (enum nabla_dtype)REAL_DTYPE,
                                           .rows = golden->rows,
                                           .classes = outputs,
                                           .scores = network_forward(network, golden->rows, NETWORK_TRAIN),
                                           .ids = data->ids ? ids : NULL,
                                           .targets = data->targets ? targets : NULL,
                                           .sample_weights = weights};
    struct nabla_loss_result result = {.gradient = network_loss_gradient(network)};
    struct nabla_error err;
    if (nabla_loss_compute(&loss, &batch, &result, &err))
        fail_msg("%s: %s", err.pointer, err.text);
    network_backward(network, golden->rows);
}

// One step from where the network stands, numbered from 1.
static void golden_step(struct golden *golden, size_t step)
{
    const struct optimizer_spec *optimizer = &golden->spec.train.optimizer;
    const struct tensor *order = golden_tensor(golden, "order", "");
    for (size_t i = 0; i < golden->batches; i++) {
        learn_golden_batch(golden, order, ((step - 1) * golden->batches + i) * golden->rows);
        if (network_accumulates(&golden->spec.train))
            network_accumulate(golden->network, i, golden->batches);
    }
    network_penalty_gradient(golden->network);
    const struct schedule_state schedule = schedule_start(optimizer);
    const struct optimizer_step made =
        optimizer_step_new(optimizer, schedule_rate(optimizer, &schedule, step), step);
    network_update(golden->network, &made, NULL);
}

// The reference's state before each step, our step, its state after it.
static void check_each_step(struct golden *golden)
{
    for (size_t step = 1; step <= golden->steps; step++) {
        visit_all(golden, step - 1, load_place);
        golden_step(golden, step);
        visit_all(golden, step, compare_place);
    }
}

static void add_free_place(struct golden *golden, const struct place *place, size_t step)
{
    const struct tensor *tensor = golden_tensor(golden, place->prefix, place->name);
    if (strcmp(place->prefix, "state.") != 0)
        return;
    for (size_t i = 0; i < place->count; i++) {
        const double wanted = golden_number(tensor, step * place->count + i);
        const double off = (double)place->numbers[i] - wanted;
        golden->free_square += off * off;
        golden->free_norm += wanted * wanted;
    }
}

// A run of our own against the reference's, in its own strayings.
static double free_strayings(struct golden *golden)
{
    const char *text = safetensors_metadata(golden->file, IS_DOUBLE ? "free_64" : "free_32");
    if (!text)
        return 0;
    visit_all(golden, 0, load_place);
    for (size_t step = 1; step <= golden->steps; step++)
        golden_step(golden, step);
    golden->free_square = golden->free_norm = 0;
    visit_all(golden, golden->steps, add_free_place);
    // Where the reference hardly strays, the roundings of as many steps are the measure.
    const double least = (IS_DOUBLE ? 0x1p-53 : 0x1p-24) * sqrt((double)golden->steps);
    const double own = strtod(text, NULL);
    return sqrt(golden->free_square / golden->free_norm) / (own > least ? own : least);
}

static const double tolerance = IS_DOUBLE ? 1e-10 : 1e-5;
// Ten in double. In float another engine rounds everywhere, where permuted rows move some sums alone: up to 5
// times the reference's strayings with AVX-512 kernels, 12 with the portable ones.
static const double strayings_most = IS_DOUBLE ? 10 : 30;

static bool check_golden_file(const char *path)
{
    struct golden golden;
    golden_open(&golden, path);
    check_each_step(&golden);
    const double strayings = free_strayings(&golden);
    const bool right = golden.worst <= tolerance && strayings <= strayings_most;
    const char *name = safetensors_metadata(golden.file, "case");
    printf("%s %-20s %zu steps, %.2g at most (%s); free: %.2g strayings\n", right ? "  " : "NO", name,
           golden.steps, golden.worst, golden.worst_at, strayings);
    golden_close(&golden);
    return right;
}

static void every_step_of_every_network_is_the_references(void **state)
{
    (void)state;
    static const char folder[] = "tests/golden/train";
    DIR *entries = opendir(folder);
    size_t files = 0, wrong = 0;
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        char path[512];
        if (!strstr(entry->d_name, ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        wrong += !check_golden_file(path);
        files++;
    }
    closedir(entries);
    assert_true(files >= 16);
    assert_int_equal(wrong, 0);
}

// Files as arguments are checked instead: scripts/golden/train_random.py makes some.
static int golden_main(int argc, char **argv)
{
    size_t wrong = 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_step_of_every_network_is_the_references)};
    for (int i = 1; i < argc; i++)
        wrong += !check_golden_file(argv[i]);
    return argc > 1 ? wrong > 0 : cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
