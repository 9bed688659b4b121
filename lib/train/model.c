#include "train/model.h"

#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_NAME_SIZE = LAYER_NAME_SIZE + 20, TENSORS_PER_LAYER = 4, TENSORS_OF_DATA = 3 };

struct model {
    size_t count;
    size_t owned; // of them the network's: the first
    struct tensor *tensors;
    char (*names)[TENSOR_NAME_SIZE];
};

static void add_tensor(struct model *model, const char *owner, const char *part, const float *data,
                       size_t rows, size_t columns)
{
    char *name = model->names[model->count];
    snprintf(name, TENSOR_NAME_SIZE, "%s.%s", owner, part);
    struct tensor *tensor = &model->tensors[model->count++];
    *tensor = (struct tensor){
        .name = name,
        .dtype = TENSOR_F32,
        .rank = rows ? 2 : 1,
        .elements = (rows ? rows : 1) * columns,
        .data = data,
    };
    tensor->shape[0] = rows ? rows : columns;
    if (rows)
        tensor->shape[1] = columns;
    tensor->bytes = tensor->elements * sizeof *data;
}

// Where a part of a layer's numbers begins; NULL where the network was only described.
static const float *part_of(const float *numbers, size_t first)
{
    return numbers ? numbers + first : NULL;
}

static void add_dense(struct model *model, const struct layer *layer)
{
    const size_t inputs = layer->size.inputs, units = layer->size.outputs;
    add_tensor(model, layer->name, "weight", layer->parameters, inputs, units);
    if (layer->spec->use_bias)
        add_tensor(model, layer->name, "bias", part_of(layer->parameters, inputs * units), 0, units);
}

static void add_batch_norm(struct model *model, const struct layer *layer)
{
    const size_t units = layer->size.outputs;
    add_tensor(model, layer->name, "gamma", layer->parameters, 0, units);
    add_tensor(model, layer->name, "beta", part_of(layer->parameters, units), 0, units);
    add_tensor(model, layer->name, "running_mean", layer->running, 0, units);
    add_tensor(model, layer->name, "running_variance", part_of(layer->running, units), 0, units);
}

static void add_layer_norm(struct model *model, const struct layer *layer)
{
    const size_t units = layer->size.outputs;
    add_tensor(model, layer->name, "gamma", layer->parameters, 0, units);
    add_tensor(model, layer->name, "beta", part_of(layer->parameters, units), 0, units);
}

static void add_residual(struct model *model, const struct layer *layer)
{
    add_tensor(model, layer->name, "weight", layer->parameters, layer->size.shortcut, layer->size.outputs);
}

static void (*const adders[LAYER_TYPE_COUNT])(struct model *model, const struct layer *layer) = {
    [LAYER_TYPE_DENSE] = add_dense,
    [LAYER_TYPE_BATCH_NORM] = add_batch_norm,
    [LAYER_TYPE_LAYER_NORM] = add_layer_norm,
    [LAYER_TYPE_RESIDUAL] = add_residual,
};

enum nabla_code model_new(const struct network *network, const struct train_data *data, struct model **ret,
                          struct nabla_error *err)
{
    const size_t room = network->trained_count * TENSORS_PER_LAYER + TENSORS_OF_DATA;
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return nabla_fail_memory(err, "the model");
    model->tensors = size_alloc(room, 1, sizeof *model->tensors);
    model->names = size_alloc(room, 1, sizeof *model->names);
    if (!model->tensors || !model->names) {
        model_free(model);
        return nabla_fail_memory(err, "the model's tensors");
    }
    for (size_t i = 0; i < network->trained_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        adders[layer->spec->type](model, layer);
    }
    model->owned = model->count;
    if (data && data->imputed)
        add_tensor(model, "impute", "value", data->imputed, 0, data->source->columns);
    if (data && data->standardized) {
        add_tensor(model, "standardize", "mean", data->standardizer.mean, 0, data->source->columns);
        add_tensor(model, "standardize", "scale", data->standardizer.scale, 0, data->source->columns);
    }
    *ret = model;
    return NABLA_OK;
}

