// Every statistic of every layer beside a naive one in double, taken from copies of what the step saw.
#include "train/telemetry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 9, INPUTS = 3, NUMBERS_MAX = 4096 };

static void add(struct train_spec *spec, enum layer_type type, size_t units, enum activation activation)
{
    struct nabla_error err;
    struct layer_spec layer = layer_defaults(type);
    layer.units = units;
    layer.activation = activation;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

// dense_1 → batch_norm_1 → relu → dropout → dense_2 → sigmoid → batch_norm_2 → dense_3 → batch_norm_3
static struct train_spec make_spec(void)
{
    struct train_spec spec = spec_defaults();
    add(&spec, LAYER_TYPE_DENSE, 50, ACTIVATION_LINEAR); // 200 parameters, and a block of its own
    add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_ACTIVATION, 0, ACTIVATION_RELU);
    add(&spec, LAYER_TYPE_DROPOUT, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_DENSE, 60, ACTIVATION_LINEAR); // 3060 parameters: more than one block
    add(&spec, LAYER_TYPE_ACTIVATION, 0, ACTIVATION_SIGMOID);
    add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_DENSE, 5, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_BATCH_NORM, 0, ACTIVATION_LINEAR);
    return spec;
}

struct naive {
    double mean, mean_abs, std, norm, max_abs, zero, tiny, nonpositive, flat, nonfinite;
};

static struct naive look_at(const float *x, size_t count, double below, double above)
{
    struct naive naive = {0};
    const double n = (double)count;
    for (size_t i = 0; i < count; i++) {
        const double value = (double)x[i];
        naive.mean += value / n;
        naive.mean_abs += fabs(value) / n;
        naive.norm += value * value;
        naive.max_abs = isnan(value) || fabs(value) > naive.max_abs ? fabs(value) : naive.max_abs;
        naive.zero += (value == 0) / n;
        naive.tiny += (fabs(value) < 1e-7) / n;
        naive.nonpositive += (value <= 0) / n;
        naive.flat += (value <= below || value >= above) / n;
        naive.nonfinite += isfinite(value) ? 0 : 1;
    }
    for (size_t i = 0; i < count; i++)
        naive.std += ((double)x[i] - naive.mean) * ((double)x[i] - naive.mean) / n;
    naive.std = sqrt(naive.std);
    naive.norm = sqrt(naive.norm);
    return naive;
}

// Of the units, those whose outputs are flat in every row.
static double dead_fraction(const struct layer *layer, double below, double above)
{
    const size_t units = layer->size.outputs;
    size_t dead = 0;
    for (size_t j = 0; j < units; j++) {
        size_t flat = 0;
        for (size_t i = 0; i < ROWS; i++) {
            const double value = (double)layer->output[i * units + j];
            flat += value <= below || value >= above;
        }
        dead += flat == ROWS;
    }
    return (double)dead / (double)units;
}

// Within what telemetry promises of `size`, however small that is.
static void assert_stat(const struct layer_record *record, enum layer_stat stat, double wanted, double size)
{
    const double got = record->values[stat];
    if (!((isnan(got) && isnan(wanted)) || got == wanted || fabs(got - wanted) <= 2e-6 * size))
        fail_msg("%s %s: %.17g, not %.17g", record->name, layer_stats[stat].name, got, wanted);
}

