#include "train/telemetry.h"

#include "base/size.h"
#include "math/summary_shared.h"
#include "train/activation.h"
#include "train/dead_units.h"
#include "train/stat_fold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct telemetry {
    size_t layer_count;
    struct layer_record *layers;
    struct layer_histograms *histograms;
    struct stat_fold *folds; // the layers', then the network's
    struct dead_units *dead; // each layer's
    float *lived;            // of each layer's units, one layer after the other
    size_t unit_count, rows; // rows: of the newest outputs
    uint64_t folded;         // steps since the record before
    struct histogram_record histogram_record;
    struct update_summary *updates;
    struct summary *outputs;
    uint32_t network_stats; // what there is to record
    uint64_t newest;        // the step whose summaries `updates` holds; 0 for none
    struct step_record record;
};

#define BIT(stat) (UINT32_C(1) << NETWORK_##stat)

static const uint32_t validation_stats =
    BIT(VALIDATION_LOSS) | BIT(VALIDATION_ACCURACY) | BIT(VALIDATION_TOP_5_ACCURACY) | BIT(VALIDATION_F1) |
    BIT(VALIDATION_CALIBRATION_ERROR) | BIT(VALIDATION_R2) | BIT(VALIDATION_MAE);

// Taken at the record's own step alone.
static const uint32_t percentiles = UINT32_C(1) << LAYER_GRADIENT_P5 | UINT32_C(1) << LAYER_GRADIENT_P95;
static const uint32_t layer_alone = UINT32_C(1) << LAYER_GRADIENT_P5 | UINT32_C(1) << LAYER_GRADIENT_P95 |
                                    UINT32_C(1) << LAYER_DEAD_UNIT_FRACTION;

uint32_t telemetry_network_stats(enum task task, size_t classes, bool validates, bool accumulates)
{
    const uint32_t of_classes = BIT(ACCURACY) | BIT(VALIDATION_ACCURACY) | BIT(VALIDATION_TOP_5_ACCURACY) |
                                BIT(VALIDATION_F1) | BIT(VALIDATION_CALIBRATION_ERROR);
    const uint32_t of_numbers = BIT(VALIDATION_R2) | BIT(VALIDATION_MAE);
    uint32_t stats = (UINT32_C(1) << NETWORK_STAT_COUNT) - 1;
    stats &= ~(task == TASK_REGRESSION ? of_classes : of_numbers);
    if (!task_has_classes(task) || classes <= REPORT_TOP)
        stats &= ~BIT(VALIDATION_TOP_5_ACCURACY);
    if (!accumulates)
        stats &= ~BIT(GRADIENT_NOISE_SCALE);
    return validates ? stats : stats & ~validation_stats;
}

static const struct layer *observed_layer(const struct network *network, size_t i)
{
    return &network->layers[network->layers[network->trained[i]].observed];
}

static void start_folds(struct telemetry *telemetry)
{
    telemetry->folded = 0;
    for (size_t i = 0; i <= telemetry->layer_count; i++)
        telemetry->folds[i] = stat_fold_new();
}

enum nabla_code telemetry_new(const struct network *network, uint32_t recorded, struct telemetry **ret,
                              struct nabla_error *err)
{
    const size_t count = network->trained_count;
    struct telemetry *telemetry = calloc(1, sizeof *telemetry);
    if (!telemetry)
        return nabla_fail_memory(err, "the telemetry");
    telemetry->layer_count = count;
    telemetry->network_stats = recorded;
    telemetry->layers = size_alloc(count, 1, sizeof *telemetry->layers);
    telemetry->updates = size_alloc(count, 1, sizeof *telemetry->updates);
    telemetry->outputs = size_alloc(count, 1, sizeof *telemetry->outputs);
    telemetry->histograms = size_alloc(count, 1, sizeof *telemetry->histograms);
    telemetry->folds = size_alloc(count + 1, 1, sizeof *telemetry->folds);
    telemetry->dead = size_alloc(count, 1, sizeof *telemetry->dead);
    for (size_t i = 0; i < count; i++)
        telemetry->unit_count += observed_layer(network, i)->size.outputs;
    telemetry->lived = size_alloc(telemetry->unit_count, 1, sizeof *telemetry->lived);
    if (!telemetry->layers || !telemetry->updates || !telemetry->outputs || !telemetry->histograms ||
        !telemetry->folds || !telemetry->dead || !telemetry->lived) {
        telemetry_free(telemetry);
        return nabla_fail_memory(err, "the telemetry's records");
    }
    for (size_t i = 0; i < count; i++) {
        telemetry->layers[i].index = (unsigned)i;
        telemetry->layers[i].name = network->layers[network->trained[i]].name;
        telemetry->histograms[i].index = telemetry->layers[i].index;
        telemetry->histograms[i].name = telemetry->layers[i].name;
    }
    telemetry_restart(telemetry);
    *ret = telemetry;
    return NABLA_OK;
}

