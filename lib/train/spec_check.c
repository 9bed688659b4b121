// Filling a spec in and refusing what cannot be trained, before anything is allocated for it. Each check is
// one line that names its place in the job's document.
#include "train/spec.h"

#include "base/size.h"
#include "train/network_size.h"
#include "train/schedule.h"
#include "train/spec_option.h"
#include "train/spec_rows.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECORDS_KEPT = 10000 };

static bool is_fraction(double value) // in [0, 1)
{
    return value >= 0 && value < 1;
}

// Also in the float of training: not below 0, and finite.
static bool is_amount(double value)
{
    return value >= 0 && isfinite((float)value);
}

static bool is_positive(double value)
{
    return (float)value > 0 && isfinite((float)value);
}

struct place {
    char pointer[64];
};

static struct place layer_place(size_t index, const char *field)
{
    struct place place;
    snprintf(place.pointer, sizeof place.pointer, "/model/layers/%zu%s", index, field);
    return place;
}

static enum nabla_code refuse_layer(struct nabla_error *err, size_t index, const char *field,
                                    const char *rule)
{
    return nabla_fail(err, NABLA_INVALID, layer_place(index, field).pointer, "%s", rule);
}

static enum nabla_code check_dense(const struct layer_spec *layer, size_t index, struct nabla_error *err)
{
    if (layer->units < 1 || layer->units > INT_MAX)
        return refuse_layer(err, index, "/units", "units must be from 1 to 2147483647");
    if ((unsigned)layer->initializer >= INITIALIZER_COUNT)
        return refuse_layer(err, index, "/initializer", "there is no such initializer");
    const struct initializer_option option = initializer_option(layer->initializer);
    if (!option.name ||
        (layer->initializer_value >= option.least && isfinite((float)layer->initializer_value)))
        return NABLA_OK;
    char field[32];
    snprintf(field, sizeof field, "/initializer/%s", option.name);
    return refuse_layer(err, index, field,
                        option.least < 0 ? "must be a finite number"
                                         : "must be a finite number of at least 0");
}

static enum nabla_code check_batch_norm(const struct layer_spec *layer, size_t index, struct nabla_error *err)
{
    if (!(layer->momentum >= 0 && layer->momentum <= 1))
        return refuse_layer(err, index, "/momentum", "momentum must be from 0 to 1");
    if (!is_positive(layer->epsilon))
        return refuse_layer(err, index, "/epsilon", "epsilon must be a finite number above 0");
    return NABLA_OK;
}

static enum nabla_code check_activation(const struct layer_spec *layer, size_t index, struct nabla_error *err)
{
    if ((unsigned)layer->activation >= ACTIVATION_COUNT)
        return refuse_layer(err, index, "/function", "there is no such activation");
    const struct activation_option option = activation_option(layer->activation);
    if (!option.name || (layer->alpha >= 0 && layer->alpha <= option.most))
        return NABLA_OK;
    char field[32], rule[64];
    snprintf(field, sizeof field, "/%s", option.name);
    snprintf(rule, sizeof rule, "%s must be from 0 to %g", option.name, option.most);
    return refuse_layer(err, index, field, rule);
}

static enum nabla_code check_dropout(const struct layer_spec *layer, size_t index, struct nabla_error *err)
{
    if (!is_fraction(layer->rate))
        return refuse_layer(err, index, "/rate", "rate must be at least 0 and below 1");
    return NABLA_OK;
}

static enum nabla_code (*const layer_checks[])(const struct layer_spec *, size_t, struct nabla_error *) = {
    [LAYER_TYPE_DENSE] = check_dense,
    [LAYER_TYPE_BATCH_NORM] = check_batch_norm,
    [LAYER_TYPE_ACTIVATION] = check_activation,
    [LAYER_TYPE_DROPOUT] = check_dropout,
};
_Static_assert(sizeof layer_checks / sizeof *layer_checks == LAYER_TYPE_COUNT, "every type is checked");

static enum nabla_code check_layers(const struct train_spec *spec, struct nabla_error *err)
{
    for (size_t i = 0; i < spec->layer_count; i++) {
        const struct layer_spec *layer = &spec->layers[i];
        if ((unsigned)layer->type >= LAYER_TYPE_COUNT)
            return refuse_layer(err, i, "/type", "there is no such layer type");
        enum nabla_code code = layer_checks[layer->type](layer, i, err);
        if (code != NABLA_OK)
            return code;
    }
    return NABLA_OK;
}