static void check_layer(const struct layer_record *record, const struct layer *layer, const float *before,
                        const struct layer *observed)
{
    const size_t count = layer->size.parameters;
    const enum activation function = observed->spec->activation;
    const double below = function == ACTIVATION_SIGMOID ? 0.00250628 : function == ACTIVATION_RELU ? 0 : NAN;
    const double above = function == ACTIVATION_SIGMOID ? 0.99749372 : NAN;
    float change[NUMBERS_MAX];
    for (size_t i = 0; i < count; i++)
        change[i] = layer->parameters[i] - before[i];
    struct naive gradient = look_at(layer->gradient, count, NAN, NAN);
    struct naive weights = look_at(layer->parameters, count, NAN, NAN);
    struct naive old = look_at(before, count, NAN, NAN), changed = look_at(change, count, NAN, NAN);
    struct naive outputs = look_at(observed->output, ROWS * observed->size.outputs, below, above);
    const struct {
        enum layer_stat stat;
        double wanted, size;
    } stats[] = {
        {LAYER_GRADIENT_NORM, gradient.norm, gradient.norm},
        {LAYER_GRADIENT_MAX_ABS, gradient.max_abs, gradient.max_abs},
        {LAYER_GRADIENT_MEAN, gradient.mean, gradient.mean_abs},
        {LAYER_GRADIENT_MEAN_ABS, gradient.mean_abs, gradient.mean_abs},
        {LAYER_GRADIENT_STD, gradient.std, gradient.std},
        {LAYER_GRADIENT_ZERO_FRACTION, gradient.zero, 1e-6},
        {LAYER_GRADIENT_TINY_FRACTION, gradient.tiny, 1e-6},
        {LAYER_WEIGHT_NORM, weights.norm, weights.norm},
        {LAYER_WEIGHT_MEAN, weights.mean, weights.mean_abs},
        {LAYER_WEIGHT_STD, weights.std, weights.std},
        {LAYER_UPDATE_NORM, changed.norm, changed.norm},
        {LAYER_UPDATE_MAX_ABS, changed.max_abs, changed.max_abs},
        {LAYER_UPDATE_RATIO, changed.norm / old.norm, changed.norm / old.norm},
        {LAYER_ACTIVATION_MEAN, outputs.mean, outputs.mean_abs},
        {LAYER_ACTIVATION_MEAN_ABS, outputs.mean_abs, outputs.mean_abs},
        {LAYER_ACTIVATION_STD, outputs.std, outputs.std},
        {LAYER_NONPOSITIVE_FRACTION, outputs.nonpositive, 1e-6},
        {LAYER_SATURATED_FRACTION, outputs.flat, 1e-6},
        {LAYER_DEAD_UNIT_FRACTION, dead_fraction(observed, below, above), 1e-6},
        {LAYER_NONFINITE_COUNT, gradient.nonfinite + weights.nonfinite + outputs.nonfinite, 0},
    };
    // The percentiles have a test of their own.
    _Static_assert(sizeof stats / sizeof *stats == LAYER_STAT_COUNT - 2, "every statistic is checked");
    for (size_t i = 0; i < sizeof stats / sizeof *stats; i++)
        assert_stat(record, stats[i].stat, stats[i].wanted, stats[i].size);
    const uint32_t percentiles = 1U << LAYER_GRADIENT_P5 | 1U << LAYER_GRADIENT_P95;
    assert_int_equal(record->recorded, ((1U << LAYER_STAT_COUNT) - 1) & ~percentiles);
}

struct setting {
    struct train_spec spec;
    struct network *network;
    struct telemetry *telemetry;
};

static void setting_open(struct setting *setting)
{
    struct nabla_error err;
    setting->spec = make_spec();
    assert_int_equal(network_new(&setting->spec, INPUTS, ROWS, &setting->network, &err), NABLA_OK);
    assert_int_equal(telemetry_new(setting->network, UINT32_MAX, &setting->telemetry, &err), NABLA_OK);
    struct random random = random_new(1, 1);
    network_initialize(setting->network, &random);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        setting->network->input[i] = (float)random_normal(&random);
    setting->network->random = random_new(1, 2);
}

static void setting_close(struct setting *setting)
{
    telemetry_free(setting->telemetry);
    network_free(setting->network);
    spec_free(&setting->spec);
}

