// struct job_spec → the expanded document: every default spelled out, in the order that people read.
#include "api/spec.h"
#include "api/spec_decode.h"
#include "api/write.h"
#include "train/spec_option.h"

#include <inttypes.h>
#include <math.h>

static void encode_number_field(const char *name, double value, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":", name);
    write_double(ret, value, false);
}

// By its name where that says all.
static void encode_initializer(const struct layer_spec *layer, struct buffer *ret)
{
    const char *name = initializer_name(layer->initializer);
    const char *option = initializer_option(layer->initializer).name;
    if (!option) {
        buffer_format(ret, ",\"initializer\":\"%s\"", name);
        return;
    }
    buffer_format(ret, ",\"initializer\":{\"type\":\"%s\",\"%s\":", name, option);
    write_double(ret, layer->initializer_value, false);
    buffer_char(ret, '}');
}

static void encode_regularizer(const struct tensor_rule *rule, const char *name, struct buffer *ret)
{
    const bool l1 = rule->l1 > 0, l2 = rule->l2 > 0;
    if (!l1 && !l2) {
        buffer_format(ret, ",\"%s\":null", name);
        return;
    }
    buffer_format(ret, ",\"%s\":{\"type\":\"%s\"", name, !l2 ? "l1" : !l1 ? "l2" : "l1_l2");
    if (l1)
        encode_number_field("l1", rule->l1, ret);
    if (l2)
        encode_number_field("l2", rule->l2, ret);
    buffer_char(ret, '}');
}

static void encode_constraint(const struct tensor_rule *rule, const char *name, struct buffer *ret)
{
    if (rule->max_norm <= 0) {
        buffer_format(ret, ",\"%s\":null", name);
        return;
    }
    buffer_format(ret, ",\"%s\":{\"type\":\"max_norm\"", name);
    encode_number_field("max_value", rule->max_norm, ret);
    buffer_char(ret, '}');
}

static void encode_rules(const struct layer_spec *layer, struct buffer *ret)
{
    for (size_t t = 0; t < LAYER_TENSORS && layer_rule_names(layer, t); t++) {
        encode_regularizer(&layer->rules[t], layer_rule_names(layer, t)->regularizer, ret);
        encode_constraint(&layer->rules[t], layer_rule_names(layer, t)->constraint, ret);
    }
}

static void encode_dense(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_format(ret, ",\"units\":%zu", layer->units);
    encode_initializer(layer, ret);
    buffer_format(ret, ",\"use_bias\":%s", layer->use_bias ? "true" : "false");
}

static void encode_batch_norm(const struct layer_spec *layer, struct buffer *ret)
{
    encode_number_field("momentum", layer->momentum, ret);
    encode_number_field("epsilon", layer->epsilon, ret);
}

static void encode_layer_norm(const struct layer_spec *layer, struct buffer *ret)
{
    encode_number_field("epsilon", layer->epsilon, ret);
}

static void encode_activation(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_format(ret, ",\"function\":\"%s\"", activation_name(layer->activation));
    const char *option = activation_option(layer->activation).name;
    if (option)
        encode_number_field(option, layer->alpha, ret);
}

static void encode_dropout(const struct layer_spec *layer, struct buffer *ret)
{
    encode_number_field("rate", layer->rate, ret);
}

static void encode_residual(const struct layer_spec *layer, struct buffer *ret)
{
    const char *projection = layer->projection == PROJECTION_AUTO   ? "null"
                             : layer->projection == PROJECTION_NONE ? "false"
                                                                    : "true";
    buffer_format(ret, ",\"projection\":%s", projection);
    encode_initializer(layer, ret);
}

static void (*const layer_encoders[])(const struct layer_spec *, struct buffer *) = {
    [LAYER_TYPE_DENSE] = encode_dense,           [LAYER_TYPE_BATCH_NORM] = encode_batch_norm,
    [LAYER_TYPE_LAYER_NORM] = encode_layer_norm, [LAYER_TYPE_ACTIVATION] = encode_activation,
    [LAYER_TYPE_DROPOUT] = encode_dropout,       [LAYER_TYPE_ALPHA_DROPOUT] = encode_dropout,
    [LAYER_TYPE_RESIDUAL] = encode_residual,
};
_Static_assert(sizeof layer_encoders / sizeof *layer_encoders == LAYER_TYPE_COUNT,
               "each type of layer has its encoder");

