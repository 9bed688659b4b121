#include "base/size.h"
#include "data/safetensors.h"
#include "math/random.h"
#include "tests/short.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 150, COLUMNS = 4, CLASSES = 3, RECORDS_MAX = 400, LAYERS_MAX = 16 };

// Three blobs on different scales; the classes are of sizes 1 : 2 : 3.
static struct dataset *make_data(void)
{
    struct dataset *data;
    struct nabla_error err;
    struct random random = random_new(4, 4);
    assert_int_equal(dataset_new(ROWS, COLUMNS, CLASSES, &data, &err), NABLA_OK);
    for (size_t i = 0; i < ROWS; i++) {
        data->ids[i] = i % 6 == 0 ? 0 : i % 6 < 3 ? 1 : 2;
        for (size_t j = 0; j < COLUMNS; j++) {
            const double centre = (double)((data->ids[i] + (int)j) % CLASSES) * 4;
            data->features[i * COLUMNS + j] = (float)(pow(10, (double)j) * (centre + random_normal(&random)));
        }
    }
    return data;
}

static void add(struct train_spec *spec, enum layer_type type, size_t units, enum activation activation)
{
    struct nabla_error err;
    struct layer_spec layer = layer_defaults(type);
    layer.units = units;
    layer.activation = activation;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

static struct train_spec make_spec(void)
{
    struct train_spec spec = spec_defaults();
    add(&spec, LAYER_TYPE_DENSE, 16, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_ACTIVATION, 0, ACTIVATION_RELU);
    add(&spec, LAYER_TYPE_DROPOUT, 0, ACTIVATION_LINEAR);
    spec.layers[3].rate = 0.1;
    spec.epochs = 4;
    spec.optimizer.learning_rate = 0.01;
    spec.seed = 7;
    return spec;
}

struct history {
    size_t count;
    uint64_t steps[RECORDS_MAX];
    uint32_t recorded[RECORDS_MAX];
    double values[RECORDS_MAX][NETWORK_STAT_COUNT];
    double layers[RECORDS_MAX][LAYERS_MAX][LAYER_STAT_COUNT];
    struct train_progress progress[RECORDS_MAX];
    uint64_t polls, cancel_at; // poll number that cancels; 0 for none
    uint64_t fail_at;          // record number that fails; 0 for none
};

static enum nabla_code keep(void *context, const struct step_record *record,
                            const struct train_progress *progress, struct nabla_error *err)
{
    struct history *history = context;
    const size_t i = history->count++;
    assert_true(i < RECORDS_MAX && record->layer_count <= LAYERS_MAX);
    history->steps[i] = record->step;
    history->recorded[i] = record->recorded;
    memcpy(history->values[i], record->values, sizeof history->values[i]);
    history->values[i][NETWORK_SAMPLES_PER_SECOND] = 0; // the only one that may differ between runs
    for (size_t l = 0; l < record->layer_count; l++)
        memcpy(history->layers[i][l], record->layers[l].values, sizeof history->layers[i][l]);
    history->progress[i] = *progress;
    assert_int_equal(progress->step, record->step);
    return history->count == history->fail_at ? nabla_fail(err, NABLA_IO, NULL, "no room") : NABLA_OK;
}

static enum nabla_code count_poll(void *context, struct nabla_error *err)
{
    struct history *history = context;
    return ++history->polls == history->cancel_at ? nabla_fail(err, NABLA_CANCELLED, NULL, "enough")
                                                  : NABLA_OK;
}

static struct history *run(struct train_spec *spec, const struct dataset *data, struct history *history,
                           struct train_result *result, enum nabla_code wanted)
{
    struct trainer *trainer;
    struct nabla_error err = {0};
    if (!history)
        history = test_calloc(1, sizeof *history);
    const struct train_observer observer = {.context = history, .record = keep, .poll = count_poll};
    assert_int_equal(spec_complete(spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(spec, data, &trainer, &err), NABLA_OK);
    assert_int_equal(trainer_run(trainer, &observer, result, &err), wanted);
    trainer_free(trainer);
    return history;
}

static void the_same_seed_gives_the_same_bits(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result result[3];
    struct history *first = run(&spec, data, NULL, &result[0], NABLA_OK);
    struct history *second = run(&spec, data, NULL, &result[1], NABLA_OK);
    spec.seed = 8;
    struct history *other = run(&spec, data, NULL, &result[2], NABLA_OK);
    assert_int_equal(first->count, 16);
    assert_memory_equal(first, second, sizeof *first);
    assert_memory_not_equal(first->values, other->values, sizeof first->values);
    assert_true(result[0].loss == result[1].loss && result[0].accuracy == result[1].accuracy);
    assert_true(result[0].validation_loss == result[1].validation_loss);
    test_free(first);
    test_free(second);
    test_free(other);
    spec_free(&spec);
    dataset_free(data);
}

// Layers whose products, passes and updates are worth sharing.
static struct train_spec make_wide_spec(enum optimizer_type optimizer, enum layer_type norm,
                                        enum activation activation)
{
    struct train_spec spec = make_spec();
    for (int i = 0; i < 2; i++) {
        add(&spec, LAYER_TYPE_DENSE, 301, ACTIVATION_LINEAR);
        spec.layers[spec.layer_count - 1].rules[0].l2 = activation == ACTIVATION_GELU ? 0.01 : 0;
        spec.layers[spec.layer_count - 1].rules[0].max_norm = activation == ACTIVATION_TANH ? 2 : 0;
        add(&spec, norm, 0, ACTIVATION_LINEAR);
        add(&spec, LAYER_TYPE_ACTIVATION, 0, activation);
    }
    spec.optimizer = optimizer_defaults(optimizer);
    spec.optimizer.clip_norm = activation == ACTIVATION_GELU ? 0.1 : 0;
    spec.optimizer.use_ema = activation == ACTIVATION_TANH;
    spec.epochs = 2;
    spec.batch_size = 120;
    return spec;
}

// With 1 to 3 threads, against the first.
static void check_threads(const struct dataset *data, enum optimizer_type optimizer, enum layer_type norm,
                          enum activation activation)
{
    struct history *histories[4] = {0};
    struct train_result results[4];
    for (size_t threads = 1; threads < 4; threads++) {
        struct train_spec spec = make_wide_spec(optimizer, norm, activation);
        spec.threads = threads;
        histories[threads] = run(&spec, data, NULL, &results[threads], NABLA_OK);
        spec_free(&spec);
        if (memcmp(histories[1], histories[threads], sizeof *histories[1]) != 0)
            fail_msg("%zu threads train otherwise than one with optimiser %d, norm %d, activation %d",
                     threads, (int)optimizer, (int)norm, (int)activation);
        assert_true(results[1].validation_loss == results[threads].validation_loss);
    }
    for (size_t threads = 1; threads < 4; threads++)
        test_free(histories[threads]);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static const enum activation activations[] = {ACTIVATION_RELU, ACTIVATION_GELU, ACTIVATION_TANH};
    struct dataset *data = make_data();
    for (int i = 0; i < (int)short_of(OPTIMIZER_COUNT, 2); i++)
        check_threads(data, (enum optimizer_type)i,
                      i % 2 == 0 ? LAYER_TYPE_BATCH_NORM : LAYER_TYPE_LAYER_NORM, activations[i % 3]);
    dataset_free(data);
}

static void each_step_has_its_schedules_rate(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result result;
    spec.optimizer.schedule = schedule_defaults(SCHEDULE_COSINE);
    spec.optimizer.schedule.warmup_steps = 4;
    struct history *cosine = run(&spec, data, NULL, &result, NABLA_OK);
    assert_true(spec.optimizer.schedule.decay_steps == 12); // of 16 steps
    for (size_t i = 0; i < cosine->count; i++) {
        const double n = (double)i - 4,
                     wanted = n < 0 ? (double)i / 4 : 0.5 * (1 + cos(3.14159265358979 * n / 12));
        assert_true(fabs(cosine->values[i][NETWORK_LEARNING_RATE] - 0.01 * wanted) < 1e-15);
    }
    // No epoch is better by 1000: the first sets the mark, the two after it are the patience's.
    spec.optimizer.schedule = schedule_defaults(SCHEDULE_REDUCE_ON_PLATEAU);
    spec.optimizer.schedule.patience = 2;
    spec.optimizer.schedule.min_delta = 1000;
    struct history *plateau = run(&spec, data, NULL, &result, NABLA_OK);
    assert_true(plateau->values[11][NETWORK_LEARNING_RATE] == 0.01);
    assert_true(fabs(plateau->values[12][NETWORK_LEARNING_RATE] - 0.001) < 1e-16);
    test_free(cosine);
    test_free(plateau);
    spec_free(&spec);
    dataset_free(data);
}

// As they enter the network: scaled on themselves, or as they are.
static void the_inputs_range_is_that_of_the_training_rows(void **state)
{
    (void)state;
    struct nabla_error err;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct trainer *trainer;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    const struct input_range scaled = trainer_inputs(trainer);
    trainer_free(trainer);
    assert_true(fabs(input_range_mean(&scaled)) < 1e-6 && fabs(input_range_std(&scaled) - 1) < 1e-6);
    assert_true(scaled.count > 0 && scaled.count % data->columns == 0);
    spec.scaling = SCALING_NONE;
    spec.validation_split = 0;
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    const struct input_range plain = trainer_inputs(trainer);
    trainer_free(trainer);
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < data->rows * data->columns; i++) {
        least = fmin(least, (double)data->features[i]);
        most = fmax(most, (double)data->features[i]);
    }
    assert_true(plain.min == least && plain.max == most && plain.count == data->rows * data->columns);
    spec_free(&spec);
    dataset_free(data);
}

static void telemetry_changes_nothing_that_is_trained(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result all, few, folded;
    spec.histograms_every = 1000;
    spec.telemetry_every = 1;
    struct history *every = run(&spec, data, NULL, &all, NABLA_OK);
    spec.telemetry_every = 1000;
    struct history *folds = run(&spec, data, NULL, &folded, NABLA_OK);
    assert_true(all.loss == folded.loss && all.validation_loss == folded.validation_loss);
    spec.telemetry_folds = false;
    struct history *rare = run(&spec, data, NULL, &few, NABLA_OK);
    assert_true(all.loss == few.loss && all.validation_loss == few.validation_loss);
    assert_int_equal(rare->count, 5); // the first, and each epoch's last
    assert_int_equal(rare->steps[1], 4);
    // After a gap the norm before the step is computed afresh, to the same bits.
    for (enum layer_stat stat = LAYER_WEIGHT_NORM; stat <= LAYER_SATURATED_FRACTION; stat++)
        for (size_t i = 0; i < LAYERS_MAX; i++)
            assert_memory_equal(&rare->layers[1][i][stat], &every->layers[3][i][stat], sizeof(double));
    test_free(folds);
    test_free(every);
    test_free(rare);
    spec_free(&spec);
    dataset_free(data);
}

static void records_come_at_the_first_each_nth_and_each_epochs_last_step(void **state)
{
    (void)state;
    const uint64_t wanted[] = {1, 3, 4, 6, 8, 9, 12, 15, 16};
    const uint32_t validation = 1U << NETWORK_VALIDATION_LOSS | 1U << NETWORK_VALIDATION_ACCURACY;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result result;
    spec.telemetry_every = 3; // 120 training rows: 4 steps an epoch, the last one short
    struct history *history = run(&spec, data, NULL, &result, NABLA_OK);
    assert_int_equal(history->count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < history->count; i++) {
        const bool epoch_ends = wanted[i] % 4 == 0;
        assert_int_equal(history->steps[i], wanted[i]);
        assert_int_equal(history->progress[i].epoch, wanted[i] / 4);
        assert_int_equal(history->recorded[i] & validation, epoch_ends ? validation : 0);
        assert_true(isnan(history->values[i][NETWORK_VALIDATION_LOSS]) == !epoch_ends);
        assert_true(history->values[i][NETWORK_LEARNING_RATE] == 0.01);
    }
    assert_int_equal(history->polls, 16);
    assert_int_equal(result.steps, 16);
    assert_int_equal(result.epochs, 4);
    assert_true(result.validation_loss == history->values[8][NETWORK_VALIDATION_LOSS]);
    test_free(history);
    spec_free(&spec);
    dataset_free(data);
}

static void without_a_validation_part_its_figures_are_nan(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result result;
    spec.validation_split = 0;
    struct history *history = run(&spec, data, NULL, &result, NABLA_OK);
    assert_true(isnan(result.validation_loss) && isnan(result.validation_accuracy));
    assert_int_equal(result.steps, 4 * 5); // 150 rows
    for (size_t i = 0; i < history->count; i++)
        assert_int_equal(history->recorded[i] & 1U << NETWORK_VALIDATION_LOSS, 0);
    test_free(history);
    spec_free(&spec);
    dataset_free(data);
}

static void it_learns_what_is_easy_to_learn(void **state)
{
    (void)state;
    const struct {
        const char *comment;
        enum optimizer_type type;
        double learning_rate, momentum;
        bool nesterov, balanced, batch_norm;
        enum activation activation;
    } cases[] = {
        {"sigmoid, adam", OPTIMIZER_ADAM, 0.02, 0, false, false, false, ACTIVATION_SIGMOID},
        {"tanh, sgd", OPTIMIZER_SGD, 0.1, 0, false, false, false, ACTIVATION_TANH},
        {"relu, momentum", OPTIMIZER_SGD, 0.02, 0.9, false, true, false, ACTIVATION_RELU},
        {"relu, nesterov, batch norm", OPTIMIZER_SGD, 0.02, 0.9, true, false, true, ACTIVATION_RELU},
        {"linear, adam, balanced", OPTIMIZER_ADAM, 0.02, 0, false, true, true, ACTIVATION_LINEAR},
    };
    struct dataset *data = make_data();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_spec spec = spec_defaults();
        struct train_result result;
        add(&spec, LAYER_TYPE_DENSE, 16, ACTIVATION_LINEAR);
        if (cases[i].batch_norm)
            add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
        add(&spec, LAYER_TYPE_ACTIVATION, 0, cases[i].activation);
        spec.optimizer = optimizer_defaults(cases[i].type);
        spec.optimizer.learning_rate = cases[i].learning_rate;
        spec.optimizer.momentum = cases[i].momentum;
        spec.optimizer.nesterov = cases[i].nesterov;
        spec.class_weights_balanced = cases[i].balanced;
        spec.epochs = 40;
        struct history *history = run(&spec, data, NULL, &result, NABLA_OK);
        if (!(result.accuracy >= 0.95 && result.validation_accuracy >= 0.9))
            fail_msg("%s: accuracy %g, in validation %g", cases[i].comment, result.accuracy,
                     result.validation_accuracy);
        assert_true(result.loss < history->values[0][NETWORK_LOSS]);
        test_free(history);
        spec_free(&spec);
    }
    dataset_free(data);
}

