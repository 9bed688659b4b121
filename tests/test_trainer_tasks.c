// What jobs can learn beside one class of several, what their rows weigh, from which path they learn, and
// when they stop.
#include "base/clock.h"
#include "data/safetensors.h"
#include "math/random.h"
#include "train/report.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 240, COLUMNS = 3, RECORDS_MAX = 4000 };

static double feature(const struct dataset *data, size_t row, size_t column)
{
    return (double)data->features[row * COLUMNS + column];
}

static struct dataset *fill(struct dataset *data)
{
    struct random random = random_new(3, 1);
    for (size_t i = 0; i < data->rows * COLUMNS; i++)
        data->features[i] = (float)random_normal(&random);
    return data;
}

// Two classes, of sizes about 1 : 4, divided by a plane.
static struct dataset *make_pair(void)
{
    struct dataset *data;
    assert_int_equal(dataset_new(ROWS, COLUMNS, 2, &data, NULL), NABLA_OK);
    fill(data);
    for (size_t i = 0; i < ROWS; i++)
        data->ids[i] = feature(data, i, 0) + feature(data, i, 1) > 1.2;
    return data;
}

// Each label by a plane of its own.
static struct dataset *make_labels(void)
{
    struct dataset *data;
    assert_int_equal(dataset_new_targets(ROWS, COLUMNS, 2, &data, NULL), NABLA_OK);
    fill(data);
    for (size_t i = 0; i < ROWS; i++) {
        data->targets[2 * i] = feature(data, i, 0) > feature(data, i, 2);
        data->targets[2 * i + 1] = feature(data, i, 1) > 0.5;
    }
    return data;
}

// Numbers, not linear in the features.
static struct dataset *make_numbers(void)
{
    struct dataset *data;
    assert_int_equal(dataset_new_targets(ROWS, COLUMNS, 2, &data, NULL), NABLA_OK);
    fill(data);
    for (size_t i = 0; i < ROWS; i++) {
        data->targets[2 * i] = (float)(10 + 3 * feature(data, i, 0) * feature(data, i, 0));
        data->targets[2 * i + 1] = (float)(feature(data, i, 1) - 2 * feature(data, i, 2));
    }
    return data;
}

// Shares of two classes.
static struct dataset *make_shares(void)
{
    struct dataset *data = make_numbers();
    for (size_t i = 0; i < ROWS; i++) {
        const double share = 1 / (1 + exp(-feature(data, i, 0) - feature(data, i, 1)));
        data->targets[2 * i] = (float)share;
        data->targets[2 * i + 1] = 1 - data->targets[2 * i];
    }
    return data;
}

static struct train_spec make_spec(enum nabla_loss_type loss)
{
    struct train_spec spec = spec_defaults();
    struct layer_spec dense = layer_defaults(LAYER_TYPE_DENSE), tanh = layer_defaults(LAYER_TYPE_ACTIVATION);
    dense.units = 16;
    tanh.activation = ACTIVATION_TANH;
    assert_int_equal(spec_add_layer(&spec, &dense, NULL), NABLA_OK);
    assert_int_equal(spec_add_layer(&spec, &tanh, NULL), NABLA_OK);
    spec.loss = nabla_loss_defaults(loss);
    spec.optimizer.learning_rate = 0.02;
    spec.epochs = 60;
    return spec;
}

struct history {
    size_t count;
    uint32_t recorded; // of the last one
    double loss[RECORDS_MAX], gradient_norm[RECORDS_MAX], update_norm[RECORDS_MAX], zeros[RECORDS_MAX];
    double validation_f1, validation_r2; // of the last one
};

