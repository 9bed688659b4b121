// The layers of a job: a typed list in which shorthands are expanded.
//
//     {"units": 64, "activation": "relu", "batch_norm": true, "dropout": 0.1}
//         → dense, batch_norm, activation, dropout
//     {"type": "dense", "units": 64, "activation": "relu"}
//         → dense, activation
//     {"type": "residual", "layers": […]}
//         → its layers, then residual
#include "api/spec_decode.h"

#include <float.h>
#include <stdio.h>

// The list on its way: which dense layers named their initialiser decides who gets the default.
struct layer_list {
    struct job_spec *spec;
    struct problems *problems;
    size_t written; // index in the document, within the innermost list
    unsigned depth; // of residuals around it
    bool has_initializer[SPEC_LAYERS_MAX];
};

static const char *layer_type_at(int value)
{
    return layer_type_name((enum layer_type)value);
}

static const char *activation_at(int value)
{
    return activation_name((enum activation)value);
}

static const char *initializer_at(int value)
{
    return initializer_name((enum initializer)value);
}

static const struct choice layer_types = {layer_type_at, layer_type_find, LAYER_TYPE_COUNT};
static const struct choice activations = {activation_at, activation_find, ACTIVATION_COUNT};
static const struct choice initializers = {initializer_at, initializer_find, INITIALIZER_COUNT};

enum { UNITS_MAX = 1 << 24, NO_TYPE = -1, DEPTH_MAX = 8 };

static void layer_add(struct layer_list *list, const struct layer_spec *layer, bool has_initializer)
{
    struct train_spec *train = &list->spec->train;
    struct nabla_error err = {0};
    if (train->layer_count >= SPEC_LAYERS_MAX - 1) { // one stays free for the output layer
        if (train->layer_count == SPEC_LAYERS_MAX - 1 && list->problems->count == 0)
            problems_add(list->problems, "/model/layers", "has more than %d layers", SPEC_LAYERS_MAX - 1);
        return;
    }
    list->spec->written_at[train->layer_count] = (uint16_t)list->written;
    list->has_initializer[train->layer_count] = has_initializer;
    if (spec_add_layer(train, layer, &err))
        problems_add_error(list->problems, "/model/layers", &err);
}

// "he_normal", or {"type": "normal", "stddev": 0.1}.
static void initializer_decode(struct fields *fields, struct layer_spec *ret)
{
    char pointer[160];
    int type;
    fields_pointer(fields, "initializer", pointer);
    struct fields own = typed_begin(fields_value(fields, "initializer"), pointer, fields->problems,
                                    (int)ret->initializer, &initializers, &type);
    ret->initializer = (enum initializer)type;
    const struct initializer_option option = initializer_option(ret->initializer);
    if (option.name)
        ret->initializer_value = fields_number(&own, option.name, option.absent, option.least, FLT_MAX);
    fields_end(&own);
}

static void dense_add(struct layer_list *list, struct fields *fields)
{
    struct layer_spec dense = layer_defaults(LAYER_TYPE_DENSE);
    if (!fields_has(fields, "units"))
        fields_problem(fields, "units", "is missing: a dense layer wants its number of units");
    dense.units = (size_t)fields_whole(fields, "units", 1, 1, UNITS_MAX);
    dense.use_bias = fields_bool(fields, "use_bias", dense.use_bias);
    initializer_decode(fields, &dense);
    layer_rules_decode(fields, &dense);
    layer_add(list, &dense, fields_has(fields, "initializer"));
}

// "activation" of a shorthand; linear needs no layer.
static void activation_add_named(struct layer_list *list, struct fields *fields)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_ACTIVATION);
    layer.activation =
        (enum activation)choice_read(fields, "activation", (int)ACTIVATION_LINEAR, &activations);
    layer.alpha = activation_option(layer.activation).absent;
    if (layer.activation != ACTIVATION_LINEAR)
        layer_add(list, &layer, false);
}

static void shorthand_decode(struct layer_list *list, struct fields *fields)
{
    struct layer_spec norm = layer_defaults(LAYER_TYPE_BATCH_NORM);
    struct layer_spec dropout = layer_defaults(LAYER_TYPE_DROPOUT);
    dense_add(list, fields);
    if (fields_bool(fields, "batch_norm", false))
        layer_add(list, &norm, false);
    activation_add_named(list, fields);
    dropout.rate = fraction_read(fields, "dropout", 0);
    if (dropout.rate > 0)
        layer_add(list, &dropout, false);
}

static void dense_decode(struct layer_list *list, struct fields *fields)
{
    dense_add(list, fields);
    activation_add_named(list, fields);
}

static void batch_norm_decode(struct layer_list *list, struct fields *fields)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_BATCH_NORM);
    layer.momentum = fraction_read(fields, "momentum", layer.momentum);
    layer.epsilon = fields_number(fields, "epsilon", layer.epsilon, DBL_MIN, 1);
    layer_rules_decode(fields, &layer);
    layer_add(list, &layer, false);
}

static void layer_norm_decode(struct layer_list *list, struct fields *fields)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_LAYER_NORM);
    layer.epsilon = fields_number(fields, "epsilon", layer.epsilon, DBL_MIN, 1);
    layer_rules_decode(fields, &layer);
    layer_add(list, &layer, false);
}