static enum nabla_code check_dataset(const struct dataset *dataset, struct nabla_error *err)
{
    if (dataset->classes == 0)
        return nabla_fail(err, NABLA_INVALID, "/dataset",
                          "the data set has targets instead of classes; jobs train classifiers");
    if (dataset->rows < 1 || dataset->columns < 1 || dataset->columns > INT_MAX || dataset->classes > INT_MAX)
        return nabla_fail(err, NABLA_INVALID, "/dataset", "the data set has no rows or no features");
    return NABLA_OK;
}

// What the last layer hands to the loss is one number a class.
static enum nabla_code check_output(const struct train_spec *spec, const struct dataset *dataset,
                                    struct nabla_error *err)
{
    size_t i = spec->layer_count;
    while (i > 0 && spec->layers[i - 1].type != LAYER_TYPE_DENSE)
        i--;
    if (i == 0)
        return nabla_fail(err, NABLA_INVALID, "/model/layers", "the network needs a dense layer");
    if (spec->layers[i - 1].units == dataset->classes)
        return NABLA_OK;
    return nabla_fail(err, NABLA_INVALID, layer_place(i - 1, "/units").pointer,
                      "the last dense layer has %zu units, but the data set has %zu classes",
                      spec->layers[i - 1].units, dataset->classes);
}

static enum nabla_code complete_output(struct train_spec *spec, const struct dataset *dataset,
                                       struct nabla_error *err)
{
    if (!spec->output_written) {
        struct layer_spec output = layer_defaults(LAYER_TYPE_DENSE);
        output.units = dataset->classes;
        enum nabla_code code = spec_add_layer(spec, &output, err);
        if (code != NABLA_OK)
            return code;
        spec->output_written = true;
    }
    return check_output(spec, dataset, err);
}

// The loss module itself says which options and combinations exist: it is asked with one row of zeros.
static enum nabla_code check_loss_options(const struct train_spec *spec, const struct dataset *dataset,
                                          struct nabla_error *err)
{
    float *scores = size_alloc(dataset->classes, 1, sizeof *scores);
    if (!scores)
        return nabla_fail_memory(err, "a row of scores");
    int64_t id = 0;
    struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT32, .rows = 1, .classes = dataset->classes, .scores = scores, .ids = &id};
    struct nabla_loss_result result = {0};
    enum nabla_code code = nabla_loss_compute(&spec->loss, &batch, &result, err);
    free(scores);
    return code;
}

static enum nabla_code complete_loss(struct train_spec *spec, const struct dataset *dataset,
                                     struct nabla_error *err)
{
    if (spec->loss.input != NABLA_LOGITS)
        return nabla_fail(err, NABLA_INVALID, "/loss/input", "jobs train from logits");
    if (spec->loss.reduction == NABLA_NONE)
        return nabla_fail(err, NABLA_INVALID, "/loss/reduction", "training needs one loss: mean or sum");
    if (spec->class_weights_balanced && spec->class_weight_count > 0)
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights",
                          "class weights are either \"balanced\" or a list");
    if (spec->class_weight_count > 0 && spec->class_weight_count != dataset->classes)
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights",
                          "there are %zu class weights for %zu classes", spec->class_weight_count,
                          dataset->classes);
    spec->loss.class_weights = spec->class_weight_count > 0 ? spec->class_weights : NULL;
    return check_loss_options(spec, dataset, err);
}

static enum nabla_code refuse_option(struct nabla_error *err, const char *place,
                                     const struct spec_option *option)
{
    char pointer[96];
    snprintf(pointer, sizeof pointer, "%s/%s", place, option->name);
    return nabla_fail(err, NABLA_INVALID, pointer, "%s %s", option->name, spec_option_rule(option));
}