static struct telemetry_step make_step(struct setting *setting, uint64_t number, float loss_gradient)
{
    struct network *network = setting->network;
    network_forward(network, ROWS, NETWORK_TRAIN);
    telemetry_outputs(setting->telemetry, network, ROWS);
    for (size_t i = 0; i < ROWS * network->outputs; i++)
        network_loss_gradient(network)[i] = i % 3 ? 0 : loss_gradient;
    network_backward(network, ROWS);
    struct optimizer_step update =
        optimizer_step_new(&setting->spec.optimizer, setting->spec.optimizer.learning_rate, number);
    network_update(network, &update, telemetry_updates(setting->telemetry, number));
    return (struct telemetry_step){
        .step = number, .loss = 0.5, .accuracy = 0.25, .learning_rate = 0.001, .samples_per_second = 7};
}

static const struct step_record *take_step(struct setting *setting, uint64_t number, float loss_gradient)
{
    const struct telemetry_step step = make_step(setting, number, loss_gradient);
    return telemetry_record(setting->telemetry, &step);
}

static void check_step(struct setting *setting, uint64_t number, float loss_gradient)
{
    static float before[NUMBERS_MAX * 4];
    struct network *network = setting->network;
    assert_true(network->state_count <= NUMBERS_MAX * 4);
    memcpy(before, network->state, network->state_count * sizeof *before);
    const struct step_record *record = take_step(setting, number, loss_gradient);
    double square = 0;
    assert_int_equal(record->layer_count, network->trained_count);
    for (size_t i = 0; i < record->layer_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        assert_int_equal(record->layers[i].index, i);
        check_layer(&record->layers[i], layer, before + (layer->parameters - network->state),
                    &network->layers[layer->observed]);
        square += pow(record->layers[i].values[LAYER_GRADIENT_NORM], 2);
    }
    const double first = record->layers[0].values[LAYER_GRADIENT_NORM];
    const double last = record->layers[record->layer_count - 1].values[LAYER_GRADIENT_NORM];
    const double norm = record->values[NETWORK_GRADIENT_NORM], ratio = first / last;
    const double told = record->values[NETWORK_GRADIENT_RATIO_FIRST_LAST];
    assert_int_equal(record->step, number);
    assert_true(isnan(square) ? isnan(norm) : fabs(norm - sqrt(square)) <= 1e-12 * norm);
    assert_true(told == ratio || (isnan(told) && isnan(ratio)));
    assert_true(record->values[NETWORK_LOSS] == 0.5 && record->values[NETWORK_ACCURACY] == 0.25);
}

static void every_statistic_equals_the_naive_one(void **state)
{
    (void)state;
    struct setting setting;
    setting_open(&setting);
    // Steps in a row know the norm before; after a gap it is computed.
    const uint64_t steps[] = {1, 2, 3, 7, 8};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        check_step(&setting, steps[i], 0.1F);
    setting_close(&setting);
}

static void tiny_and_huge_gradients_are_told_exactly(void **state)
{
    (void)state;
    const float gradients[] = {1e-30F, 1e-9F, 1e30F, 0};
    for (size_t i = 0; i < sizeof gradients / sizeof *gradients; i++) {
        struct setting setting;
        setting_open(&setting);
        check_step(&setting, 1, gradients[i]);
        setting_close(&setting);
    }
}

static void nan_is_told_and_counted(void **state)
{
    (void)state;
    struct setting setting;
    setting_open(&setting);
    check_step(&setting, 1, NAN);
    const struct step_record *record = take_step(&setting, 2, NAN);
    assert_true(isnan(record->layers[0].values[LAYER_GRADIENT_NORM]));
    assert_true(isnan(record->layers[0].values[LAYER_GRADIENT_MAX_ABS]));
    assert_true(record->layers[0].values[LAYER_NONFINITE_COUNT] > 0);
    setting_close(&setting);
}