static void activation_decode(struct layer_list *list, struct fields *fields)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_ACTIVATION);
    if (!fields_has(fields, "function"))
        fields_problem(fields, "function", "is missing: an activation layer wants the name of its function");
    layer.activation = (enum activation)choice_read(fields, "function", (int)layer.activation, &activations);
    const struct activation_option option = activation_option(layer.activation);
    if (option.name)
        layer.alpha = fields_number(fields, option.name, option.absent, 0, option.most);
    layer_add(list, &layer, false);
}

static void dropout_add(struct layer_list *list, struct fields *fields, enum layer_type type)
{
    struct layer_spec layer = layer_defaults(type);
    layer.rate = fraction_read(fields, "rate", layer.rate);
    layer_add(list, &layer, false);
}

static void dropout_decode(struct layer_list *list, struct fields *fields)
{
    dropout_add(list, fields, LAYER_TYPE_DROPOUT);
}

static void alpha_dropout_decode(struct layer_list *list, struct fields *fields)
{
    dropout_add(list, fields, LAYER_TYPE_ALPHA_DROPOUT);
}

static void layers_decode(struct layer_list *list, const json_t *layers, const char *pointer);

// Its own layers, at least one.
static void branch_decode(struct layer_list *list, struct fields *fields)
{
    char pointer[160];
    const json_t *layers = fields_value(fields, "layers");
    if (!json_is_array(layers) || json_array_size(layers) == 0)
        fields_problem(fields, "layers", "must be a list of at least one layer");
    else if (list->depth == DEPTH_MAX)
        fields_problem(fields, "layers", "residuals are nested more than %d deep", DEPTH_MAX);
    else {
        const size_t written = list->written;
        fields_pointer(fields, "layers", pointer);
        list->depth++;
        layers_decode(list, layers, pointer);
        list->depth--;
        list->written = written;
    }
}

static void residual_decode(struct layer_list *list, struct fields *fields)
{
    const size_t begin = list->spec->train.layer_count;
    struct layer_spec layer = layer_defaults(LAYER_TYPE_RESIDUAL);
    branch_decode(list, fields);
    layer.branch = list->spec->train.layer_count - begin;
    if (fields_has(fields, "projection"))
        layer.projection = fields_bool(fields, "projection", false) ? PROJECTION_DENSE : PROJECTION_NONE;
    initializer_decode(fields, &layer);
    layer_rules_decode(fields, &layer);
    layer_add(list, &layer, true);
}

static void (*const layer_decoders[])(struct layer_list *, struct fields *) = {
    [LAYER_TYPE_DENSE] = dense_decode,           [LAYER_TYPE_BATCH_NORM] = batch_norm_decode,
    [LAYER_TYPE_LAYER_NORM] = layer_norm_decode, [LAYER_TYPE_ACTIVATION] = activation_decode,
    [LAYER_TYPE_DROPOUT] = dropout_decode,       [LAYER_TYPE_ALPHA_DROPOUT] = alpha_dropout_decode,
    [LAYER_TYPE_RESIDUAL] = residual_decode,
};
_Static_assert(sizeof layer_decoders / sizeof *layer_decoders == LAYER_TYPE_COUNT,
               "each type of layer has its decoder");

static void layer_decode(struct layer_list *list, const json_t *value, const char *pointer)
{
    if (!json_is_object(value)) {
        problems_add(list->problems, pointer, "must be an object such as {\"units\": 64}");
        return;
    }
    struct fields fields = fields_begin(value, pointer, list->problems);
    if (!fields_has(&fields, "type")) {
        shorthand_decode(list, &fields);
        fields_end(&fields);
        return;
    }
    int type = choice_read(&fields, "type", NO_TYPE, &layer_types);
    if (type == NO_TYPE) // already a problem; its other fields cannot be judged
        return;
    layer_decoders[type](list, &fields);
    fields_end(&fields);
}

static void layers_decode(struct layer_list *list, const json_t *layers, const char *pointer)
{
    char place[128]; // DEPTH_MAX keeps it short enough
    for (list->written = 0; list->written < json_array_size(layers); list->written++) {
        snprintf(place, sizeof place, "%.104s/%zu", pointer, list->written);
        layer_decode(list, json_array_get(layers, list->written), place);
    }
}

// The activation that a dense layer's output meets before the next dense layer.
static enum activation activation_behind(const struct train_spec *train, size_t dense)
{
    for (size_t i = dense + 1; i < train->layer_count; i++) {
        if (train->layers[i].type == LAYER_TYPE_DENSE)
            break;
        if (train->layers[i].type == LAYER_TYPE_ACTIVATION)
            return train->layers[i].activation;
    }
    return ACTIVATION_LINEAR;
}

static void initializers_default(struct layer_list *list)
{
    struct train_spec *train = &list->spec->train;
    for (size_t i = 0; i < train->layer_count; i++)
        if (train->layers[i].type == LAYER_TYPE_DENSE && !list->has_initializer[i])
            train->layers[i].initializer = initializer_for(activation_behind(train, i));
}

void model_decode(const json_t *value, struct problems *problems, struct job_spec *ret)
{
    struct layer_list list = {.spec = ret, .problems = problems};
    struct fields fields = fields_begin(value, "/model", problems);
    const json_t *layers = fields_value(&fields, "layers");
    ret->train.output_written = !fields_bool(&fields, "append_output", true);
    fields_end(&fields);
    if (layers && !json_is_array(layers)) {
        fields_problem(&fields, "layers", "must be a list of layers");
        return;
    }
    layers_decode(&list, layers, "/model/layers");
    initializers_default(&list);
}
