#include "train/network.h"

#include "base/size.h"
#include "math/matrix.h"
#include "train/layer.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Takes `count` numbers, rounded up to whole vectors, off the front of a slab. Sizes were checked by
// network_measure.
static real *carve(real **slab, size_t count)
{
    size_t padded = 0;
    (void)size_pad(count, &padded);
    real *part = *slab;
    *slab += padded;
    return part;
}

static size_t widest_output(const struct network *network)
{
    size_t widest = network->inputs;
    for (size_t i = 0; i < network->layer_count; i++)
        if (network->layers[i].size.outputs > widest)
            widest = network->layers[i].size.outputs;
    return widest;
}

// Carves the parameters, or as much for each of them.
static real *carve_parameters(struct network *network, real **slab, size_t offset)
{
    real *begin = *slab;
    for (size_t i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        *(real **)((char *)layer + offset) = carve(slab, layer->size.parameters);
    }
    return begin;
}

static void carve_state(struct network *network, const struct train_spec *spec)
{
    real *slab = network->state;
    const size_t slots = optimizer_slots(spec->optimizer.type);
    carve_parameters(network, &slab, offsetof(struct layer, parameters));
    network->parameter_count = (size_t)(slab - network->state);
    for (size_t slot = 0; slot < slots; slot++)
        carve_parameters(network, &slab, offsetof(struct layer, slots) + slot * sizeof(real *));
    if (spec->optimizer.use_ema)
        network->average = carve_parameters(network, &slab, offsetof(struct layer, average));
    network->running = slab;
    for (size_t i = 0; i < network->layer_count; i++)
        network->layers[i].running = carve(&slab, network->layers[i].size.running);
    network->running_count = (size_t)(slab - network->running);
    if (spec->early_stopping.active && spec->early_stopping.restore_best)
        network->best = slab;
}

static void carve_work(struct network *network, bool accumulates)
{
    real *slab = network->work;
    const size_t rows = network->rows_max;
    const real *input = network->input = carve(&slab, rows * network->inputs);
    for (size_t i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        layer->input = input;
        input = layer->output = carve(&slab, rows * layer->size.outputs);
        layer->gradient = carve(&slab, layer->size.parameters);
        layer->cache = carve(&slab, layer->size.cache);
    }
    if (accumulates)
        carve_parameters(network, &slab, offsetof(struct layer, sum));
    for (int i = 0; i < 2; i++)
        network->gradients[i] = carve(&slab, rows * widest_output(network));
}

static enum nabla_code allocate_slabs(struct network *network, const struct train_spec *spec,
                                      struct nabla_error *err)
{
    struct network_size size;
    size_t state, work;
    if (!network_measure(spec, network->inputs, network->rows_max, &size) ||
        !network_slabs(spec, &size, &state, &work))
        return nabla_fail(err, NABLA_LIMIT, "/model/layers", "the network does not fit into any memory");
    network->state = size_alloc(state, 1, sizeof(real));
    network->work = size_alloc(work, 1, sizeof(real));
    if (!network->state || !network->work)
        return nabla_fail_memory(err, "the network");
    network->state_count = state;
    carve_state(network, spec);
    carve_work(network, network_accumulates(spec));
    return NABLA_OK;
}

static bool is_norm(enum layer_type type)
{
    return type == LAYER_TYPE_BATCH_NORM || type == LAYER_TYPE_LAYER_NORM;
}

// Behind a dense layer, up to the next one or the edge of a branch, the last activation makes what the layer
// "puts out"; without one the last normalisation; without either the dense layer itself. Dropout's zeros are
// not its outputs. Other layers' outputs are their own.
static size_t find_observed(const struct network *network, size_t i)
{
    size_t observed = i;
    if (network->layers[i].spec->type != LAYER_TYPE_DENSE)
        return observed;
    for (size_t j = i + 1; j < network->layer_count && !network->layers[j].shortcuts; j++) {
        enum layer_type type = network->layers[j].spec->type, before = network->layers[observed].spec->type;
        if (type == LAYER_TYPE_DENSE || type == LAYER_TYPE_RESIDUAL)
            break;
        if (type == LAYER_TYPE_ACTIVATION || (is_norm(type) && before != LAYER_TYPE_ACTIVATION))
            observed = j;
    }
    return observed;
}