static void balanced_weights_equal_those_written_out(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec balanced = make_spec(), written = make_spec();
    struct train_result a, b;
    balanced.class_weights_balanced = true;
    written.class_weights = calloc(CLASSES, sizeof *written.class_weights);
    written.class_weight_count = CLASSES;
    const double training_rows[CLASSES] = {20, 40, 60};
    for (size_t c = 0; c < CLASSES; c++)
        written.class_weights[c] = 120 / (CLASSES * training_rows[c]);
    struct history *first = run(&balanced, data, NULL, &a, NABLA_OK);
    struct history *second = run(&written, data, NULL, &b, NABLA_OK);
    assert_true(a.loss == b.loss);
    assert_memory_equal(first, second, sizeof *first);
    test_free(first);
    test_free(second);
    spec_free(&balanced);
    spec_free(&written);
    dataset_free(data);
}

static void what_the_observer_says_ends_the_run(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct train_result result = {.steps = 99};
    struct history cancelled = {.cancel_at = 6}, failed = {.fail_at = 3};
    run(&spec, data, &cancelled, &result, NABLA_CANCELLED);
    assert_int_equal(cancelled.count, 5);
    run(&spec, data, &failed, &result, NABLA_IO);
    assert_int_equal(failed.count, 3);
    assert_int_equal(result.steps, 99); // left alone
    spec_free(&spec);
    dataset_free(data);
}

