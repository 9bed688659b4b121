#include "train/model.h"

#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_NAME_SIZE = LAYER_NAME_SIZE + 20, TENSORS_PER_LAYER = 4, TENSORS_OF_DATA = 2 };

struct model {
    size_t count;
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

static void add_dense(struct model *model, const struct layer *layer)
{
    const size_t inputs = layer->size.inputs, units = layer->size.outputs;
    add_tensor(model, layer->name, "weight", layer->parameters, inputs, units);
    if (layer->spec->use_bias)
        add_tensor(model, layer->name, "bias", layer->parameters + inputs * units, 0, units);
}

static void add_batch_norm(struct model *model, const struct layer *layer)
{
    const size_t units = layer->size.outputs;
    add_tensor(model, layer->name, "gamma", layer->parameters, 0, units);
    add_tensor(model, layer->name, "beta", layer->parameters + units, 0, units);
    add_tensor(model, layer->name, "running_mean", layer->running, 0, units);
    add_tensor(model, layer->name, "running_variance", layer->running + units, 0, units);
}

static void add_layer_norm(struct model *model, const struct layer *layer)
{
    const size_t units = layer->size.outputs;
    add_tensor(model, layer->name, "gamma", layer->parameters, 0, units);
    add_tensor(model, layer->name, "beta", layer->parameters + units, 0, units);
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
    if (data->standardized) {
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
