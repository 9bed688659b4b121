#include "data/dataset.h"
#include "train/spec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 60, COLUMNS = 4, CLASSES = 3 };

static struct dataset *make_data(void)
{
    struct dataset *data;
    struct nabla_error err;
    assert_int_equal(dataset_new(ROWS, COLUMNS, CLASSES, &data, &err), NABLA_OK);
    for (size_t i = 0; i < ROWS; i++)
        data->ids[i] = (int32_t)(i % CLASSES);
    return data;
}

static void add(struct train_spec *spec, struct layer_spec layer)
{
    struct nabla_error err;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

static struct layer_spec dense(size_t units)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_DENSE);
    layer.units = units;
    return layer;
}

static void defaults_are_those_of_keras(void **state)
{
    (void)state;
    struct optimizer_spec adam = optimizer_defaults(OPTIMIZER_ADAM), sgd = optimizer_defaults(OPTIMIZER_SGD);
    assert_true(adam.learning_rate == 0.001 && adam.beta_1 == 0.9 && adam.beta_2 == 0.999);
    assert_true(adam.epsilon == 1e-7 && adam.epsilon_placement == EPSILON_UNCORRECTED);
    assert_true(sgd.learning_rate == 0.01 && sgd.momentum == 0 && !sgd.nesterov);
    struct layer_spec norm = layer_defaults(LAYER_TYPE_BATCH_NORM);
    assert_true(norm.momentum == 0.99 && norm.epsilon == 1e-3);
    struct layer_spec layer = layer_defaults(LAYER_TYPE_DENSE);
    assert_true(layer.use_bias && layer.initializer == INITIALIZER_GLOROT_UNIFORM);
    assert_true(activation_option(ACTIVATION_LEAKY_RELU).absent == 0.2);
    assert_true(activation_option(ACTIVATION_ELU).absent == 1);
    assert_null(activation_option(ACTIVATION_RELU).name);
    assert_int_equal(initializer_for(ACTIVATION_RELU), INITIALIZER_HE_UNIFORM);
    assert_int_equal(initializer_for(ACTIVATION_GELU), INITIALIZER_HE_UNIFORM);
    assert_int_equal(initializer_for(ACTIVATION_SELU), INITIALIZER_LECUN_NORMAL);
    assert_int_equal(initializer_for(ACTIVATION_TANH), INITIALIZER_GLOROT_UNIFORM);
}

static void every_name_is_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < LAYER_TYPE_COUNT; i++)
        assert_int_equal(layer_type_find(layer_type_name((enum layer_type)i)), i);
    for (int i = 0; i < ACTIVATION_COUNT; i++)
        assert_int_equal(activation_find(activation_name((enum activation)i)), i);
    for (int i = 0; i < INITIALIZER_COUNT; i++)
        assert_int_equal(initializer_find(initializer_name((enum initializer)i)), i);
    for (int i = 0; i < OPTIMIZER_COUNT; i++)
        assert_int_equal(optimizer_find(optimizer_name((enum optimizer_type)i)), i);
    for (int i = 0; i < SCHEDULE_COUNT; i++)
        assert_int_equal(schedule_find(schedule_name((enum schedule_type)i)), i);
    for (int i = 0; i < EPSILON_PLACEMENT_COUNT; i++)
        assert_int_equal(epsilon_placement_find(epsilon_placement_name((enum epsilon_placement)i)), i);
    assert_int_equal(activation_find("softmax"), -1);
    assert_int_equal(optimizer_find(""), -1);
}

static void the_output_layer_follows_from_the_classes(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = spec_defaults();
    struct nabla_error err;
    add(&spec, dense(8));
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec.layer_count, 2);
    assert_int_equal(spec.layers[1].units, CLASSES);
    assert_true(spec.layers[1].use_bias && spec.output_written);
    assert_int_equal(spec.telemetry_every, 1);
    // Completing what is complete changes nothing.
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec.layer_count, 2);
    spec_free(&spec);
    dataset_free(data);
}

static void at_most_ten_thousand_records_are_kept(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    const size_t epochs[] = {1, 100, 999, 3000, 4999};
    for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++) {
        struct train_spec spec = spec_defaults();
        struct train_cost cost;
        struct nabla_error err;
        spec.batch_size = 1;
        spec.epochs = epochs[i];
        assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
        assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
        assert_int_equal(cost.steps, 48 * epochs[i]);
        uint64_t records = 0;
        for (uint64_t step = 1; step <= cost.steps; step++)
            records += step == 1 || step % spec.telemetry_every == 0 || step % 48 == 0;
        assert_true(records <= 10000);
        assert_true(cost.steps < 10000 ? records == cost.steps : records > 4000);
        spec_free(&spec);
    }
    dataset_free(data);
}