void telemetry_free(struct telemetry *telemetry)
{
    if (!telemetry)
        return;
    free(telemetry->layers);
    free(telemetry->updates);
    free(telemetry->outputs);
    free(telemetry->histograms);
    free(telemetry->folds);
    free(telemetry->dead);
    free(telemetry->lived);
    free(telemetry);
}

void telemetry_forget(struct telemetry *telemetry)
{
    telemetry->newest = 0;
}

void telemetry_restart(struct telemetry *telemetry)
{
    telemetry_forget(telemetry);
    start_folds(telemetry);
    for (size_t i = 0; i < telemetry->layer_count; i++)
        telemetry->dead[i] = dead_units_new();
    memset(telemetry->lived, 0, telemetry->unit_count * sizeof *telemetry->lived);
}

void telemetry_state(struct telemetry *telemetry, struct train_state *state)
{
    const size_t count = telemetry->layer_count;
    _Static_assert(sizeof(struct stat_fold) % sizeof(double) == 0, "a fold is doubles");
    _Static_assert(sizeof(struct dead_units) % sizeof(double) == 0, "a watch is doubles");
    train_state_add(state, "telemetry.folded", TENSOR_I64, &telemetry->folded, 1);
    train_state_add(state, "telemetry.folds", TENSOR_F64, telemetry->folds,
                    (count + 1) * sizeof(struct stat_fold) / sizeof(double));
    train_state_add(state, "telemetry.dead_units", TENSOR_F64, telemetry->dead,
                    count * sizeof(struct dead_units) / sizeof(double));
    train_state_add(state, "telemetry.lived", TENSOR_F32, telemetry->lived, telemetry->unit_count);
}

static struct activation_bounds flat_of(const struct layer *layer)
{
    const bool activates = layer->spec->type == LAYER_TYPE_ACTIVATION;
    return activation_flat(activates ? layer->spec->activation : ACTIVATION_LINEAR, layer->spec->alpha);
}

static void look_at_piece(const void *context, size_t first, size_t end, struct summary *outputs)
{
    const struct layer *layer = context;
    const struct activation_bounds flat = flat_of(layer);
    const real below = (real)flat.below, above = (real)flat.above;
    struct summary inputs = {0};
    summary_outputs(outputs, layer->output + first, end - first, below, above);
    if (flat.of_input) {
        summary_outputs(&inputs, layer->input + first, end - first, below, above);
        outputs->flat = inputs.flat;
    }
}

void telemetry_outputs(struct telemetry *telemetry, const struct network *network, size_t rows)
{
    float *lived = telemetry->lived;
    telemetry->rows = rows;
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        const struct layer *layer = observed_layer(network, i);
        const struct activation_bounds flat = flat_of(layer);
        telemetry->outputs[i] = summary_pieces(look_at_piece, layer, rows * layer->size.outputs);
        dead_units_look(&telemetry->dead[i], lived, flat.of_input ? layer->input : layer->output, rows,
                        layer->size.outputs, (float)flat.below, (float)flat.above);
        lived += layer->size.outputs;
    }
}

static void fill_histogram(struct histogram *histogram, const float *x, size_t count)
{
    memset(histogram, 0, sizeof *histogram);
    for (size_t i = 0; i < count; i++)
        if (isfinite(x[i]))
            histogram->counts[histogram_bin_float(x[i])]++;
        else
            histogram->nonfinite++;
}

