#include "train/telemetry.h"

#include "base/size.h"
#include "math/summary_wide.h"
#include "train/activation.h"

#include <math.h>
#include <stdlib.h>

struct telemetry {
    size_t layer_count;
    struct layer_record *layers;
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

uint32_t telemetry_network_stats(enum task task, size_t classes, bool validates)
{
    const uint32_t of_classes = BIT(ACCURACY) | BIT(VALIDATION_ACCURACY) | BIT(VALIDATION_TOP_5_ACCURACY) |
                                BIT(VALIDATION_F1) | BIT(VALIDATION_CALIBRATION_ERROR);
    const uint32_t of_numbers = BIT(VALIDATION_R2) | BIT(VALIDATION_MAE);
    uint32_t stats = (UINT32_C(1) << NETWORK_STAT_COUNT) - 1;
    stats &= ~(task == TASK_REGRESSION ? of_classes : of_numbers);
    if (!task_has_classes(task) || classes <= REPORT_TOP)
        stats &= ~BIT(VALIDATION_TOP_5_ACCURACY);
    return validates ? stats : stats & ~validation_stats;
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
    if (!telemetry->layers || !telemetry->updates || !telemetry->outputs) {
        telemetry_free(telemetry);
        return nabla_fail_memory(err, "the telemetry's records");
    }
    for (size_t i = 0; i < count; i++) {
        telemetry->layers[i].index = (unsigned)i;
        telemetry->layers[i].name = network->layers[network->trained[i]].name;
    }
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
    free(telemetry);
}

void telemetry_restart(struct telemetry *telemetry)
{
    telemetry->newest = 0;
}

static void look(struct summary *summary, const float *x, size_t count, float below, float above)
{
    if (summary_is_wide())
        summary_outputs_wide(summary, x, count, below, above);
    else
        summary_outputs(summary, x, count, below, above);
}

static struct summary summarise_outputs(const struct layer *layer, size_t count)
{
    const bool activates = layer->spec->type == LAYER_TYPE_ACTIVATION;
    const struct activation_bounds flat =
        activation_flat(activates ? layer->spec->activation : ACTIVATION_LINEAR, layer->spec->alpha);
    const real below = (real)flat.below, above = (real)flat.above;
    struct summary outputs = {0}, inputs = {0};
    look(&outputs, layer->output, count, below, above);
    if (flat.of_input) {
        look(&inputs, layer->input, count, below, above);
        outputs.flat = inputs.flat;
    }
    return outputs;
}

void telemetry_outputs(struct telemetry *telemetry, const struct network *network, size_t rows)
{
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        const struct layer *layer = &network->layers[network->layers[network->trained[i]].observed];
        telemetry->outputs[i] = summarise_outputs(layer, rows * layer->size.outputs);
    }
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

static void describe_layer(struct layer_record *record, const struct update_summary *update,
                           const struct summary *outputs)
{
    describe_gradient(record->values, &update->gradient);
    describe_weights(record->values, update);
    describe_outputs(record->values, outputs);
    record->values[LAYER_NONFINITE_COUNT] =
        (double)(update->gradient.nonfinite + update->weights.nonfinite + outputs->nonfinite);
    record->recorded = (UINT32_C(1) << LAYER_STAT_COUNT) - 1;
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
    values[NETWORK_VALIDATION_LOSS] = step->validation_loss;
    values[NETWORK_VALIDATION_ACCURACY] = step->validation_accuracy;
    values[NETWORK_SAMPLES_PER_SECOND] = step->samples_per_second;
    describe_validation(values, step->validation);
}

#undef BIT

const struct step_record *telemetry_record(struct telemetry *telemetry, const struct telemetry_step *step)
{
    double square_sum = 0;
    for (size_t i = 0; i < telemetry->layer_count; i++) {
        describe_layer(&telemetry->layers[i], &telemetry->updates[i], &telemetry->outputs[i]);
        square_sum += telemetry->updates[i].gradient.sum_square;
    }
    telemetry->record.step = step->step;
    telemetry->record.layers = telemetry->layers;
    telemetry->record.layer_count = telemetry->layer_count;
    describe_network(&telemetry->record, step, square_sum);
    telemetry->record.recorded =
        telemetry->network_stats & (step->validation ? UINT32_MAX : ~validation_stats);
    return &telemetry->record;
}