// Each changes one thing of a spec that is right: dense(8), relu, dense(3) written.
static void no_units(struct train_spec *spec)
{
    spec->layers[0].units = 0;
}
static void units_beyond_int(struct train_spec *spec)
{
    spec->layers[0].units = (size_t)1 << 31;
}
static void wrong_output(struct train_spec *spec)
{
    spec->layers[2].units = 4;
}
static void no_dense(struct train_spec *spec)
{
    spec->layers[0] = spec->layers[2] = layer_defaults(LAYER_TYPE_DROPOUT);
}
static void unknown_type(struct train_spec *spec)
{
    spec->layers[1].type = LAYER_TYPE_COUNT;
}
static void unknown_activation(struct train_spec *spec)
{
    spec->layers[1].activation = ACTIVATION_COUNT;
}
static void steep_leak(struct train_spec *spec)
{
    spec->layers[1].activation = ACTIVATION_LEAKY_RELU;
    spec->layers[1].alpha = 1.5;
}
static void elu_nan(struct train_spec *spec)
{
    spec->layers[1].activation = ACTIVATION_ELU;
    spec->layers[1].alpha = NAN;
}
static void unknown_initializer(struct train_spec *spec)
{
    spec->layers[0].initializer = INITIALIZER_COUNT;
}
static void negative_stddev(struct train_spec *spec)
{
    spec->layers[0].initializer = INITIALIZER_NORMAL;
    spec->layers[0].initializer_value = -1;
}
static void infinite_constant(struct train_spec *spec)
{
    spec->layers[2].initializer = INITIALIZER_CONSTANT;
    spec->layers[2].initializer_value = INFINITY;
}
static void rate_of_one(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_DROPOUT);
    spec->layers[1].rate = 1;
}
static void rate_nan(struct train_spec *spec)
{
    rate_of_one(spec);
    spec->layers[1].rate = NAN;
}
static void norm_momentum(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_BATCH_NORM);
    spec->layers[1].momentum = 1.5;
}
static void norm_epsilon(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_BATCH_NORM);
    spec->layers[1].epsilon = 1e-60; // 0 in float
}
static void negative_rate(struct train_spec *spec)
{
    spec->optimizer.learning_rate = -0.1;
}
static void infinite_rate(struct train_spec *spec)
{
    spec->optimizer.learning_rate = INFINITY;
}
static void sgd_momentum(struct train_spec *spec)
{
    spec->optimizer = optimizer_defaults(OPTIMIZER_SGD);
    spec->optimizer.momentum = 2;
}
static void beta_1(struct train_spec *spec)
{
    spec->optimizer.beta_1 = 1;
}
static void beta_2(struct train_spec *spec)
{
    spec->optimizer.beta_2 = -0.1;
}
static void adam_epsilon(struct train_spec *spec)
{
    spec->optimizer.epsilon = 0;
}
static void rho(struct train_spec *spec)
{
    spec->optimizer = optimizer_defaults(OPTIMIZER_RMSPROP);
    spec->optimizer.rho = NAN;
}
static void weight_decay(struct train_spec *spec)
{
    spec->optimizer.weight_decay = INFINITY;
}
static void two_clips(struct train_spec *spec)
{
    spec->optimizer.clip_value = spec->optimizer.global_clip_norm = 1;
}
static void placement(struct train_spec *spec)
{
    spec->optimizer.epsilon_placement = EPSILON_PLACEMENT_COUNT;
}
static void unknown_optimizer(struct train_spec *spec)
{
    spec->optimizer.type = OPTIMIZER_COUNT;
}
static void unknown_schedule(struct train_spec *spec)
{
    spec->optimizer.schedule.type = SCHEDULE_COUNT;
}
static void no_decay_steps(struct train_spec *spec)
{
    spec->optimizer.schedule = schedule_defaults(SCHEDULE_EXPONENTIAL);
}
static void half_a_step(struct train_spec *spec)
{
    spec->optimizer.schedule = schedule_defaults(SCHEDULE_COSINE);
    spec->optimizer.schedule.decay_steps = 2.5;
}
static void plateau_unseen(struct train_spec *spec)
{
    spec->optimizer.schedule = schedule_defaults(SCHEDULE_REDUCE_ON_PLATEAU);
    spec->validation_split = 0;
}
static void no_epochs(struct train_spec *spec)
{
    spec->epochs = 0;
}
static void endless_epochs(struct train_spec *spec)
{
    spec->epochs = SIZE_MAX / 2;
}
static void no_batch(struct train_spec *spec)
{
    spec->batch_size = 0;
}
static void whole_split(struct train_spec *spec)
{
    spec->validation_split = 1;
}
static void tiny_split(struct train_spec *spec)
{
    spec->validation_split = 1e-9;
}
static void capped_probabilities(struct train_spec *spec)
{
    spec->loss.input = NABLA_PROBABILITIES;
    spec->loss.convention = NABLA_OPTAX;
}
static void negative_l2(struct train_spec *spec)
{
    spec->layers[0].rules[1].l2 = -1;
}
static void nan_max_norm(struct train_spec *spec)
{
    spec->layers[2].rules[0].max_norm = NAN;
}
static void layer_norm_epsilon(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_LAYER_NORM);
    spec->layers[1].epsilon = 0;
}
static void alpha_dropout_rate(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_ALPHA_DROPOUT);
    spec->layers[1].rate = 1;
}
static void residual_of_none(struct train_spec *spec)
{
    spec->layers[1] = layer_defaults(LAYER_TYPE_RESIDUAL);
}
static void residual_of_too_many(struct train_spec *spec)
{
    residual_of_none(spec);
    spec->layers[1].branch = 2;
}
static void residual_of_two_widths(struct train_spec *spec)
{
    residual_of_none(spec);
    spec->layers[1].branch = 1;
    spec->layers[1].projection = PROJECTION_NONE;
}
static void no_accumulation(struct train_spec *spec)
{
    spec->optimizer.gradient_accumulation_steps = 0;
}
static void ema_of_one(struct train_spec *spec)
{
    spec->optimizer.ema_momentum = 1;
}
static void half_an_overwrite(struct train_spec *spec)
{
    spec->optimizer.ema_overwrite_frequency = 0.5;
}
static void negative_time(struct train_spec *spec)
{
    spec->time_limit = -1;
}
static void negative_delta(struct train_spec *spec)
{
    spec->early_stopping.active = true;
    spec->early_stopping.min_delta = -1;
}
static void half_a_patience(struct train_spec *spec)
{
    spec->early_stopping.active = true;
    spec->early_stopping.patience = 0.5;
}
static void unknown_monitor(struct train_spec *spec)
{
    spec->early_stopping.active = true;
    spec->early_stopping.monitor = MONITOR_COUNT;
}
static void stopping_unseen(struct train_spec *spec)
{
    spec->early_stopping.active = true;
    spec->validation_split = 0;
}
static void positive_weight(struct train_spec *spec)
{
    spec->pos_weight = calloc(CLASSES, sizeof *spec->pos_weight);
    assert_non_null(spec->pos_weight);
    spec->pos_weight_count = CLASSES;
}
static void no_reduction(struct train_spec *spec)
{
    spec->loss.reduction = NABLA_NONE;
}
static void smoothing(struct train_spec *spec)
{
    spec->loss.label_smoothing = 2;
}
static void set_weights(struct train_spec *spec, size_t count, double value)
{
    spec->class_weights = calloc(count, sizeof *spec->class_weights);
    assert_non_null(spec->class_weights);
    spec->class_weight_count = count;
    spec->class_weights[1] = value;
}
static void few_weights(struct train_spec *spec)
{
    set_weights(spec, 2, 1);
}
static void negative_weight(struct train_spec *spec)
{
    set_weights(spec, 3, -1);
}
static void weights_twice(struct train_spec *spec)
{
    set_weights(spec, 3, 1);
    spec->class_weights_balanced = true;
}