void model_free(struct model *model)
{
    if (!model)
        return;
    free(model->names);
    free(model->tensors);
    free(model);
}

size_t model_tensor_count(const struct model *model)
{
    return model->count;
}

void model_tensors(const struct model *model, struct tensor *ret)
{
    memcpy(ret, model->tensors, model->count * sizeof *ret);
}

static bool is_preprocessing(const char *name)
{
    static const char *const prefixes[] = {"standardize.", "impute."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool has_tensor(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->owned; i++)
        if (strcmp(model->tensors[i].name, name) == 0)
            return true;
    return false;
}

// "4 × 16"
static char *shape_text(const struct tensor *tensor, char ret[64])
{
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < tensor->rank && length < 64; i++)
        length += (size_t)snprintf(ret + length, 64 - length, "%s%zu", i ? " × " : "", tensor->shape[i]);
    return ret;
}

static enum nabla_code fail_tensor(struct nabla_error *err, const char *name, const char *text)
{
    char pointer[TENSOR_NAME_SIZE + 1];
    snprintf(pointer, sizeof pointer, "/%.*s", TENSOR_NAME_SIZE - 1, name);
    return nabla_fail(err, NABLA_INVALID, pointer, "the tensor %.*s %s", TENSOR_NAME_SIZE - 1, name, text);
}

static enum nabla_code check_tensor(const struct tensor *wanted, const struct tensor *given,
                                    struct nabla_error *err)
{
    char shapes[2][64], text[256];
    if (!given)
        return fail_tensor(err, wanted->name, "is missing");
    if (given->dtype != TENSOR_F32 && given->dtype != TENSOR_F64)
        return fail_tensor(err, wanted->name, "must be F32 or F64");
    if (given->rank == wanted->rank &&
        memcmp(given->shape, wanted->shape, wanted->rank * sizeof *wanted->shape) == 0)
        return NABLA_OK;
    snprintf(text, sizeof text, "is %s in the file and %s in this network", shape_text(given, shapes[0]),
             shape_text(wanted, shapes[1]));
    return fail_tensor(err, wanted->name, text);
}

enum nabla_code model_check(const struct model *model, const struct safetensors *file,
                            struct nabla_error *err)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const char *name = file->tensors[i].name;
        if (!is_preprocessing(name) && !has_tensor(model, name))
            return fail_tensor(err, name, "is none of this network");
    }
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < model->owned && code == NABLA_OK; i++)
        code = check_tensor(&model->tensors[i], safetensors_find(file, model->tensors[i].name), err);
    return code;
}

static void take_tensor(const struct tensor *to, const struct tensor *from)
{
    float *numbers = (float *)(uintptr_t)to->data; // the network's, which the model only shows
    if (from->dtype == TENSOR_F32) {
        memcpy(numbers, from->data, from->bytes);
        return;
    }
    for (size_t i = 0; i < from->elements; i++) {
        double number;
        memcpy(&number, (const char *)from->data + i * sizeof number, sizeof number);
        numbers[i] = (float)number;
    }
}

enum nabla_code model_take(struct model *model, const struct safetensors *file, struct nabla_error *err)
{
    enum nabla_code code = model_check(model, file, err);
    for (size_t i = 0; i < model->owned && code == NABLA_OK; i++)
        take_tensor(&model->tensors[i], safetensors_find(file, model->tensors[i].name));
    return code;
}

enum nabla_code model_check_spec(const struct train_spec *spec, size_t columns,
                                 const struct safetensors *file, struct nabla_error *err)
{
    struct network *network = NULL;
    struct model *model = NULL;
    enum nabla_code code = network_describe(spec, columns, 1, &network, err);
    if (code == NABLA_OK)
        code = model_new(network, NULL, &model, err);
    if (code == NABLA_OK)
        code = model_check(model, file, err);
    model_free(model);
    network_free(network);
    return code;
}
