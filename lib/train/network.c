#include "train/network.h"

#include "base/size.h"
#include "math/matrix.h"
#include "train/adam.h"
#include "train/clip.h"
#include "train/layer.h"
#include "train/tensor_rule.h"

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

static struct layer *trained_layer(const struct network *network, size_t i)
{
    return &network->layers[network->trained[i]];
}

ENGINE void network_accumulate(struct network *network, size_t index, size_t count)
{
    const bool last = index + 1 == count;
    for (size_t i = 0; i < network->trained_count; i++) {
        struct layer *layer = trained_layer(network, i);
        for (size_t j = 0; j < layer->size.parameters; j++) {
            const real sum = (index > 0 ? layer->sum[j] : 0) + layer->gradient[j];
            layer->sum[j] = sum;
            if (last)
                layer->gradient[j] = sum / (real)count;
        }
    }
}

ENGINE double network_penalty(const struct network *network)
{
    double sum = 0;
    for (size_t i = 0; i < network->trained_count; i++) {
        const struct layer *layer = trained_layer(network, i);
        const size_t first = layer->size.first;
        sum += tensor_penalty(&layer->spec->rules[0], layer->parameters, first);
        sum +=
            tensor_penalty(&layer->spec->rules[1], layer->parameters + first, layer->size.parameters - first);
    }
    return sum;
}

ENGINE void network_penalty_gradient(struct network *network)
{
    for (size_t i = 0; i < network->trained_count; i++) {
        struct layer *layer = trained_layer(network, i);
        const size_t first = layer->size.first;
        tensor_penalty_gradient(&layer->spec->rules[0], layer->gradient, layer->parameters, first);
        tensor_penalty_gradient(&layer->spec->rules[1], layer->gradient + first, layer->parameters + first,
                                layer->size.parameters - first);
    }
}

static struct optimizer_range layer_range(const struct layer *layer, size_t first, size_t count, real *change)
{
    struct optimizer_range range = {
        .parameters = layer->parameters + first,
        .gradient = layer->gradient + first,
        .change = change,
        .count = count,
    };
    for (int slot = 0; slot < OPTIMIZER_SLOTS_MAX; slot++)
        range.slots[slot] = layer->slots[slot] ? layer->slots[slot] + first : NULL;
    return range;
}

static double gradient_square(const struct layer *layer, size_t first, size_t count)
{
    struct summary sum = {0};
    summary_weights(&sum, layer->gradient + first, count);
    return sum.sum_square;
}

// How a layer's gradient is clipped: its two tensors, weight and bias or gamma and beta, by scales of their
// own.
struct layer_clip {
    bool active;
    size_t second; // where the second tensor starts
    real scales[2], limit;
};

static struct layer_clip layer_clip_new(const struct layer *layer, const struct optimizer_step *step,
                                        double global_scale)
{
    const size_t count = layer->size.parameters;
    struct layer_clip clip = {
        .active = step->clip_value > 0 || step->clip_norm > 0 || step->global_clip_norm > 0,
        .second = layer->size.first,
        .scales = {(real)global_scale, (real)global_scale},
        .limit = step->clip_value > 0 ? (real)step->clip_value : (real)INFINITY,
    };
    if (step->clip_norm > 0) {
        clip.scales[0] = (real)clip_scale(gradient_square(layer, 0, clip.second), step->clip_norm);
        clip.scales[1] =
            (real)clip_scale(gradient_square(layer, clip.second, count - clip.second), step->clip_norm);
    }
    return clip;
}

// A block of the layer's gradient from `first` on, which may reach into the second tensor.
static const real *clip_block(struct network *network, const struct layer *layer,
                              const struct layer_clip *clip, size_t first, size_t count)
{
    const real *gradient = layer->gradient + first;
    const size_t left = clip->second > first ? clip->second - first : 0, before = left < count ? left : count;
    clip_apply(network->clipped, gradient, clip->scales[0], clip->limit, before);
    clip_apply(network->clipped + before, gradient + before, clip->scales[1], clip->limit, count - before);
    return network->clipped;
}

static double global_clip_scale(const struct network *network, const struct optimizer_step *step)
{
    if (step->global_clip_norm <= 0)
        return 1;
    double square = 0;
    for (size_t i = 0; i < network->trained_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        square += gradient_square(layer, 0, layer->size.parameters);
    }
    return clip_scale_global(square, step->global_clip_norm);
}

