// struct job_spec → the expanded document: every default spelled out, in the order that people read.
#include "api/spec.h"
#include "api/spec_decode.h"
#include "api/write.h"
#include "train/spec_option.h"

#include <inttypes.h>
#include <math.h>

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

static void encode_dense(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_format(ret, ",\"units\":%zu", layer->units);
    encode_initializer(layer, ret);
    buffer_format(ret, ",\"use_bias\":%s", layer->use_bias ? "true" : "false");
}

static void encode_batch_norm(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_text(ret, ",\"momentum\":");
    write_double(ret, layer->momentum, false);
    buffer_text(ret, ",\"epsilon\":");
    write_double(ret, layer->epsilon, false);
}

static void encode_activation(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_format(ret, ",\"function\":\"%s\"", activation_name(layer->activation));
    const char *option = activation_option(layer->activation).name;
    if (!option)
        return;
    buffer_format(ret, ",\"%s\":", option);
    write_double(ret, layer->alpha, false);
}

static void encode_dropout(const struct layer_spec *layer, struct buffer *ret)
{
    buffer_text(ret, ",\"rate\":");
    write_double(ret, layer->rate, false);
}

static void (*const layer_encoders[])(const struct layer_spec *, struct buffer *) = {
    [LAYER_TYPE_DENSE] = encode_dense,
    [LAYER_TYPE_BATCH_NORM] = encode_batch_norm,
    [LAYER_TYPE_ACTIVATION] = encode_activation,
    [LAYER_TYPE_DROPOUT] = encode_dropout,
};
_Static_assert(sizeof layer_encoders / sizeof *layer_encoders == LAYER_TYPE_COUNT,
               "each type of layer has its encoder");

static void encode_model(const struct train_spec *train, struct buffer *ret)
{
    buffer_text(ret, ",\"model\":{\"layers\":[");
    for (size_t i = 0; i < train->layer_count; i++) {
        const struct layer_spec *layer = &train->layers[i];
        buffer_format(ret, "%s{\"type\":\"%s\"", i ? "," : "", layer_type_name(layer->type));
        layer_encoders[layer->type](layer, ret);
        buffer_char(ret, '}');
    }
    buffer_format(ret, "],\"append_output\":%s}", train->output_written ? "false" : "true");
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

static void encode_training(const struct train_spec *train, struct buffer *ret)
{
    buffer_format(ret,
                  ",\"training\":{\"epochs\":%zu,\"batch_size\":%zu,\"validation_split\":", train->epochs,
                  train->batch_size);
    write_double(ret, train->validation_split, false);
    buffer_format(ret, ",\"split\":\"%s\",\"seed\":%" PRIu64 ",\"shuffle\":%s,\"standardize\":%s",
                  train->split == SPLIT_LAST ? "last" : "stratified", train->seed,
                  train->shuffle ? "true" : "false", train->standardize ? "true" : "false");
    buffer_text(ret, ",\"checkpoint_every_seconds\":");
    write_double(ret, train->checkpoint_every_seconds, false);
    buffer_char(ret, '}');
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
    buffer_format(ret, ",\"telemetry\":{\"every\":%zu},\"retries\":%u,\"executor\":\"%s\"}",
                  spec->train.telemetry_every, spec->retries, job_executor_name(spec->executor));
    return buffer_status(ret, "the job's document", err);
}