static void each_wrong_value_is_refused_at_its_place(void **state)
{
    (void)state;
    const struct {
        void (*spoil)(struct train_spec *spec);
        const char *pointer;
    } cases[] = {
        {no_units, "/model/layers/0/units"},
        {units_beyond_int, "/model/layers/0/units"},
        {wrong_output, "/model/layers/2/units"},
        {no_dense, "/model/layers"},
        {unknown_type, "/model/layers/1/type"},
        {unknown_activation, "/model/layers/1/function"},
        {steep_leak, "/model/layers/1/negative_slope"},
        {elu_nan, "/model/layers/1/alpha"},
        {unknown_initializer, "/model/layers/0/initializer"},
        {negative_stddev, "/model/layers/0/initializer/stddev"},
        {infinite_constant, "/model/layers/2/initializer/value"},
        {rate_of_one, "/model/layers/1/rate"},
        {rate_nan, "/model/layers/1/rate"},
        {norm_momentum, "/model/layers/1/momentum"},
        {norm_epsilon, "/model/layers/1/epsilon"},
        {negative_rate, "/optimizer/learning_rate"},
        {infinite_rate, "/optimizer/learning_rate"},
        {sgd_momentum, "/optimizer/momentum"},
        {beta_1, "/optimizer/beta_1"},
        {beta_2, "/optimizer/beta_2"},
        {adam_epsilon, "/optimizer/epsilon"},
        {rho, "/optimizer/rho"},
        {weight_decay, "/optimizer/weight_decay"},
        {two_clips, "/optimizer"},
        {placement, "/optimizer/epsilon_placement"},
        {unknown_optimizer, "/optimizer/type"},
        {unknown_schedule, "/optimizer/learning_rate/schedule"},
        {no_decay_steps, "/optimizer/learning_rate"},
        {half_a_step, "/optimizer/learning_rate/decay_steps"},
        {plateau_unseen, "/training/validation_split"},
        {no_epochs, "/training/epochs"},
        {endless_epochs, "/training/epochs"},
        {no_batch, "/training/batch_size"},
        {whole_split, "/training/validation_split"},
        {tiny_split, "/training/validation_split"},
        {capped_probabilities, "/loss/convention"},
        {negative_l2, "/model/layers/0/bias_regularizer/l2"},
        {nan_max_norm, "/model/layers/2/kernel_constraint/max_value"},
        {layer_norm_epsilon, "/model/layers/1/epsilon"},
        {alpha_dropout_rate, "/model/layers/1/rate"},
        {residual_of_none, "/model/layers/1/layers"},
        {residual_of_too_many, "/model/layers/1/layers"},
        {residual_of_two_widths, "/model/layers/1/projection"},
        {no_accumulation, "/optimizer/gradient_accumulation_steps"},
        {ema_of_one, "/optimizer/ema_momentum"},
        {half_an_overwrite, "/optimizer/ema_overwrite_frequency"},
        {negative_time, "/training/time_limit"},
        {negative_delta, "/training/early_stopping/min_delta"},
        {half_a_patience, "/training/early_stopping/patience"},
        {unknown_monitor, "/training/early_stopping/monitor"},
        {stopping_unseen, "/training/validation_split"},
        {positive_weight, "/loss/pos_weight"},
        {no_reduction, "/loss/reduction"},
        {smoothing, "/loss/label_smoothing"},
        {few_weights, "/loss/class_weights"},
        {negative_weight, "/loss/class_weights/1"},
        {weights_twice, "/loss/class_weights"},
    };
    struct dataset *data = make_data();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_spec spec = spec_defaults();
        struct nabla_error err = {0};
        add(&spec, dense(8));
        add(&spec, layer_defaults(LAYER_TYPE_ACTIVATION));
        add(&spec, dense(CLASSES));
        spec.output_written = true;
        assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
        cases[i].spoil(&spec);
        enum nabla_code code = spec_complete(&spec, data, &err);
        assert_true(code == NABLA_INVALID || code == NABLA_LIMIT);
        assert_string_equal(err.pointer, cases[i].pointer);
        assert_true(err.text[0] != '\0');
        spec_free(&spec);
    }
    dataset_free(data);
}