// The average moves, and where the step says so it takes the parameters' place.
static void average_block(const struct optimizer_step *step, real *average, real *w, size_t count)
{
    const real momentum = step->ema_momentum, complement = step->ema_complement;
    for (size_t i = 0; i < count; i++)
        average[i] = momentum * average[i] + complement * w[i];
    if (step->ema_overwrites)
        memcpy(w, average, count * sizeof *w);
}

#ifdef NABLA_REAL_DOUBLE
static bool update_fused(struct layer *layer, const struct optimizer_step *step,
                         const struct layer_clip *clip, struct update_summary *summary)
{
    (void)layer, (void)step, (void)clip, (void)summary;
    return false;
}
#else
// The whole layer in one pass, where there is a kernel for it and nothing comes between.
static bool update_fused(struct layer *layer, const struct optimizer_step *step,
                         const struct layer_clip *clip, struct update_summary *summary)
{
    if (clip->active || layer->average || !adam_is_fused(step))
        return false;
    const struct optimizer_range range = layer_range(layer, 0, layer->size.parameters, NULL);
    if (summary && isnan(summary->square_before))
        summary->square_before = adam_square_sum(range.parameters, range.count);
    adam_apply_fused(step, &range, summary);
    return true;
}
#endif

// Each block of parameters is updated and summed up while it is in the cache.
static void update_blocks(struct network *network, struct layer *layer, const struct optimizer_step *step,
                          const struct layer_clip *clip, struct update_summary *summary)
{
    struct summary before = {0};
    const bool unknown = summary && isnan(summary->square_before);
    for (size_t i = 0; i < layer->size.parameters; i += UPDATE_BLOCK) {
        size_t left = layer->size.parameters - i, count = left < UPDATE_BLOCK ? left : UPDATE_BLOCK;
        struct optimizer_range range = layer_range(layer, i, count, network->change);
        if (clip->active)
            range.gradient = clip_block(network, layer, clip, i, count);
        if (unknown)
            summary_weights(&before, range.parameters, count);
        optimizer_apply(step, &range);
        if (layer->average)
            average_block(step, layer->average + i, range.parameters, count);
        if (!summary)
            continue;
        summary_gradient(&summary->gradient, layer->gradient + i, count);
        summary_weights(&summary->weights, range.parameters, count);
        summary_change(&summary->change, range.change, count);
    }
    if (unknown)
        summary->square_before = before.sum_square;
}

static void limit_norms(struct layer *layer, struct update_summary *summary)
{
    const struct tensor_rule *rules = layer->spec->rules;
    const size_t first = layer->size.first, rest = layer->size.parameters - first;
    if (rules[0].max_norm <= 0 && rules[1].max_norm <= 0)
        return;
    const size_t columns = layer->spec->type == LAYER_TYPE_DENSE || layer->spec->type == LAYER_TYPE_RESIDUAL
                               ? layer->size.outputs
                               : 1;
    tensor_limit_norm(&rules[0], layer->parameters, first / columns, columns);
    tensor_limit_norm(&rules[1], layer->parameters + first, rest, 1);
    if (!summary)
        return;
    summary->weights = (struct summary){0};
    summary_weights(&summary->weights, layer->parameters, layer->size.parameters);
}

ENGINE void network_update(struct network *network, const struct optimizer_step *step,
                           struct update_summary *summaries)
{
    const double global_scale = global_clip_scale(network, step);
    for (size_t i = 0; i < network->trained_count; i++) {
        struct layer *layer = trained_layer(network, i);
        const struct layer_clip clip = layer_clip_new(layer, step, global_scale);
        if (summaries)
            summaries[i] = (struct update_summary){.square_before = summaries[i].square_before};
        if (!update_fused(layer, step, &clip, summaries ? &summaries[i] : NULL))
            update_blocks(network, layer, step, &clip, summaries ? &summaries[i] : NULL);
        limit_norms(layer, summaries ? &summaries[i] : NULL);
    }
}

ENGINE void network_swap_average(struct network *network)
{
    for (size_t i = 0; network->average && i < network->parameter_count; i++) {
        const real kept = network->state[i];
        network->state[i] = network->average[i];
        network->average[i] = kept;
    }
}

ENGINE void network_keep_best(struct network *network)
{
    memcpy(network->best, network->state, network->parameter_count * sizeof *network->best);
    memcpy(network->best + network->parameter_count, network->running,
           network->running_count * sizeof *network->best);
}

ENGINE void network_restore_best(struct network *network)
{
    memcpy(network->state, network->best, network->parameter_count * sizeof *network->best);
    memcpy(network->running, network->best + network->parameter_count,
           network->running_count * sizeof *network->best);
}