static void a_run_needs_no_observer(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct nabla_error err;
    struct trainer *trainer;
    struct train_result result;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    assert_int_equal(trainer_run(trainer, NULL, &result, &err), NABLA_OK);
    assert_int_equal(result.steps, 16);
    trainer_free(trainer);
    trainer_free(NULL);
    spec_free(&spec);
    dataset_free(data);
}

static void tensors_have_names_and_shapes(void **state)
{
    (void)state;
    const struct {
        const char *name;
        size_t rank, rows, columns;
    } wanted[] = {
        {"dense_1.weight", 2, COLUMNS, 16},      {"dense_1.bias", 1, 16, 0},
        {"batch_norm_1.gamma", 1, 16, 0},        {"batch_norm_1.beta", 1, 16, 0},
        {"batch_norm_1.running_mean", 1, 16, 0}, {"batch_norm_1.running_variance", 1, 16, 0},
        {"dense_2.weight", 2, 16, CLASSES},      {"dense_2.bias", 1, CLASSES, 0},
        {"standardize.mean", 1, COLUMNS, 0},     {"standardize.scale", 1, COLUMNS, 0},
    };
    enum { COUNT = sizeof wanted / sizeof *wanted };
    struct dataset *data = make_data();
    struct train_spec spec = make_spec();
    struct nabla_error err;
    struct trainer *trainer;
    struct tensor tensors[COUNT];
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    assert_int_equal(trainer_tensor_count(trainer), COUNT);
    trainer_tensors(trainer, tensors);
    for (size_t i = 0; i < COUNT; i++) {
        assert_string_equal(tensors[i].name, wanted[i].name);
        assert_int_equal(tensors[i].dtype, TENSOR_F32);
        assert_int_equal(tensors[i].rank, wanted[i].rank);
        assert_int_equal(tensors[i].shape[0], wanted[i].rows);
        assert_int_equal(tensors[i].shape[1], wanted[i].columns);
        assert_int_equal(tensors[i].elements, wanted[i].rows * (wanted[i].columns ? wanted[i].columns : 1));
        assert_int_equal(tensors[i].bytes, 4 * tensors[i].elements);
        float number;
        memcpy(&number, tensors[i].data, sizeof number);
        assert_true(isfinite(number));
    }
    trainer_free(trainer);
    spec_free(&spec);
    dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bits),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(each_step_has_its_schedules_rate),
        cmocka_unit_test(the_inputs_range_is_that_of_the_training_rows),
        cmocka_unit_test(telemetry_changes_nothing_that_is_trained),
        cmocka_unit_test(records_come_at_the_first_each_nth_and_each_epochs_last_step),
        cmocka_unit_test(without_a_validation_part_its_figures_are_nan),
        cmocka_unit_test(it_learns_what_is_easy_to_learn),
        cmocka_unit_test(balanced_weights_equal_those_written_out),
        cmocka_unit_test(what_the_observer_says_ends_the_run),
        cmocka_unit_test(a_run_needs_no_observer),
        cmocka_unit_test(tensors_have_names_and_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