// Two features, two targets.
static struct dataset *make_targets(float most)
{
    struct dataset *data;
    struct nabla_error err;
    assert_int_equal(dataset_new_targets(10, 2, 2, &data, &err), NABLA_OK);
    data->targets[7] = most;
    return data;
}

static void targets_must_suit_the_loss(void **state)
{
    (void)state;
    const struct {
        enum nabla_loss_type loss;
        float most;
        const char *pointer; // NULL: right
    } cases[] = {
        {NABLA_MEAN_SQUARED_ERROR, 7, NULL},
        {NABLA_HUBER, -7, NULL},
        {NABLA_BINARY_CROSS_ENTROPY, 0.5F, NULL},
        {NABLA_BINARY_CROSS_ENTROPY, 2, "/dataset"},
        {NABLA_CROSS_ENTROPY, 2, NULL},
        {NABLA_KL_DIVERGENCE, -1, "/dataset"},
        {NABLA_HINGE, 1, "/dataset"}, // the other rows have no class
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dataset *data = make_targets(cases[i].most);
        struct train_spec spec = spec_defaults();
        struct nabla_error err = {0};
        spec.loss = nabla_loss_defaults(cases[i].loss);
        enum nabla_code code = spec_complete(&spec, data, &err);
        assert_int_equal(code, cases[i].pointer ? NABLA_INVALID : NABLA_OK);
        assert_string_equal(err.pointer, cases[i].pointer ? cases[i].pointer : "");
        assert_int_equal(spec.layers[0].units, 2);
        spec_free(&spec);
        dataset_free(data);
    }
}