static size_t branch_of(const struct layer_spec *layer)
{
    return layer->type == LAYER_TYPE_RESIDUAL ? layer->branch : 0;
}

// Layers begin to end - 1, the residuals' own within them: the last one is written last.
static void encode_layers(const struct train_spec *train, size_t begin, size_t end, struct buffer *ret)
{
    if (begin == end)
        return;
    const struct layer_spec *layer = &train->layers[end - 1];
    const size_t first = end - 1 - branch_of(layer);
    encode_layers(train, begin, first, ret);
    buffer_format(ret, "%s{\"type\":\"%s\"", first > begin ? "," : "", layer_type_name(layer->type));
    if (first < end - 1) {
        buffer_text(ret, ",\"layers\":[");
        encode_layers(train, first, end - 1, ret);
        buffer_char(ret, ']');
    }
    layer_encoders[layer->type](layer, ret);
    encode_rules(layer, ret);
    buffer_char(ret, '}');
}

static void encode_model(const struct train_spec *train, struct buffer *ret)
{
    buffer_text(ret, ",\"model\":{\"layers\":[");
    encode_layers(train, 0, train->layer_count, ret);
    buffer_format(ret, "],\"append_output\":%s}", train->output_written ? "false" : "true");
}

static void encode_pos_weight(const struct train_spec *train, struct buffer *ret)
{
    if (train->pos_weight_count == 0)
        return;
    buffer_text(ret, ",\"pos_weight\":");
    write_doubles(ret, train->pos_weight, train->pos_weight_count, false);
}

static void encode_class_weights(const struct train_spec *train, struct buffer *ret)
{
    buffer_text(ret, ",\"class_weights\":");
    if (train->class_weights_balanced)
        buffer_text(ret, "\"balanced\"");
    else if (train->class_weight_count > 0)
        write_doubles(ret, train->class_weights, train->class_weight_count, false);
    else
        buffer_text(ret, "null");
}

static void encode_loss(const struct train_spec *train, struct buffer *ret)
{
    const struct nabla_loss *loss = &train->loss;
    buffer_format(ret, ",\"loss\":{\"type\":\"%s\",\"input\":\"%s\",\"convention\":\"%s\"",
                  nabla_loss_type_name(loss->type), loss->input == NABLA_LOGITS ? "logits" : "probabilities",
                  nabla_convention_name(loss->convention));
    encode_class_weights(train, ret);
    encode_pos_weight(train, ret);
    if (loss->has_ignore_index)
        buffer_format(ret, ",\"ignore_index\":%" PRId64, loss->ignore_index);
    else
        buffer_text(ret, ",\"ignore_index\":null");
    for (size_t i = 0; i < loss_option_count; i++) {
        double value = *(const double *)((const char *)loss + loss_options[i].offset);
        if (!(loss_options[i].types & (1U << loss->type)))
            continue;
        buffer_format(ret, ",\"%s\":", loss_options[i].name);
        write_double(ret, value, true); // NaN: "none", as in alpha
    }
    buffer_char(ret, '}');
}

static void encode_options(const struct spec_options *options, unsigned type, const void *object,
                           struct buffer *ret)
{
    for (size_t i = 0; i < options->number_count; i++) {
        const struct spec_option *option = &options->numbers[i];
        if (!(option->types & 1U << type))
            continue;
        buffer_format(ret, ",\"%s\":", option->name);
        write_double(ret, *(const double *)(const void *)((const char *)object + option->offset), false);
    }
    for (size_t i = 0; i < options->flag_count; i++) {
        const bool flag = *(const bool *)((const char *)object + options->flags[i].offset);
        if (options->flags[i].types & 1U << type)
            buffer_format(ret, ",\"%s\":%s", options->flags[i].name, flag ? "true" : "false");
    }
}

// A number where that says all.
static void encode_learning_rate(const struct optimizer_spec *optimizer, struct buffer *ret)
{
    const struct schedule_spec *schedule = &optimizer->schedule;
    if (schedule->type == SCHEDULE_CONSTANT && schedule->warmup_steps <= 0) {
        write_double(ret, optimizer->learning_rate, false);
        return;
    }
    buffer_format(ret, "{\"schedule\":\"%s\",\"%s\":", schedule_name(schedule->type),
                  schedule_rate_name(schedule->type));
    write_double(ret, optimizer->learning_rate, false);
    encode_options(&schedule_options, (unsigned)schedule->type, schedule, ret);
    buffer_char(ret, '}');
}

