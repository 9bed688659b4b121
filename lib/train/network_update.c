// What becomes of a network's gradients: gathered, clipped, spent on an update; and what is kept of its
// weights.
#include "math/summary_shared.h"
#include "train/clip.h"
#include "train/layer_update.h"
#include "train/tensor_rule.h"

#include <math.h>
#include <string.h>

ENGINE void network_accumulate(struct network *network, size_t index, size_t count)
{
    const bool last = index + 1 == count;
    for (size_t i = 0; i < network->trained_count; i++) {
        struct layer *layer = network_trained(network, i);
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
        const struct layer *layer = network_trained(network, i);
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
        struct layer *layer = network_trained(network, i);
        const size_t first = layer->size.first;
        tensor_penalty_gradient(&layer->spec->rules[0], layer->gradient, layer->parameters, first);
        tensor_penalty_gradient(&layer->spec->rules[1], layer->gradient + first, layer->parameters + first,
                                layer->size.parameters - first);
    }
}

static double gradient_square(const struct layer *layer, size_t first, size_t count)
{
    return summary_shared(summary_weights, layer->gradient + first, count).sum_square;
}

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

ENGINE double network_gradient_square(const struct network *network)
{
    double square = 0;
    for (size_t i = 0; i < network->trained_count; i++) {
        const struct layer *layer = &network->layers[network->trained[i]];
        square += gradient_square(layer, 0, layer->size.parameters);
    }
    return square;
}

static double global_clip_scale(const struct network *network, const struct optimizer_step *step)
{
    return step->global_clip_norm > 0
               ? clip_scale_global(network_gradient_square(network), step->global_clip_norm)
               : 1;
}

ENGINE void network_update(struct network *network, const struct optimizer_step *step,
                           struct update_summary *summaries)
{
    const double global_scale = global_clip_scale(network, step);
    for (size_t i = 0; i < network->trained_count; i++) {
        struct layer *layer = network_trained(network, i);
        const struct layer_clip clip = layer_clip_new(layer, step, global_scale);
        if (summaries)
            summaries[i] = (struct update_summary){.square_before = summaries[i].square_before};
        layer_update(layer, step, &clip, summaries ? &summaries[i] : NULL);
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
