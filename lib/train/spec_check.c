// Filling a spec in and refusing what cannot be trained, before anything is allocated for it. Each check is
// one line that names its place in the job's document.
#include "train/spec_check.h"

#include "base/size.h"
#include "train/network_size.h"
#include "train/schedule.h"
#include "train/spec_option.h"
#include "train/spec_rows.h"
#include "train/task.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_KEPT = 10000, HISTOGRAMS_KEPT = 200 };

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

struct layer_place spec_layer_place(size_t index, const char *field)
{
    struct layer_place place;
    snprintf(place.pointer, sizeof place.pointer, "/model/layers/%zu%s", index, field);
    return place;
}

static enum nabla_code refuse_layer(struct nabla_error *err, size_t index, const char *field,
                                    const char *rule)
{
    return nabla_fail(err, NABLA_INVALID, spec_layer_place(index, field).pointer, "%s", rule);
}

static enum nabla_code check_initializer(const struct layer_spec *layer, size_t index,
                                         struct nabla_error *err)
{
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

static enum nabla_code check_dense(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    const struct layer_spec *layer = &spec->layers[index];
    if (layer->units < 1 || layer->units > INT_MAX)
        return refuse_layer(err, index, "/units", "units must be from 1 to 2147483647");
    return check_initializer(layer, index, err);
}

static enum nabla_code check_layer_norm(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    if (!is_positive(spec->layers[index].epsilon))
        return refuse_layer(err, index, "/epsilon", "epsilon must be a finite number above 0");
    return NABLA_OK;
}

static enum nabla_code check_batch_norm(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    const double momentum = spec->layers[index].momentum;
    if (!(momentum >= 0 && momentum <= 1))
        return refuse_layer(err, index, "/momentum", "momentum must be from 0 to 1");
    return check_layer_norm(spec, index, err);
}

static enum nabla_code check_activation(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    const struct layer_spec *layer = &spec->layers[index];
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

static enum nabla_code check_dropout(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    if (!is_fraction(spec->layers[index].rate))
        return refuse_layer(err, index, "/rate", "rate must be at least 0 and below 1");
    return NABLA_OK;
}

// A branch holds other branches whole.
static enum nabla_code check_residual(const struct train_spec *spec, size_t index, struct nabla_error *err)
{
    const struct layer_spec *layer = &spec->layers[index];
    if (layer->branch < 1 || layer->branch > index)
        return refuse_layer(err, index, "/layers", "a residual needs at least one layer of its own");
    for (size_t i = index - layer->branch; i < index; i++)
        if (spec->layers[i].type == LAYER_TYPE_RESIDUAL && spec->layers[i].branch > i + layer->branch - index)
            return refuse_layer(err, index, "/layers", "a residual begins within another that ends before");
    return check_initializer(layer, index, err);
}

static enum nabla_code (*const layer_checks[])(const struct train_spec *, size_t, struct nabla_error *) = {
    [LAYER_TYPE_DENSE] = check_dense,           [LAYER_TYPE_BATCH_NORM] = check_batch_norm,
    [LAYER_TYPE_LAYER_NORM] = check_layer_norm, [LAYER_TYPE_ACTIVATION] = check_activation,
    [LAYER_TYPE_DROPOUT] = check_dropout,       [LAYER_TYPE_ALPHA_DROPOUT] = check_dropout,
    [LAYER_TYPE_RESIDUAL] = check_residual,
};
_Static_assert(sizeof layer_checks / sizeof *layer_checks == LAYER_TYPE_COUNT, "every type is checked");

static enum nabla_code refuse_rule(struct nabla_error *err, size_t index, const char *rule, const char *field)
{
    char place[48];
    snprintf(place, sizeof place, "/%s/%s", rule, field);
    return refuse_layer(err, index, place, "must be a finite number of at least 0");
}

static enum nabla_code check_rules(const struct layer_spec *layer, size_t index, struct nabla_error *err)
{
    for (size_t t = 0; t < LAYER_TENSORS && layer_rule_names(layer, t); t++) {
        const struct rule_names *names = layer_rule_names(layer, t);
        if (!is_amount(layer->rules[t].l1))
            return refuse_rule(err, index, names->regularizer, "l1");
        if (!is_amount(layer->rules[t].l2))
            return refuse_rule(err, index, names->regularizer, "l2");
        if (!is_amount(layer->rules[t].max_norm))
            return refuse_rule(err, index, names->constraint, "max_value");
    }
    return NABLA_OK;
}

static enum nabla_code check_layers(const struct train_spec *spec, struct nabla_error *err)
{
    for (size_t i = 0; i < spec->layer_count; i++) {
        const struct layer_spec *layer = &spec->layers[i];
        if ((unsigned)layer->type >= LAYER_TYPE_COUNT)
            return refuse_layer(err, i, "/type", "there is no such layer type");
        enum nabla_code code = layer_checks[layer->type](spec, i, err);
        if (code == NABLA_OK)
            code = check_rules(layer, i, err);
        if (code != NABLA_OK)
            return code;
    }
    return NABLA_OK;
}

// Where the widths differ there must be a projection; where they do not, there is none unless asked for.
static enum nabla_code complete_projections(struct train_spec *spec, const struct dataset *dataset,
                                            struct nabla_error *err)
{
    for (size_t i = 0; i < spec->layer_count; i++) {
        struct layer_spec *layer = &spec->layers[i];
        if (layer->type != LAYER_TYPE_RESIDUAL)
            continue;
        const size_t before = layer_inputs(spec, i - layer->branch, dataset->columns);
        const size_t behind = layer_inputs(spec, i, dataset->columns);
        if (layer->projection == PROJECTION_AUTO)
            layer->projection = before == behind ? PROJECTION_NONE : PROJECTION_DENSE;
        if (before != behind && layer->projection == PROJECTION_NONE)
            return nabla_fail(
                err, NABLA_INVALID, spec_layer_place(i, "/projection").pointer,
                "the layers take %zu numbers a row and give %zu: only a projection can add them", before,
                behind);
    }
    return NABLA_OK;
}

static enum nabla_code check_dataset(const struct dataset *dataset, struct nabla_error *err)
{
    if (dataset->rows < 1 || dataset->columns < 1 || dataset->columns > INT_MAX || dataset->classes > INT_MAX)
        return nabla_fail(err, NABLA_INVALID, "/dataset", "the data set has no rows or no features");
    return NABLA_OK;
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

// The epoch that early stopping goes by must be validated, and known to it.
static enum nabla_code check_early_stopping(const struct train_spec *spec, const struct dataset *dataset,
                                            struct nabla_error *err)
{
    const struct early_stopping *stopping = &spec->early_stopping;
    const enum monitor monitor = stopping->monitor;
    if (!stopping->active)
        return NABLA_OK;
    const struct spec_option *wrong = spec_options_wrong(&early_stopping_options, 0, stopping);
    if (wrong)
        return refuse_option(err, "/training/early_stopping", wrong);
    if ((unsigned)monitor >= MONITOR_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/training/early_stopping/monitor", "there is no such monitor");
    if ((monitor == MONITOR_VALIDATION_LOSS || monitor == MONITOR_VALIDATION_ACCURACY) &&
        spec->validation_split <= 0)
        return nabla_fail(err, NABLA_INVALID, "/training/validation_split",
                          "early stopping goes by the %s: a part must be kept for it", monitor_name(monitor));
    if ((monitor == MONITOR_ACCURACY || monitor == MONITOR_VALIDATION_ACCURACY) &&
        spec_task(spec, dataset) == TASK_REGRESSION)
        return nabla_fail(err, NABLA_INVALID, "/training/early_stopping/monitor",
                          "regression has no accuracy to go by");
    return NABLA_OK;
}

static enum nabla_code check_training(const struct train_spec *spec, struct nabla_error *err)
{
    if (!is_amount(spec->time_limit))
        return nabla_fail(err, NABLA_INVALID, "/training/time_limit",
                          "time_limit must be a finite number of seconds, at least 0");
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
    if (spec->threads < 1 || spec->threads > TRAIN_THREADS_MAX)
        return nabla_fail(err, NABLA_INVALID, "/training/threads", "threads must be from 1 to %d",
                          TRAIN_THREADS_MAX);
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

// Of recorded steps, whose percentiles come from them.
static size_t histograms_every(uint64_t steps, size_t recorded_every)
{
    return (size_t)(steps / HISTOGRAMS_KEPT / recorded_every + 1) * recorded_every;
}

static enum nabla_code complete_telemetry(struct train_spec *spec, const struct dataset *dataset,
                                          struct nabla_error *err)
{
    uint64_t steps;
    enum nabla_code code = spec_steps(spec, dataset, &steps, err);
    if (code == NABLA_OK && spec->telemetry_every == 0)
        spec->telemetry_every = telemetry_every(steps, spec->epochs);
    if (code == NABLA_OK && spec->histograms_every == 0)
        spec->histograms_every = histograms_every(steps, spec->telemetry_every);
    return code;
}

static enum nabla_code check_missing(const struct train_spec *spec, const struct dataset *dataset,
                                     struct nabla_error *err)
{
    struct nabla_error why;
    if (spec->missing != MISSING_REFUSE || dataset_refuse_missing(dataset, &why) == NABLA_OK)
        return NABLA_OK;
    return nabla_fail(err, NABLA_INVALID, "/training/missing",
                      "%s: mean, median, most_frequent or constant fills them in", why.text);
}

enum nabla_code spec_complete(struct train_spec *spec, const struct dataset *dataset, struct nabla_error *err)
{
    enum nabla_code code = check_dataset(dataset, err);
    if (code == NABLA_OK)
        code = check_missing(spec, dataset, err);
    if (code == NABLA_OK)
        code = check_layers(spec, err);
    if (code == NABLA_OK)
        code = spec_complete_output(spec, dataset, err);
    if (code == NABLA_OK)
        code = complete_projections(spec, dataset, err);
    if (code == NABLA_OK)
        code = spec_complete_loss(spec, dataset, err);
    if (code == NABLA_OK)
        code = check_optimizer(&spec->optimizer, err);
    if (code == NABLA_OK)
        code = check_training(spec, err);
    if (code == NABLA_OK)
        code = check_early_stopping(spec, dataset, err);
    if (code == NABLA_OK)
        code = complete_schedule(spec, dataset, err);
    if (code == NABLA_OK)
        code = complete_telemetry(spec, dataset, err);
    return code;
}