static void encode_optimizer(const struct optimizer_spec *optimizer, struct buffer *ret)
{
    buffer_format(ret, ",\"optimizer\":{\"type\":\"%s\",\"learning_rate\":", optimizer_name(optimizer->type));
    encode_learning_rate(optimizer, ret);
    encode_options(&optimizer_options, (unsigned)optimizer->type, optimizer, ret);
    if (optimizer_has_placement(optimizer->type))
        buffer_format(ret, ",\"epsilon_placement\":\"%s\"",
                      epsilon_placement_name(optimizer->epsilon_placement));
    buffer_char(ret, '}');
}

static void encode_early_stopping(const struct early_stopping *stopping, struct buffer *ret)
{
    if (!stopping->active) {
        buffer_text(ret, ",\"early_stopping\":null");
        return;
    }
    buffer_format(ret, ",\"early_stopping\":{\"monitor\":\"%s\"", monitor_name(stopping->monitor));
    encode_options(&early_stopping_options, 0, stopping, ret);
    buffer_char(ret, '}');
}

static void encode_streaming(const struct train_spec *train, struct buffer *ret)
{
    if (train->streaming != STREAMING_AUTO)
        buffer_format(ret, ",\"streaming\":%s", train->streaming == STREAMING_ALWAYS ? "true" : "false");
    if (train->shuffle_buffer > 0)
        buffer_format(ret, ",\"shuffle_buffer\":%zu", train->shuffle_buffer);
}

static void encode_training(const struct train_spec *train, struct buffer *ret)
{
    buffer_format(ret,
                  ",\"training\":{\"epochs\":%zu,\"batch_size\":%zu,\"validation_split\":", train->epochs,
                  train->batch_size);
    write_double(ret, train->validation_split, false);
    buffer_format(
        ret, ",\"split\":\"%s\",\"seed\":%" PRIu64 ",\"shuffle\":%s,\"standardize\":%s,\"scaling\":\"%s\"",
        train->split == SPLIT_LAST ? "last" : "stratified", train->seed, train->shuffle ? "true" : "false",
        train->scaling == SCALING_STANDARDIZE ? "true" : "false", scaling_name(train->scaling));
    encode_streaming(train, ret);
    buffer_format(ret, ",\"missing\":\"%s\",\"missing_value\":", missing_name(train->missing));
    write_double(ret, train->missing_value, false);
    encode_early_stopping(&train->early_stopping, ret);
    buffer_format(ret, ",\"stop_on_nan\":%s,\"time_limit\":", train->stop_on_nan ? "true" : "false");
    write_double(ret, train->time_limit, false);
    buffer_text(ret, ",\"checkpoint_every_seconds\":");
    write_double(ret, train->checkpoint_every_seconds, false);
    buffer_format(ret, ",\"threads\":%zu}", train->threads);
}

static void encode_initial(const struct initial_weights *initial, struct buffer *ret)
{
    if (initial->kind == INITIAL_JOB)
        buffer_format(ret, ",\"initial_weights\":{\"job\":\"%s\"}", initial->job);
    else if (initial->kind == INITIAL_POSTED)
        buffer_text(ret, ",\"initial_weights\":{\"posted\":true}");
}

enum nabla_code spec_to_json(const struct job_spec *spec, struct buffer *ret, struct nabla_error *err)
{
    buffer_format(ret, "{\"schema_version\":%d,\"name\":", SPEC_SCHEMA_VERSION);
    buffer_json_string(ret, spec->name ? spec->name : "");
    if (spec->source.kind == SOURCE_ID)
        buffer_format(ret, ",\"dataset\":\"%s\"", spec->source.id);
    if (spec->parts & SPEC_MODEL)
        encode_model(&spec->train, ret);
    if (spec->parts & SPEC_LOSS)
        encode_loss(&spec->train, ret);
    if (spec->parts & SPEC_OPTIMIZER)
        encode_optimizer(&spec->train.optimizer, ret);
    if (spec->parts & SPEC_TRAINING)
        encode_training(&spec->train, ret);
    encode_initial(&spec->initial, ret);
    buffer_format(
        ret, ",\"telemetry\":{\"every\":%zu,\"histograms_every\":%zu},\"retries\":%u,\"executor\":\"%s\"}",
        spec->train.telemetry_every, spec->train.histograms_every, spec->retries,
        job_executor_name(spec->executor));
    return buffer_status(ret, "the job's document", err);
}
