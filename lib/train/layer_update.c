#include "train/layer_update.h"

#include "base/crew.h"
#include "train/clip.h"
#include "train/tensor_rule.h"

#include <math.h>
#include <string.h>

#ifndef NABLA_REAL_DOUBLE
#include "train/adam.h"
#endif

enum {
    PARTS = 64,          // of a layer, at most
    PART_LEAST = 1 << 14 // parameters of one, else
};

// What one turn works through: small enough to stay in the first-level cache between the update and its
// summaries.
enum { UPDATE_BLOCK = 2048 };

typedef void range_update(const struct optimizer_step *step, const struct optimizer_range *range,
                          struct update_summary *summary);

struct work {
    struct layer *layer;
    const struct optimizer_step *step;
    const struct layer_clip *clip;
    range_update *fused;                    // all in one pass, where there is a kernel for it; or NULL
    size_t part;                            // parameters of one
    bool unknown;                           // whether the square sum of what was before is asked for
    struct update_summary *summary;         // the layer's; NULL where none is asked for
    struct update_summary summaries[PARTS]; // the parts'
};

static struct optimizer_range layer_range(const struct layer *layer, size_t first, size_t count)
{
    struct optimizer_range range = {
        .parameters = layer->parameters + first,
        .gradient = layer->gradient + first,
        .count = count,
    };
    for (int slot = 0; slot < OPTIMIZER_SLOTS_MAX; slot++)
        range.slots[slot] = layer->slots[slot] ? layer->slots[slot] + first : NULL;
    return range;
}

// A block of the layer's gradient from `first` on, which may reach into the second tensor.
static void clip_block(real *clipped, const struct layer *layer, const struct layer_clip *clip, size_t first,
                       size_t count)
{
    const real *gradient = layer->gradient + first;
    const size_t left = clip->second > first ? clip->second - first : 0, before = left < count ? left : count;
    clip_apply(clipped, gradient, clip->scales[0], clip->limit, before);
    clip_apply(clipped + before, gradient + before, clip->scales[1], clip->limit, count - before);
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

// The build zeroes automatic variables; what is written before it is read needs none of that.
#define BARE __attribute__((uninitialized))

static void update_block(const struct work *work, size_t first, size_t count, struct update_summary *summary)
{
    real change[UPDATE_BLOCK] BARE, clipped[UPDATE_BLOCK] BARE;
    const struct layer *layer = work->layer;
    struct optimizer_range range = layer_range(layer, first, count);
    range.change = change;
    if (work->clip->active) {
        clip_block(clipped, layer, work->clip, first, count);
        range.gradient = clipped;
    }
    optimizer_apply(work->step, &range);
    if (layer->average)
        average_block(work->step, layer->average + first, range.parameters, count);
    if (!summary)
        return;
    summary_gradient(&summary->gradient, layer->gradient + first, count);
    summary_weights(&summary->weights, range.parameters, count);
    summary_change(&summary->change, change, count);
}

static size_t part_end(const struct work *work, size_t i)
{
    const size_t end = (i + 1) * work->part, count = work->layer->size.parameters;
    return end < count ? end : count;
}

// In the turns that the update takes, so that Σ w² has the same bits before a step as it had after the one
// before.
static struct summary part_weights(const struct work *work, size_t i)
{
    struct summary sum = {0};
    const size_t end = part_end(work, i), turn = work->fused ? work->part : UPDATE_BLOCK;
    for (size_t first = i * work->part; first < end; first += turn)
        summary_weights(&sum, work->layer->parameters + first, end - first < turn ? end - first : turn);
    return sum;
}

static void update_part(void *context, size_t i)
{
    struct work *work = context;
    struct update_summary *summary = work->summary ? &work->summaries[i] : NULL;
    const size_t end = part_end(work, i);
    if (summary)
        *summary = (struct update_summary){0};
    if (summary && work->unknown)
        summary->square_before = part_weights(work, i).sum_square;
    if (work->fused) {
        const struct optimizer_range range = layer_range(work->layer, i * work->part, end - i * work->part);
        work->fused(work->step, &range, summary);
        return;
    }
    for (size_t first = i * work->part; first < end; first += UPDATE_BLOCK)
        update_block(work, first, end - first < UPDATE_BLOCK ? end - first : UPDATE_BLOCK, summary);
}

static void update_summary_add(struct update_summary *sum, const struct update_summary *part)
{
    summary_add(&sum->gradient, &part->gradient);
    summary_add(&sum->weights, &part->weights);
    summary_add(&sum->change, &part->change);
}

// What the parts found, in their order.
static void sum_parts(struct work *work, size_t parts)
{
    if (work->unknown)
        work->summary->square_before = 0;
    for (size_t i = 0; i < parts; i++) {
        update_summary_add(work->summary, &work->summaries[i]);
        if (work->unknown)
            work->summary->square_before += work->summaries[i].square_before;
    }
}

static bool limits_norms(const struct layer *layer)
{
    return layer->spec->rules[0].max_norm > 0 || layer->spec->rules[1].max_norm > 0;
}

static void limit_norms(struct work *work, size_t parts)
{
    const struct layer *layer = work->layer;
    const struct tensor_rule *rules = layer->spec->rules;
    const size_t first = layer->size.first, rest = layer->size.parameters - first;
    const size_t columns = layer->spec->type == LAYER_TYPE_DENSE || layer->spec->type == LAYER_TYPE_RESIDUAL
                               ? layer->size.outputs
                               : 1;
    tensor_limit_norm(&rules[0], layer->parameters, first / columns, columns);
    tensor_limit_norm(&rules[1], layer->parameters + first, rest, 1);
    if (!work->summary)
        return;
    work->summary->weights = (struct summary){0};
    for (size_t i = 0; i < parts; i++) {
        const struct summary part = part_weights(work, i);
        summary_add(&work->summary->weights, &part);
    }
}

static range_update *find_fused(const struct layer *layer, const struct optimizer_step *step,
                                const struct layer_clip *clip)
{
#ifndef NABLA_REAL_DOUBLE
    return clip->active || layer->average || limits_norms(layer) ? NULL : adam_fused(step);
#else
    (void)layer, (void)step, (void)clip;
    return NULL;
#endif
}

ENGINE void layer_update(struct layer *layer, const struct optimizer_step *step,
                         const struct layer_clip *clip, struct update_summary *summary)
{
    const size_t count = layer->size.parameters, even = (count + PARTS - 1) / PARTS;
    const size_t part =
        even > PART_LEAST ? (even + UPDATE_BLOCK - 1) / UPDATE_BLOCK * UPDATE_BLOCK : PART_LEAST;
    const size_t parts = (count + part - 1) / part;
    struct work work BARE;
    work.layer = layer;
    work.step = step;
    work.clip = clip;
    work.fused = find_fused(layer, step, clip);
    work.part = part;
    work.unknown = summary && isnan(summary->square_before);
    work.summary = summary;
    crew_share(update_part, &work, parts);
    if (summary)
        sum_parts(&work, parts);
    if (limits_norms(layer))
        limit_norms(&work, parts);
}

#undef BARE