static void regression_has_no_accuracy_to_stop_by(void **state)
{
    (void)state;
    struct dataset *data = make_targets(1);
    struct train_spec spec = spec_defaults();
    struct nabla_error err = {0};
    spec.loss = nabla_loss_defaults(NABLA_HUBER);
    spec.early_stopping = (struct early_stopping){.active = true, .monitor = MONITOR_ACCURACY};
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_INVALID);
    assert_string_equal(err.pointer, "/training/early_stopping/monitor");
    spec.early_stopping.active = false;
    spec.class_weights_balanced = true;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_INVALID);
    assert_string_equal(err.pointer, "/loss/class_weights");
    spec.class_weights_balanced = false;
    spec.loss.input = NABLA_PROBABILITIES;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_INVALID);
    assert_string_equal(err.pointer, "/loss/input");
    spec_free(&spec);
    dataset_free(data);
}

static void a_residual_projects_where_widths_differ(void **state)
{
    (void)state;
    const size_t units[] = {8, 4};
    for (size_t i = 0; i < 2; i++) {
        struct dataset *data = make_data(); // COLUMNS features
        struct train_spec spec = spec_defaults();
        struct layer_spec residual = layer_defaults(LAYER_TYPE_RESIDUAL);
        struct train_cost cost;
        struct nabla_error err = {0};
        const bool same = units[i] == data->columns;
        residual.branch = 1;
        add(&spec, dense(units[i]));
        add(&spec, residual);
        assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
        assert_int_equal(spec.layers[1].projection, same ? PROJECTION_NONE : PROJECTION_DENSE);
        assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
        const size_t dense_numbers = (data->columns + 1) * units[i] + (units[i] + 1) * CLASSES;
        assert_int_equal(cost.parameters, dense_numbers + (same ? 0 : data->columns * units[i]));
        spec_free(&spec);
        dataset_free(data);
    }
}

static void accumulation_makes_fewer_steps(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = spec_defaults();
    struct train_cost cost;
    struct nabla_error err;
    spec.batch_size = 5;
    spec.epochs = 2; // 48 rows: 10 batches
    spec.optimizer.gradient_accumulation_steps = 3;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
    assert_int_equal(cost.steps, 2 * 4);
    spec_free(&spec);
    dataset_free(data);
}

static void cost_counts_parameters_and_steps(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = spec_defaults();
    struct train_cost cost;
    struct nabla_error err;
    add(&spec, dense(128));
    add(&spec, layer_defaults(LAYER_TYPE_BATCH_NORM));
    spec.batch_size = 32;
    spec.epochs = 3;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
    assert_int_equal(cost.parameters, 4 * 128 + 128 + 2 * 128 + 128 * 3 + 3);
    assert_int_equal(cost.steps, 3 * 2); // 48 rows in batches of 32 and 16
    assert_true(cost.bytes > 4 * cost.parameters * sizeof(float));
    assert_true(cost.bytes < 1000000);
    spec_free(&spec);
    dataset_free(data);
}

static void what_fits_no_memory_is_refused(void **state)
{
    (void)state;
    struct dataset *data = make_data();
    struct train_spec spec = spec_defaults();
    struct train_cost cost;
    struct nabla_error err;
    for (size_t i = 0; i < 1000000; i++)
        add(&spec, dense(1000000000));
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_LIMIT);
    assert_string_equal(err.pointer, "/model/layers");
    spec.layer_count = 0; // the memory stays
    spec.output_written = false;
    add(&spec, dense(1000000000));
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
    assert_true(cost.bytes > (size_t)1000000000 * 4 * 4 * (COLUMNS + CLASSES));
    spec_free(&spec);
    dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_keras),
        cmocka_unit_test(every_name_is_found_again),
        cmocka_unit_test(the_output_layer_follows_from_the_classes),
        cmocka_unit_test(at_most_ten_thousand_records_are_kept),
        cmocka_unit_test(each_wrong_value_is_refused_at_its_place),
        cmocka_unit_test(targets_must_suit_the_loss),
        cmocka_unit_test(regression_has_no_accuracy_to_stop_by),
        cmocka_unit_test(a_residual_projects_where_widths_differ),
        cmocka_unit_test(accumulation_makes_fewer_steps),
        cmocka_unit_test(cost_counts_parameters_and_steps),
        cmocka_unit_test(what_fits_no_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