static enum nabla_code keep(void *context, const struct step_record *record,
                            const struct train_progress *progress, struct nabla_error *err)
{
    struct history *history = context;
    (void)progress, (void)err;
    const size_t i = history->count++;
    assert_true(i < RECORDS_MAX);
    history->recorded = record->recorded;
    history->loss[i] = record->values[NETWORK_LOSS];
    history->gradient_norm[i] = record->values[NETWORK_GRADIENT_NORM];
    history->update_norm[i] = record->layers[0].values[LAYER_UPDATE_NORM];
    history->zeros[i] = record->layers[0].values[LAYER_GRADIENT_ZERO_FRACTION];
    history->validation_f1 = record->values[NETWORK_VALIDATION_F1];
    history->validation_r2 = record->values[NETWORK_VALIDATION_R2];
    return NABLA_OK;
}

// The reports go with the trainer: `ret_trainer` is the caller's to free; NULL where it does not matter.
static enum nabla_code run(struct train_spec *spec, const struct dataset *data, struct history *history,
                           struct train_result *ret, struct trainer **ret_trainer, struct nabla_error *err)
{
    struct trainer *trainer;
    const struct train_observer observer = {.context = history, .record = history ? keep : NULL};
    if (spec_complete(spec, data, err) || trainer_new(spec, data, &trainer, err))
        fail_msg("%s: %s", err->pointer, err->text);
    enum nabla_code code = trainer_run(trainer, &observer, ret, err);
    if (ret_trainer)
        *ret_trainer = trainer;
    else
        trainer_free(trainer);
    return code;
}

static void run_well(struct train_spec *spec, const struct dataset *data, struct history *history,
                     struct train_result *ret)
{
    struct nabla_error err = {0};
    if (run(spec, data, history, ret, NULL, &err))
        fail_msg("%s", err.text);
}