const struct histogram_record *telemetry_histograms(struct telemetry *telemetry,
                                                    const struct network *network, uint64_t step)
{
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        const struct layer *observed = observed_layer(network, i);
        struct histogram *of = telemetry->histograms[i].of;
        fill_histogram(&of[HISTOGRAM_GRADIENTS], layer->gradient, layer->size.parameters);
        fill_histogram(&of[HISTOGRAM_WEIGHTS], layer->parameters, layer->size.parameters);
        fill_histogram(&of[HISTOGRAM_ACTIVATIONS], observed->output,
                       telemetry->rows * observed->size.outputs);
    }
    telemetry->histogram_record =
        (struct histogram_record){step, telemetry->histograms, telemetry->layer_count};
    return &telemetry->histogram_record;
}

// The norm before this step is the norm after the one before, where that one was recorded too.
struct update_summary *telemetry_updates(struct telemetry *telemetry, uint64_t step)
{
    const bool known = telemetry->newest != 0 && telemetry->newest + 1 == step;
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        struct update_summary *update = &telemetry->updates[i];
        update->square_before = known ? update->weights.sum_square : NAN;
    }
    telemetry->newest = step;
    return telemetry->updates;
}

static double fraction(size_t part, const struct summary *whole)
{
    return (double)part / (double)whole->count;
}

static void describe_gradient(double values[LAYER_STAT_COUNT], const struct summary *gradient)
{
    values[LAYER_GRADIENT_NORM] = summary_norm(gradient);
    values[LAYER_GRADIENT_MAX_ABS] = gradient->max_abs;
    values[LAYER_GRADIENT_MEAN] = summary_mean(gradient);
    values[LAYER_GRADIENT_MEAN_ABS] = summary_mean_abs(gradient);
    values[LAYER_GRADIENT_STD] = summary_std(gradient);
    values[LAYER_GRADIENT_ZERO_FRACTION] = fraction(gradient->zero, gradient);
    values[LAYER_GRADIENT_TINY_FRACTION] = fraction(gradient->tiny, gradient);
}

static void describe_weights(double values[LAYER_STAT_COUNT], const struct update_summary *update)
{
    values[LAYER_WEIGHT_NORM] = summary_norm(&update->weights);
    values[LAYER_WEIGHT_MEAN] = summary_mean(&update->weights);
    values[LAYER_WEIGHT_STD] = summary_std(&update->weights);
    values[LAYER_UPDATE_NORM] = summary_norm(&update->change);
    values[LAYER_UPDATE_MAX_ABS] = update->change.max_abs;
    values[LAYER_UPDATE_RATIO] = summary_norm(&update->change) / sqrt(update->square_before);
}

static void describe_outputs(double values[LAYER_STAT_COUNT], const struct summary *outputs)
{
    values[LAYER_ACTIVATION_MEAN] = summary_mean(outputs);
    values[LAYER_ACTIVATION_MEAN_ABS] = summary_mean_abs(outputs);
    values[LAYER_ACTIVATION_STD] = summary_std(outputs);
    values[LAYER_NONPOSITIVE_FRACTION] = fraction(outputs->nonpositive, outputs);
    values[LAYER_SATURATED_FRACTION] = fraction(outputs->flat, outputs);
}

static void describe_layer(struct telemetry *telemetry, size_t i)
{
    struct layer_record *record = &telemetry->layers[i];
    const struct update_summary *update = &telemetry->updates[i];
    const struct summary *outputs = &telemetry->outputs[i];
    describe_gradient(record->values, &update->gradient);
    describe_weights(record->values, update);
    describe_outputs(record->values, outputs);
    record->values[LAYER_NONFINITE_COUNT] =
        (double)(update->gradient.nonfinite + update->weights.nonfinite + outputs->nonfinite);
}

static void describe_validation(double values[NETWORK_STAT_COUNT], const struct report *report)
{
    values[NETWORK_VALIDATION_TOP_5_ACCURACY] = report ? report->top[REPORT_TOP - 1] : NAN;
    values[NETWORK_VALIDATION_F1] = report ? report->macro_f1 : NAN;
    values[NETWORK_VALIDATION_CALIBRATION_ERROR] = report ? report->calibration_error : NAN;
    values[NETWORK_VALIDATION_R2] = report ? report->r2 : NAN;
    values[NETWORK_VALIDATION_MAE] = report ? report->mae : NAN;
}

