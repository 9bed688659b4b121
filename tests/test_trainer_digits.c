// On real data: 1,797 scans of handwritten digits. A deep sigmoid network's gradient vanishes towards its
// first layer; with ReLU and batch normalisation it does not, and the network learns.
#include "base/file.h"
#include "data/csv.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HIDDEN_LAYERS = 6, DENSE_LAYERS = HIDDEN_LAYERS + 1, SEEDS = 5 };

static struct dataset *read_digits(void)
{
    const struct dataset_limits limits = {10000, 100, 100, 100000000};
    struct buffer text = buffer_new(10000000);
    struct nabla_error err = {0};
    struct dataset *data = NULL;
    if (file_read("examples/data/digits.csv", &text, &err) != NABLA_OK ||
        csv_read(text.data, text.size, NULL, &limits, &data, &err) != NABLA_OK)
        fail_msg("%s", err.text);
    buffer_free(&text);
    assert_int_equal(data->rows, 1797);
    assert_int_equal(data->classes, 10);
    return data;
}

static void add_hidden(struct train_spec *spec, enum activation function)
{
    struct nabla_error err;
    struct layer_spec dense = layer_defaults(LAYER_TYPE_DENSE);
    struct layer_spec norm = layer_defaults(LAYER_TYPE_BATCH_NORM);
    struct layer_spec activation = layer_defaults(LAYER_TYPE_ACTIVATION);
    dense.units = 64;
    activation.activation = function;
    assert_int_equal(spec_add_layer(spec, &dense, &err), NABLA_OK);
    if (function == ACTIVATION_RELU)
        assert_int_equal(spec_add_layer(spec, &norm, &err), NABLA_OK);
    assert_int_equal(spec_add_layer(spec, &activation, &err), NABLA_OK);
}

// The gradient norms of the dense layers at step 1.
static enum nabla_code keep_first(void *context, const struct step_record *record,
                                  const struct train_progress *progress, struct nabla_error *err)
{
    (void)progress, (void)err;
    double *norms = context;
    for (size_t i = 0; i < record->layer_count && record->step == 1; i++)
        if (strncmp(record->layers[i].name, "dense_", 6) == 0)
            *norms++ = record->layers[i].values[LAYER_GRADIENT_NORM];
    return NABLA_OK;
}

static struct train_result run(const struct dataset *data, enum activation function, uint64_t seed,
                               size_t epochs, double norms[DENSE_LAYERS])
{
    struct train_spec spec = spec_defaults();
    struct nabla_error err;
    struct trainer *trainer;
    struct train_result result;
    for (int i = 0; i < HIDDEN_LAYERS; i++)
        add_hidden(&spec, function);
    spec.seed = seed;
    spec.epochs = epochs;
    const struct train_observer observer = {.context = norms, .record = keep_first};
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    assert_int_equal(trainer_run(trainer, &observer, &result, &err), NABLA_OK);
    trainer_free(trainer);
    spec_free(&spec);
    return result;
}

static void a_deep_sigmoid_network_loses_its_gradient_layer_by_layer(void **state)
{
    (void)state;
    struct dataset *data = read_digits();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        double norms[DENSE_LAYERS];
        run(data, ACTIVATION_SIGMOID, seed, 1, norms);
        for (int i = 1; i < DENSE_LAYERS; i++)
            assert_true(norms[i - 1] < norms[i] / 1.5);
        assert_true(norms[0] < 1e-3 * norms[DENSE_LAYERS - 1]);
        assert_true(norms[DENSE_LAYERS - 1] > 0.5);
    }
    dataset_free(data);
}

static void relu_with_batch_norm_keeps_it(void **state)
{
    (void)state;
    struct dataset *data = read_digits();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        double norms[DENSE_LAYERS];
        run(data, ACTIVATION_RELU, seed, 1, norms);
        for (int i = 0; i < DENSE_LAYERS; i++)
            assert_true(norms[i] > 0.5 && norms[i] < 6);
    }
    dataset_free(data);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void relu_with_batch_norm_reaches_96_percent(void **state)
{
    (void)state;
    struct dataset *data = read_digits();
    double accuracies[SEEDS], norms[DENSE_LAYERS];
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        accuracies[seed] = run(data, ACTIVATION_RELU, seed, 20, norms).validation_accuracy;
    qsort(accuracies, SEEDS, sizeof *accuracies, compare_doubles);
    if (!(accuracies[SEEDS / 2] >= 0.96))
        fail_msg("the median is %g", accuracies[SEEDS / 2]);
    dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deep_sigmoid_network_loses_its_gradient_layer_by_layer),
        cmocka_unit_test(relu_with_batch_norm_keeps_it),
        cmocka_unit_test(relu_with_batch_norm_reaches_96_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