static void each_kind_of_label_is_learned(void **state)
{
    (void)state;
    const struct {
        const char *comment;
        struct dataset *(*make)(void);
        enum nabla_loss_type loss;
        enum task task;
        size_t outputs;
        double accuracy, r2; // at least, in validation; 0: there is none
    } cases[] = {
        {"two classes, one output", make_pair, NABLA_BINARY_CROSS_ENTROPY, TASK_BINARY, 1, 0.95, 0},
        {"the same, focal", make_pair, NABLA_BINARY_FOCAL, TASK_BINARY, 1, 0.95, 0},
        {"two classes, two outputs", make_pair, NABLA_CROSS_ENTROPY, TASK_CLASSES, 2, 0.95, 0},
        {"focal", make_pair, NABLA_FOCAL, TASK_CLASSES, 2, 0.95, 0},
        {"poly", make_pair, NABLA_POLY, TASK_CLASSES, 2, 0.95, 0},
        {"generalized", make_pair, NABLA_GENERALIZED_CROSS_ENTROPY, TASK_CLASSES, 2, 0.95, 0},
        {"divergence", make_pair, NABLA_KL_DIVERGENCE, TASK_CLASSES, 2, 0.95, 0},
        {"hinge", make_pair, NABLA_HINGE, TASK_CLASSES, 2, 0.95, 0},
        {"squared hinge", make_pair, NABLA_SQUARED_HINGE, TASK_CLASSES, 2, 0.95, 0},
        {"squares of classes", make_pair, NABLA_MEAN_SQUARED_ERROR, TASK_CLASSES, 2, 0.9, 0},
        {"several labels", make_labels, NABLA_BINARY_CROSS_ENTROPY, TASK_MULTI_LABEL, 2, 0.95, 0},
        {"shares", make_shares, NABLA_CROSS_ENTROPY, TASK_SHARES, 2, 0.93, 0},
        {"numbers", make_numbers, NABLA_MEAN_SQUARED_ERROR, TASK_REGRESSION, 2, 0, 0.9},
        {"numbers, huber", make_numbers, NABLA_HUBER, TASK_REGRESSION, 2, 0, 0.9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dataset *data = cases[i].make();
        struct train_spec spec = make_spec(cases[i].loss);
        struct history history = {0};
        struct train_result result;
        struct trainer *trainer;
        struct nabla_error err;
        spec.epochs = cases[i].r2 > 0 ? 400 : 60;
        if (run(&spec, data, &history, &result, &trainer, &err))
            fail_msg("%s: %s", cases[i].comment, err.text);
        const struct report *report = result.validation;
        assert_int_equal(report->task, cases[i].task);
        assert_int_equal(spec.layers[spec.layer_count - 1].units, cases[i].outputs);
        assert_int_equal(report->rows, 48);
        if (cases[i].r2 > 0) {
            if (!(report->r2 >= cases[i].r2 && history.validation_r2 == report->r2))
                fail_msg("%s: R² %g", cases[i].comment, report->r2);
            assert_true(isnan(result.accuracy) && isnan(result.validation_accuracy));
            assert_false(history.recorded & 1U << NETWORK_ACCURACY);
        } else {
            if (!(result.validation_accuracy >= cases[i].accuracy && report->auc > 0.9))
                fail_msg("%s: accuracy %g, area %g", cases[i].comment, result.validation_accuracy,
                         report->auc);
            assert_true(fabs(report->accuracy - result.validation_accuracy) < 1e-12);
            assert_true(history.validation_f1 == report->macro_f1);
            assert_false(history.recorded & 1U << NETWORK_VALIDATION_R2);
        }
        trainer_free(trainer);
        spec_free(&spec);
        dataset_free(data);
    }
}

// A row of weight 2 is a row that is there twice, one of weight 0 none.
static void rows_count_what_they_weigh(void **state)
{
    (void)state;
    struct dataset *weighted = make_labels(), *repeated;
    assert_int_equal(dataset_add_weights(weighted, NULL), NABLA_OK);
    assert_int_equal(dataset_new_targets(ROWS, COLUMNS, 2, &repeated, NULL), NABLA_OK);
    for (size_t i = 0; i < ROWS; i++) {
        const size_t from = i / 2;
        weighted->weights[i] = i < ROWS / 2 ? 2 : 0;
        memcpy(repeated->features + i * COLUMNS, weighted->features + from * COLUMNS,
               COLUMNS * sizeof(float));
        memcpy(repeated->targets + i * 2, weighted->targets + from * 2, 2 * sizeof(float));
    }
    struct train_result results[2];
    for (int i = 0; i < 2; i++) {
        struct train_spec spec = make_spec(NABLA_BINARY_CROSS_ENTROPY);
        spec.epochs = 5;
        spec.batch_size = ROWS;
        spec.validation_split = 0;
        spec.scaling = SCALING_NONE;
        run_well(&spec, i ? repeated : weighted, NULL, &results[i]);
        spec_free(&spec);
    }
    assert_true(fabs(results[0].loss - results[1].loss) < 1e-5 * results[1].loss);
    dataset_free(weighted);
    dataset_free(repeated);
}

// With one output the class weights go with the rows: as with two, where the loss has them.
static void weights_of_classes_find_the_rare_one(void **state)
{
    (void)state;
    struct dataset *data = make_pair();
    size_t said[2];
    for (int i = 0; i < 2; i++) {
        struct train_spec spec = make_spec(NABLA_BINARY_CROSS_ENTROPY);
        struct train_result result;
        struct trainer *trainer;
        struct nabla_error err;
        spec.class_weights_balanced = i == 1;
        spec.optimizer.learning_rate = 0.003;
        spec.epochs = 2;
        assert_int_equal(run(&spec, data, NULL, &result, &trainer, &err), NABLA_OK);
        said[i] = result.training->classes[1].predicted;
        trainer_free(trainer);
        spec_free(&spec);
    }
    if (said[1] < said[0] + said[0] / 10)
        fail_msg("the rare class is named %zu times, without weights %zu", said[1], said[0]);
    dataset_free(data);
}

// Features so large that the first answers are sure of themselves, and half of them wrong.
static struct dataset *make_saturating(void)
{
    struct dataset *data = make_pair();
    for (size_t i = 0; i < ROWS; i++)
        data->ids[i] = feature(data, i, 0) + feature(data, i, 1) > 0; // no bias could reach elsewhere
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        data->features[i] *= 1e6F;
    return data;
}

static struct history *train_through(const struct dataset *data, enum nabla_loss_input input,
                                     enum nabla_convention convention, struct train_result *ret)
{
    struct history *history = test_calloc(1, sizeof *history);
    struct train_spec spec = spec_defaults();
    spec.loss.input = input;
    spec.loss.convention = convention;
    spec.scaling = SCALING_NONE;
    spec.epochs = 30;
    spec.seed = 2;
    spec.batch_size = ROWS;
    spec.optimizer.learning_rate = 0.02;
    run_well(&spec, data, history, ret);
    spec_free(&spec);
    return history;
}

// The founding question, in training: Keras' clip kills the gradient of every row, the logits keep it.
static void probabilities_die_where_logits_learn(void **state)
{
    (void)state;
    struct dataset *data = make_saturating();
    struct train_result dead, alive;
    struct history *clipped = train_through(data, NABLA_PROBABILITIES, NABLA_KERAS, &dead);
    struct history *logits = train_through(data, NABLA_LOGITS, NABLA_KERAS, &alive);
    assert_true(clipped->loss[0] > 1 && logits->loss[0] > 1); // there is something to learn
    for (size_t i = 0; i < clipped->count; i++) {
        assert_true(clipped->gradient_norm[i] == 0 && clipped->update_norm[i] == 0);
        assert_true(clipped->zeros[i] == 1);
        assert_true(clipped->loss[i] == clipped->loss[0]);
    }
    assert_true(logits->gradient_norm[0] > 1);
    if (!(alive.accuracy > 0.95 && dead.accuracy < 0.9))
        fail_msg("from logits %g, from probabilities %g are right", alive.accuracy, dead.accuracy);
    test_free(clipped);
    test_free(logits);
    dataset_free(data);
}

// Where nothing is clipped the ways are one.
static void unclipped_probabilities_learn_as_logits_do(void **state)
{
    (void)state;
    const enum nabla_loss_type losses[] = {NABLA_CROSS_ENTROPY, NABLA_BINARY_CROSS_ENTROPY};
    struct dataset *data = make_pair();
    for (size_t l = 0; l < 2; l++) {
        struct train_result results[2];
        for (int i = 0; i < 2; i++) {
            struct train_spec spec = make_spec(losses[l]);
            spec.loss.input = i ? NABLA_PROBABILITIES : NABLA_LOGITS;
            spec.epochs = 3;
            run_well(&spec, data, NULL, &results[i]);
            spec_free(&spec);
        }
        assert_true(fabs(results[0].loss - results[1].loss) < 1e-4);
        assert_true(results[0].accuracy == results[1].accuracy);
    }
    dataset_free(data);
}

static void three_batches_an_update_are_one_of_three_times_the_size(void **state)
{
    (void)state;
    struct dataset *data = make_labels();
    struct train_result results[2];
    for (int i = 0; i < 2; i++) {
        struct train_spec spec = make_spec(NABLA_BINARY_CROSS_ENTROPY);
        spec.epochs = 5;
        spec.validation_split = 0.2; // 192 rows: 8 updates
        spec.batch_size = i ? 24 : 8;
        spec.optimizer.gradient_accumulation_steps = i ? 1 : 3;
        run_well(&spec, data, NULL, &results[i]);
        assert_int_equal(results[i].steps, 5 * 8);
        spec_free(&spec);
    }
    assert_true(fabs(results[0].loss - results[1].loss) < 1e-5);
    dataset_free(data);
}

// The average that forgets all is the weights themselves; another is not.
static void the_model_is_the_average(void **state)
{
    (void)state;
    struct dataset *data = make_labels();
    double losses[3];
    for (int i = 0; i < 3; i++) {
        struct train_spec spec = make_spec(NABLA_BINARY_CROSS_ENTROPY);
        struct train_result result;
        spec.optimizer.use_ema = i > 0;
        spec.optimizer.ema_momentum = i == 2 ? 0.9 : 0;
        spec.epochs = 3;
        run_well(&spec, data, NULL, &result);
        losses[i] = result.validation_loss;
        spec_free(&spec);
    }
    assert_true(fabs(losses[0] - losses[1]) < 1e-6); // not the same sums, so not the same bits everywhere
    assert_true(losses[2] > losses[0]);              // it lags behind
    dataset_free(data);
}

// Rates that soon do harm: the best epoch is not the last.
static void training_stops_early_and_takes_the_best_epoch(void **state)
{
    (void)state;
    struct dataset *data = make_numbers();
    for (int i = 0; i < 2; i++) {
        struct train_spec spec = make_spec(NABLA_MEAN_SQUARED_ERROR);
        struct train_result result;
        struct history *history = test_calloc(1, sizeof *history);
        spec.optimizer.learning_rate = 0.3;
        spec.epochs = 200;
        spec.early_stopping.active = true;
        spec.early_stopping.patience = 4;
        spec.early_stopping.restore_best = i == 1;
        run_well(&spec, data, history, &result);
        assert_int_equal(result.stop, STOP_EARLY);
        assert_true(result.epochs < 200 && result.epochs > 4);
        assert_int_equal(result.best_epoch, i ? result.epochs - 4 : 0);
        assert_int_equal(result.steps, result.epochs * 6);
        test_free(history);
        spec_free(&spec);
    }
    dataset_free(data);
}

static void a_loss_that_is_no_number_ends_the_job_when_asked(void **state)
{
    (void)state;
    struct dataset *data = make_numbers();
    struct train_spec spec = make_spec(NABLA_MEAN_SQUARED_ERROR);
    struct train_result result = {.steps = 99};
    struct nabla_error err = {0};
    struct history *history = test_calloc(1, sizeof *history);
    spec.optimizer = optimizer_defaults(OPTIMIZER_SGD);
    spec.optimizer.learning_rate = 1e6;
    spec.stop_on_nan = true;
    assert_int_equal(run(&spec, data, history, &result, NULL, &err), NABLA_DIVERGED);
    assert_non_null(strstr(err.text, "the loss of step "));
    assert_true(!isfinite(history->loss[history->count - 1])); // and recorded
    for (size_t i = 0; i + 1 < history->count; i++)
        assert_true(isfinite(history->loss[i]));
    assert_int_equal(result.steps, 99);
    spec.stop_on_nan = false;
    history->count = 0;
    assert_int_equal(run(&spec, data, history, &result, NULL, &err), NABLA_OK);
    assert_int_equal(result.steps, 60 * 6);
    test_free(history);
    spec_free(&spec);
    dataset_free(data);
}

static void time_is_limited(void **state)
{
    (void)state;
    struct dataset *data = make_numbers();
    struct train_spec spec = make_spec(NABLA_MEAN_SQUARED_ERROR);
    struct train_result result;
    spec.epochs = 1000000;
    spec.time_limit = 0.05;
    spec.telemetry_every = 1000;
    run_well(&spec, data, NULL, &result);
    assert_int_equal(result.stop, STOP_TIME_LIMIT);
    assert_true(result.steps > 0 && result.epochs < 1000000 && result.seconds >= 0.05);
    spec_free(&spec);
    dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_label_is_learned),
        cmocka_unit_test(rows_count_what_they_weigh),
        cmocka_unit_test(weights_of_classes_find_the_rare_one),
        cmocka_unit_test(probabilities_die_where_logits_learn),
        cmocka_unit_test(unclipped_probabilities_learn_as_logits_do),
        cmocka_unit_test(three_batches_an_update_are_one_of_three_times_the_size),
        cmocka_unit_test(the_model_is_the_average),
        cmocka_unit_test(training_stops_early_and_takes_the_best_epoch),
        cmocka_unit_test(a_loss_that_is_no_number_ends_the_job_when_asked),
        cmocka_unit_test(time_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