static void name_layer(struct network *network, size_t i, size_t numbers[LAYER_TYPE_COUNT])
{
    struct layer *layer = &network->layers[i];
    network->trained[network->trained_count++] = i;
    snprintf(layer->name, sizeof layer->name, "%s_%zu", layer_type_name(layer->spec->type),
             ++numbers[layer->spec->type]);
}

static void join_branch(struct network *network, size_t i)
{
    struct layer *residual = &network->layers[i];
    residual->branch = residual - residual->spec->branch;
    residual->next_shortcut = residual->branch->shortcuts;
    residual->branch->shortcuts = residual;
}

static void describe_layers(struct network *network, const struct train_spec *spec)
{
    size_t numbers[LAYER_TYPE_COUNT] = {0};
    network->outputs = network->inputs;
    for (size_t i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        layer->spec = &spec->layers[i];
        (void)layer_measure(spec, i, network->inputs, network->rows_max, &layer->size);
        (void)size_pad(layer->size.parameters, &layer->stride);
        network->outputs = layer->size.outputs;
        if (layer->size.parameters > 0)
            name_layer(network, i, numbers);
        if (layer->spec->type == LAYER_TYPE_RESIDUAL)
            join_branch(network, i);
    }
    for (size_t i = 0; i < network->layer_count; i++)
        network->layers[i].observed = find_observed(network, i);
}

ENGINE enum nabla_code network_describe(const struct train_spec *spec, size_t inputs, size_t rows_max,
                                        struct network **ret, struct nabla_error *err)
{
    struct network *network = size_alloc(1, 1, sizeof *network);
    if (!network)
        return nabla_fail_memory(err, "the network");
    network->inputs = inputs;
    network->rows_max = rows_max;
    network->layer_count = spec->layer_count;
    network->layers = size_alloc(spec->layer_count, 1, sizeof *network->layers);
    network->trained = size_alloc(spec->layer_count, 1, sizeof *network->trained);
    if (!network->layers || !network->trained) {
        network_free(network);
        return nabla_fail_memory(err, "the network's layers");
    }
    describe_layers(network, spec);
    *ret = network;
    return NABLA_OK;
}

ENGINE enum nabla_code network_new(const struct train_spec *spec, size_t inputs, size_t rows_max,
                                   struct network **ret, struct nabla_error *err)
{
    struct network *network = NULL;
    enum nabla_code code = network_describe(spec, inputs, rows_max, &network, err);
    if (code != NABLA_OK)
        return code;
    code = allocate_slabs(network, spec, err);
    if (code != NABLA_OK) {
        network_free(network);
        return code;
    }
    *ret = network;
    return NABLA_OK;
}

ENGINE void network_free(struct network *network)
{
    if (!network)
        return;
    free(network->work);
    free(network->state);
    free(network->trained);
    free(network->layers);
    free(network);
}

ENGINE void network_initialize(struct network *network, struct random *random)
{
    memset(network->state, 0, network->state_count * sizeof *network->state);
    for (size_t i = 0; i < network->layer_count; i++)
        layer_initialize(&network->layers[i], random);
}

ENGINE const real *network_forward(struct network *network, size_t rows, enum network_mode mode)
{
    for (size_t i = 0; i < network->layer_count; i++)
        layer_forward(&network->layers[i], rows, mode, &network->random);
    return network->layer_count ? network->layers[network->layer_count - 1].output : network->input;
}

ENGINE real *network_loss_gradient(struct network *network)
{
    return network->gradients[0];
}

// Ends at the first layer that has something to learn: what the data would have to change is not asked.
ENGINE void network_backward(struct network *network, size_t rows)
{
    const size_t first = network->trained[0];
    real *output_gradient = network->gradients[0], *input_gradient = network->gradients[1];
    for (size_t i = network->layer_count; i-- > first;) {
        layer_backward(&network->layers[i], i > first ? input_gradient : NULL, output_gradient, rows);
        real *done = output_gradient;
        output_gradient = input_gradient;
        input_gradient = done;
    }
}
