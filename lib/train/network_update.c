// What becomes of a network's gradients: gathered, clipped, spent on an update; and what is kept of its
// weights.
#include "base/crew.h"
#include "train/adam.h"
#include "train/clip.h"
#include "train/network.h"
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

static bool limits_norms(const struct layer *layer)
{
    return layer->spec->rules[0].max_norm > 0 || layer->spec->rules[1].max_norm > 0;
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
enum {
    FUSED_PARTS = 64,     // of a layer, at most
    FUSED_LEAST = 1 << 14 // parameters of a part
};

// A layer's parameters in parts of a size that follows from their number alone, with a summary each: the
// layer's has the same bits whoever took which part.
struct fused_update {
    struct layer *layer;
    const struct optimizer_step *step;
    size_t part;        // parameters of one
    bool told, unknown; // whether summaries are wanted; whether of what was before
    struct update_summary summaries[FUSED_PARTS];
};

static void update_part(void *context, size_t i)
{
    struct fused_update *fused = context;
    const size_t first = i * fused->part, left = fused->layer->size.parameters - first;
    const struct optimizer_range range =
        layer_range(fused->layer, first, left < fused->part ? left : fused->part, NULL);
    struct update_summary *summary = fused->told ? &fused->summaries[i] : NULL;
    if (summary)
        *summary = (struct update_summary){0};
    if (fused->unknown)
        summary->square_before = adam_square_sum(range.parameters, range.count);
    adam_apply_fused(fused->step, &range, summary);
}

static void update_summary_add(struct update_summary *sum, const struct update_summary *part)
{
    summary_add(&sum->gradient, &part->gradient);
    summary_add(&sum->weights, &part->weights);
    summary_add(&sum->change, &part->change);
    sum->square_before += part->square_before;
}

// The layer in one pass, where there is a kernel for it and nothing comes between.
static bool update_fused(struct layer *layer, const struct optimizer_step *step,
                         const struct layer_clip *clip, struct update_summary *summary)
{
    if (clip->active || layer->average || limits_norms(layer) || !adam_is_fused(step))
        return false;
    const size_t count = layer->size.parameters, even = (count + FUSED_PARTS - 1) / FUSED_PARTS;
    struct fused_update fused __attribute__((uninitialized));
    fused.layer = layer;
    fused.step = step;
    fused.part = even > FUSED_LEAST ? (even + 15) / 16 * 16 : FUSED_LEAST;
    fused.told = summary != NULL;
    fused.unknown = summary && isnan(summary->square_before);
    const size_t parts = (count + fused.part - 1) / fused.part;
    crew_share(update_part, &fused, parts);
    if (fused.unknown)
        summary->square_before = 0;
    for (size_t i = 0; summary && i < parts; i++)
        update_summary_add(summary, &fused.summaries[i]);
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
    if (!limits_norms(layer))
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
        struct layer *layer = network_trained(network, i);
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
