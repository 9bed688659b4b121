// Each allocation of a training and of a model in use fails in turn: what was asked for says so, and keeps
// nothing.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/faults.h"

#include "data/generator.h"
#include "train/predictor.h"
#include "train/trainer.h"

enum { ROWS = 60, COLUMNS = 3, CLASSES = 3, TENSORS_MAX = 64 };

// What is set up before memory fails.
struct given {
    const char *name;
    struct dataset *data;
    struct train_spec spec;
    struct buffer file; // of the trained model
};

static void add(struct train_spec *spec, enum layer_type type, size_t units, enum activation activation)
{
    struct nabla_error err;
    struct layer_spec layer = layer_defaults(type);
    layer.units = units;
    layer.activation = activation;
    if (type == LAYER_TYPE_RESIDUAL)
        layer.branch = 2;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

// Of classes: every kind of layer, accumulation, averages, the best epoch kept, missing values filled in.
static struct train_spec rich_spec(void)
{
    struct train_spec spec = spec_defaults();
    add(&spec, LAYER_TYPE_DENSE, 6, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_ACTIVATION, 0, ACTIVATION_RELU);
    add(&spec, LAYER_TYPE_DROPOUT, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_DENSE, 5, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_ACTIVATION, 0, ACTIVATION_TANH);
    add(&spec, LAYER_TYPE_RESIDUAL, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_LAYER_NORM, 0, ACTIVATION_LINEAR);
    spec.layers[0].initializer = INITIALIZER_ORTHOGONAL;
    spec.class_weights_balanced = true;
    spec.optimizer.gradient_accumulation_steps = 2;
    spec.optimizer.use_ema = true;
    spec.optimizer.global_clip_norm = 1;
    spec.early_stopping.active = true;
    spec.early_stopping.restore_best = true;
    spec.missing = MISSING_MEDIAN;
    spec.epochs = 2;
    spec.batch_size = 16;
    return spec;
}

// Of targets, in plain.
static struct train_spec plain_spec(void)
{
    struct train_spec spec = spec_defaults();
    spec.optimizer = optimizer_defaults(OPTIMIZER_RMSPROP);
    spec.loss.type = NABLA_MEAN_SQUARED_ERROR;
    spec.scaling = SCALING_MIN_MAX;
    spec.epochs = 1;
    return spec;
}

static struct dataset *make_data(enum generator_type type)
{
    struct nabla_error err;
    struct dataset *data;
    struct generator generator = generator_defaults(type);
    generator.rows = ROWS;
    generator.features = COLUMNS;
    assert_int_equal(generator_make(&generator, &dataset_unlimited, &data, &err), NABLA_OK);
    return data;
}

static struct given given_new(const char *name, enum generator_type type, struct train_spec spec)
{
    struct nabla_error err;
    struct given given = {.name = name, .data = make_data(type), .spec = spec, .file = buffer_new(1 << 20)};
    if (spec.missing != MISSING_REFUSE)
        given.data->features[5] = NAN;
    if (spec_complete(&given.spec, given.data, &err) != NABLA_OK)
        fail_msg("%s: %s", name, err.text);
    return given;
}

static void given_free(struct given *given)
{
    buffer_free(&given->file);
    spec_free(&given->spec);
    dataset_free(given->data);
}

static enum nabla_code keep_model(const struct trainer *trainer, struct buffer *ret, struct nabla_error *err)
{
    struct tensor tensors[TENSORS_MAX];
    assert_true(trainer_tensor_count(trainer) <= TENSORS_MAX);
    trainer_tensors(trainer, tensors);
    ret->size = 0;
    return safetensors_write(tensors, trainer_tensor_count(trainer), NULL, 0, ret, err);
}

static enum nabla_code train(struct given *given, struct nabla_error *err)
{
    struct trainer *trainer = NULL;
    struct train_result result;
    enum nabla_code code = trainer_new(&given->spec, given->data, &trainer, err);
    if (!code)
        code = trainer_run(trainer, NULL, &result, err);
    if (!code && given->file.size == 0)
        code = keep_model(trainer, &given->file, err);
    trainer_free(trainer);
    return code;
}

static enum nabla_code predict(struct given *given, struct nabla_error *err)
{
    float outputs[ROWS * CLASSES], probabilities[ROWS * CLASSES];
    struct predictor *predictor = NULL;
    struct safetensors *file = NULL;
    enum nabla_code code = safetensors_read(given->file.data, given->file.size, &file, err);
    if (!code)
        code =
            predictor_new(&given->spec, spec_task(&given->spec, given->data), COLUMNS, file, &predictor, err);
    if (!code)
        code = predictor_run(predictor, given->data->features, ROWS, outputs, probabilities, err);
    predictor_free(predictor);
    safetensors_free(file);
    return code;
}

static void fail_each_allocation(struct given *given, const char *what,
                                 enum nabla_code (*attempt)(struct given *given, struct nabla_error *err))
{
    struct nabla_error err = {0};
    assert_int_equal(attempt(given, &err), NABLA_OK);
    long tried = 0;
    for (bool met = faults_of_memory(); met; tried++) {
        const long before = atomic_load(&faults_blocks);
        faults_arm(FAULT_MEMORY, tried + 1);
        const enum nabla_code code = attempt(given, &err);
        met = faults_disarm();
        if (code != (met ? NABLA_NO_MEMORY : NABLA_OK))
            fail_msg("%s, %s, allocation %ld: code %d, %s", given->name, what, tried + 1, (int)code,
                     err.text);
        if (atomic_load(&faults_blocks) != before)
            fail_msg("%s, %s, allocation %ld: %ld blocks are left", given->name, what, tried + 1,
                     atomic_load(&faults_blocks) - before);
    }
    assert_true(tried > 5 || !faults_of_memory());
}

static void lack_of_memory_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    struct given givens[] = {given_new("classes", GENERATOR_BLOBS, rich_spec()),
                             given_new("targets", GENERATOR_LINEAR, plain_spec())};
    for (size_t i = 0; i < sizeof givens / sizeof *givens; i++) {
        fail_each_allocation(&givens[i], "training", train);
        fail_each_allocation(&givens[i], "prediction", predict);
        given_free(&givens[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lack_of_memory_is_told_and_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