static enum nabla_code check_optimizer(const struct optimizer_spec *optimizer, struct nabla_error *err)
{
    if ((unsigned)optimizer->type >= OPTIMIZER_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/optimizer/type", "there is no such optimizer");
    if (!is_amount(optimizer->learning_rate))
        return nabla_fail(err, NABLA_INVALID, "/optimizer/learning_rate",
                          "learning_rate must be a finite number of at least 0");
    const struct spec_option *wrong = spec_options_wrong(&optimizer_options, optimizer->type, optimizer);
    if (wrong)
        return refuse_option(err, "/optimizer", wrong);
    if ((optimizer->clip_value > 0) + (optimizer->clip_norm > 0) + (optimizer->global_clip_norm > 0) > 1)
        return nabla_fail(err, NABLA_INVALID, "/optimizer",
                          "only one of clip_value, clip_norm and global_clip_norm may be above 0");
    if ((unsigned)optimizer->epsilon_placement >= EPSILON_PLACEMENT_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/optimizer/epsilon_placement", "there is no such placement");
    return NABLA_OK;
}

// Fills in decay_steps where the schedule spans the job.
static enum nabla_code complete_schedule(struct train_spec *spec, const struct dataset *dataset,
                                         struct nabla_error *err)
{
    static const char place[] = "/optimizer/learning_rate";
    struct schedule_spec *schedule = &spec->optimizer.schedule;
    if ((unsigned)schedule->type >= SCHEDULE_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/optimizer/learning_rate/schedule",
                          "there is no such schedule");
    const struct spec_option *wrong = spec_options_wrong(&schedule_options, schedule->type, schedule);
    if (wrong)
        return refuse_option(err, place, wrong);
    if (schedule_needs_decay_steps(schedule->type) && schedule->decay_steps < 1)
        return nabla_fail(err, NABLA_INVALID, place, "%s wants to know its number of steps",
                          schedule_name(schedule->type));
    if (schedule->type == SCHEDULE_REDUCE_ON_PLATEAU && spec->validation_split <= 0)
        return nabla_fail(err, NABLA_INVALID, "/training/validation_split",
                          "reduce_on_plateau goes by the validation loss: a part must be kept for it");
    uint64_t steps;
    enum nabla_code code = spec_steps(spec, dataset, &steps, err);
    if (code == NABLA_OK && schedule_spans_job(schedule->type) && schedule->decay_steps < 1)
        schedule->decay_steps = fmax(1, (double)steps - schedule->warmup_steps);
    return code;
}

static enum nabla_code check_training(const struct train_spec *spec, struct nabla_error *err)
{
    if (spec->epochs < 1)
        return nabla_fail(err, NABLA_INVALID, "/training/epochs", "epochs must be at least 1");
    if (spec->batch_size < 1 || spec->batch_size > INT_MAX)
        return nabla_fail(err, NABLA_INVALID, "/training/batch_size",
                          "batch_size must be from 1 to 2147483647");
    if (!is_fraction(spec->validation_split))
        return nabla_fail(err, NABLA_INVALID, "/training/validation_split",
                          "validation_split must be at least 0 and below 1");
    if (!is_amount(spec->checkpoint_every_seconds))
        return nabla_fail(err, NABLA_INVALID, "/training/checkpoint_every_seconds",
                          "checkpoint_every_seconds must be a finite number of at least 0");
    return NABLA_OK;
}

// At most RECORDS_KEPT records, the ends of epochs among them (unless those alone are more).
static size_t telemetry_every(uint64_t steps, size_t epochs)
{
    if (steps <= RECORDS_KEPT)
        return 1;
    uint64_t room = epochs < RECORDS_KEPT / 2 ? RECORDS_KEPT - epochs - 1 : RECORDS_KEPT / 2;
    return (size_t)((steps + room - 1) / room);
}

static enum nabla_code complete_telemetry(struct train_spec *spec, const struct dataset *dataset,
                                          struct nabla_error *err)
{
    uint64_t steps;
    enum nabla_code code = spec_steps(spec, dataset, &steps, err);
    if (code == NABLA_OK && spec->telemetry_every == 0)
        spec->telemetry_every = telemetry_every(steps, spec->epochs);
    return code;
}

enum nabla_code spec_complete(struct train_spec *spec, const struct dataset *dataset, struct nabla_error *err)
{
    enum nabla_code code = check_dataset(dataset, err);
    if (code == NABLA_OK)
        code = check_layers(spec, err);
    if (code == NABLA_OK)
        code = complete_output(spec, dataset, err);
    if (code == NABLA_OK)
        code = complete_loss(spec, dataset, err);
    if (code == NABLA_OK)
        code = check_optimizer(&spec->optimizer, err);
    if (code == NABLA_OK)
        code = check_training(spec, err);
    if (code == NABLA_OK)
        code = complete_schedule(spec, dataset, err);
    if (code == NABLA_OK)
        code = complete_telemetry(spec, dataset, err);
    return code;
}