// The same steps twice: each recorded, and all but the last folded. One gradient is NaN.
static void steps_between_records_are_folded_in(void **state)
{
    (void)state;
    enum { STEPS = 4, STAT = LAYER_GRADIENT_NORM };
    const float gradients[STEPS] = {0.1F, -2, INFINITY, 0.3F};
    struct setting each, folded;
    setting_open(&each);
    setting_open(&folded);
    double sum = 0, least = INFINITY, largest = -INFINITY, finite = 0;
    const struct step_record *record = NULL;
    for (size_t i = 0; i < STEPS; i++) {
        const double value = take_step(&each, i + 1, gradients[i])->layers[0].values[STAT];
        const bool counts = isfinite(value);
        sum += counts ? value : 0;
        finite += counts;
        least = counts ? fmin(least, value) : least;
        largest = counts ? fmax(largest, value) : largest;
        const struct telemetry_step step = make_step(&folded, i + 1, gradients[i]);
        if (i + 1 < STEPS)
            telemetry_fold(folded.telemetry, &step);
        else
            record = telemetry_record(folded.telemetry, &step);
    }
    const struct layer_record *layer = &record->layers[0];
    assert_true(finite > 0 && finite < STEPS);
    assert_true(record->step == STEPS && record->steps == STEPS);
    assert_true(fabs(layer->values[STAT] - sum / finite) <= 1e-15 * fabs(sum));
    assert_true(layer->minima[STAT] == least && layer->maxima[STAT] == largest);
    assert_int_equal(layer->nonfinite[STAT], STEPS - (int)finite);
    assert_int_equal(take_step(&folded, STEPS + 1, 0.1F)->steps, 1);
    setting_close(&each);
    setting_close(&folded);
}

// The bins of all layers hold every entry, and the percentiles are those of the gradients'.
static void histograms_hold_every_entry(void **state)
{
    (void)state;
    struct setting setting;
    setting_open(&setting);
    struct telemetry_step step = make_step(&setting, 1, 0.1F);
    const struct histogram_record *record = telemetry_histograms(setting.telemetry, setting.network, 1);
    step.histograms = true;
    const struct layer_record *layers = telemetry_record(setting.telemetry, &step)->layers;
    for (size_t i = 0; i < record->layer_count; i++) {
        const struct layer *layer = &setting.network->layers[setting.network->trained[i]];
        const struct histogram *gradients = &record->layers[i].of[HISTOGRAM_GRADIENTS];
        struct histogram wanted = {0};
        for (size_t j = 0; j < layer->size.parameters; j++)
            wanted.counts[histogram_bin((double)layer->gradient[j])]++;
        assert_memory_equal(gradients, &wanted, sizeof wanted);
        assert_true(layers[i].values[LAYER_GRADIENT_P5] == histogram_quantile(&wanted, 0.05));
        assert_true(layers[i].values[LAYER_GRADIENT_P95] == histogram_quantile(&wanted, 0.95));
        assert_true(layers[i].recorded >> LAYER_GRADIENT_P5 & 1);
    }
    setting_close(&setting);
}

static void layers_are_named_and_observed_by_block(void **state)
{
    (void)state;
    const struct {
        const char *name;
        size_t observed; // index of the layer whose outputs are its activations
    } wanted[] = {{"dense_1", 2},      {"batch_norm_1", 1}, {"dense_2", 5},
                  {"batch_norm_2", 6}, {"dense_3", 8},      {"batch_norm_3", 8}};
    struct setting setting;
    setting_open(&setting);
    const struct network *network = setting.network;
    assert_int_equal(network->trained_count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < network->trained_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        assert_string_equal(layer->name, wanted[i].name);
        assert_int_equal(layer->observed, wanted[i].observed);
    }
    setting_close(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statistic_equals_the_naive_one),
        cmocka_unit_test(tiny_and_huge_gradients_are_told_exactly),
        cmocka_unit_test(nan_is_told_and_counted),
        cmocka_unit_test(steps_between_records_are_folded_in),
        cmocka_unit_test(histograms_hold_every_entry),
        cmocka_unit_test(layers_are_named_and_observed_by_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