static void describe_network(struct step_record *record, const struct telemetry_step *step, double square_sum)
{
    const struct layer_record *last = &record->layers[record->layer_count - 1];
    double *values = record->values;
    values[NETWORK_LOSS] = step->loss;
    values[NETWORK_ACCURACY] = step->accuracy;
    values[NETWORK_LEARNING_RATE] = step->learning_rate;
    values[NETWORK_GRADIENT_NORM] = sqrt(square_sum);
    values[NETWORK_GRADIENT_RATIO_FIRST_LAST] =
        record->layers[0].values[LAYER_GRADIENT_NORM] / last->values[LAYER_GRADIENT_NORM];
    values[NETWORK_GRADIENT_NOISE_SCALE] = step->noise_scale;
    values[NETWORK_VALIDATION_LOSS] = step->validation_loss;
    values[NETWORK_VALIDATION_ACCURACY] = step->validation_accuracy;
    values[NETWORK_SAMPLES_PER_SECOND] = step->samples_per_second;
    describe_validation(values, step->validation);
}

#undef BIT

static void describe(struct telemetry *telemetry, const struct telemetry_step *step)
{
    double square_sum = 0;
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        describe_layer(telemetry, i);
        square_sum += telemetry->updates[i].gradient.sum_square;
    }
    telemetry->record.layers = telemetry->layers;
    telemetry->record.layer_count = telemetry->layer_count;
    describe_network(&telemetry->record, step, square_sum);
}

void telemetry_fold(struct telemetry *telemetry, const struct telemetry_step *step)
{
    const size_t count = telemetry->layer_count;
    describe(telemetry, step);
    for (size_t i = 0; i < count; i++)
        stat_fold_add(&telemetry->folds[i], telemetry->layers[i].values, LAYER_STAT_COUNT);
    stat_fold_add(&telemetry->folds[count], telemetry->record.values, NETWORK_STAT_COUNT);
    telemetry->folded++;
}

static void take_folds(struct telemetry *telemetry)
{
    struct step_record *record = &telemetry->record;
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        struct layer_record *layer = &telemetry->layers[i];
        stat_fold_take(&telemetry->folds[i], layer->values,
                       &(struct stat_extremes){layer->minima, layer->maxima, layer->nonfinite},
                       LAYER_STAT_COUNT, layer_alone);
    }
    stat_fold_take(&telemetry->folds[telemetry->layer_count], record->values,
                   &(struct stat_extremes){record->minima, record->maxima, record->nonfinite},
                   NETWORK_STAT_COUNT, validation_stats | UINT32_C(1) << NETWORK_SAMPLES_PER_SECOND);
}

// What is known at a record's own step alone.
static void describe_alone(struct telemetry *telemetry, size_t i, bool histograms)
{
    struct layer_record *record = &telemetry->layers[i];
    const struct histogram *gradients = &telemetry->histograms[i].of[HISTOGRAM_GRADIENTS];
    record->values[LAYER_DEAD_UNIT_FRACTION] =
        dead_units_fraction(&telemetry->dead[i], telemetry->outputs[i].count / telemetry->rows);
    record->values[LAYER_GRADIENT_P5] = histograms ? histogram_quantile(gradients, 0.05) : NAN;
    record->values[LAYER_GRADIENT_P95] = histograms ? histogram_quantile(gradients, 0.95) : NAN;
    record->recorded = ((UINT32_C(1) << LAYER_STAT_COUNT) - 1) & ~(histograms ? 0 : percentiles);
}

const struct step_record *telemetry_record(struct telemetry *telemetry, const struct telemetry_step *step)
{
    struct step_record *record = &telemetry->record;
    if (telemetry->folded > 0)
        telemetry_fold(telemetry, step);
    else
        describe(telemetry, step);
    for (size_t i = 0; i < telemetry->layer_count; i++)
        describe_alone(telemetry, i, step->histograms);
    record->step = step->step;
    record->steps = telemetry->folded > 0 ? (uint32_t)telemetry->folded : 1;
    record->recorded = telemetry->network_stats & (step->validation ? UINT32_MAX : ~validation_stats);
    if (telemetry->folded > 0) {
        take_folds(telemetry);
        start_folds(telemetry);
    }
    return record;
}
