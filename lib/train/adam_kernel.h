// Adam's pass in the words of math/wide_avx512.h or math/wide_avx2.h, whichever was included before.
#ifndef NABLA_TRAIN_ADAM_KERNEL_H
#define NABLA_TRAIN_ADAM_KERNEL_H

#include "math/summary_kernel.h"
#include "train/adam.h"

struct adam {
    vec keep, rate, epsilon, complement_1, complement_2;
};

// A block goes in two loops, one with the roots and one with the quotients: their latencies then overlap, and
// what there is to be told finds its place beside each.
struct block {
    const struct adam *adam;
    float *w, *m, *v;
    const float *g;
    float *room; // roots, then changes
};

INLINE void find_root(const struct block *block, size_t i, size_t count, struct gradient_sums *sums,
                      const size_t turn)
{
    const struct adam *adam = block->adam;
    const vec g = vec_load(block->g + i, count);
    const vec m = vec_load(block->m + i, count), v = vec_load(block->v + i, count);
    const vec first = vec_fmadd(vec_sub(g, m), adam->complement_1, m);
    const vec second = vec_fmadd(vec_fmsub(g, g, v), adam->complement_2, v);
    vec_store(block->room + i, vec_add(vec_sqrt(second), adam->epsilon), LANES);
    vec_store(block->m + i, first, count);
    vec_store(block->v + i, second, count);
    if (sums)
        see_gradient(sums, g, count, turn);
}

struct moved {
    struct weights_sums weights;
    struct change_sums change;
};

INLINE void move_weights(const struct block *block, size_t i, size_t count, struct moved *sums,
                         const size_t turn)
{
    const struct adam *adam = block->adam;
    const vec before = vec_load(block->w + i, count), first = vec_load(block->m + i, count);
    const vec quotient = vec_div(vec_mul(adam->rate, first), vec_load(block->room + i, LANES));
    const vec move = vec_keep(quotient, count); // beyond: maybe 0 / 0
    const vec after = vec_fmsub(before, adam->keep, move);
    vec_store(block->w + i, after, count);
    if (!sums)
        return;
    const vec change = vec_sub(after, before);
    vec_store(block->room + i, change, LANES);
    see_weights(&sums->weights, after, turn);
    see_change(&sums->change, change, turn);
}

INLINE struct gradient_sums find_roots(const struct block *block, size_t count, bool told)
{
    struct gradient_sums sums = {0}, *see = told ? &sums : NULL;
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        find_root(block, i, LANES, see, 0);
        find_root(block, i + LANES, LANES, see, 1);
    }
    for (; i < count; i += LANES)
        find_root(block, i, count - i < LANES ? count - i : LANES, see, 0);
    return sums;
}

INLINE struct moved move_block(const struct block *block, size_t count, bool told)
{
    struct moved sums = {0}, *see = told ? &sums : NULL;
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        move_weights(block, i, LANES, see, 0);
        move_weights(block, i + LANES, LANES, see, 1);
    }
    for (; i < count; i += LANES)
        move_weights(block, i, count - i < LANES ? count - i : LANES, see, 0);
    return sums;
}

INLINE void step_block(const struct block *block, size_t count, struct update_summary *summary)
{
    const struct gradient_sums gradient = find_roots(block, count, summary != NULL);
    const struct moved moved = move_block(block, count, summary != NULL);
    if (!summary)
        return;
    tell_gradient(&summary->gradient, &gradient, block->g, count);
    tell_weights(&summary->weights, &moved.weights, block->w, count);
    tell_change(&summary->change, &moved.change, block->room, count);
}

INLINE void step_all(const struct optimizer_step *step, const struct optimizer_range *range,
                     struct update_summary *summary)
{
    float room[BLOCK] __attribute__((uninitialized)); // by the build, which zeroes what is not
    const struct adam adam = {vec_all(step->keep), vec_all(step->rate), vec_all(step->epsilon),
                              vec_all(step->complement_1), vec_all(step->complement_2)};
    struct block block = {&adam, range->parameters, range->slots[0], range->slots[1], range->gradient, room};
    size_t left = range->count;
    for (; left >= BLOCK; left -= BLOCK) {
        step_block(&block, BLOCK, summary);
        block.w += BLOCK;
        block.m += BLOCK;
        block.v += BLOCK;
        block.g += BLOCK;
    }
    if (left > 0)
        step_block(&block, left, summary);
}

static void adam_pass(const struct optimizer_step *step, const struct optimizer_range *range,
                      struct update_summary *summary)
{
    if (summary)
        step_all(step, range, summary);
    else
        step_all(step, range, NULL);
}

#endif
