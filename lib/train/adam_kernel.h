// Adam's pass in the words of math/wide_avx512.h or math/wide_avx2.h, whichever was included before.
#ifndef NABLA_TRAIN_ADAM_KERNEL_H
#define NABLA_TRAIN_ADAM_KERNEL_H

#include "math/summary_kernel.h"
#include "train/adam.h"

struct adam {
    vec keep, rate, epsilon, complement_1, complement_2;
};

struct told {
    struct told_gradient gradient;
    struct told_weights weights;
    struct told_change change;
};

INLINE void step_vector(const struct adam *adam, const struct optimizer_range *range, size_t i, size_t count,
                        struct told *told)
{
    float *w = range->parameters + i, *m = range->slots[0] + i, *v = range->slots[1] + i;
    const vec g = vec_load(range->gradient + i, count), before = vec_load(w, count);
    const vec old_m = vec_load(m, count), old_v = vec_load(v, count);
    const vec first = vec_fmadd(vec_sub(g, old_m), adam->complement_1, old_m);
    const vec second = vec_fmadd(vec_fmsub(g, g, old_v), adam->complement_2, old_v);
    const vec root = vec_add(vec_sqrt(second), adam->epsilon);
    const vec move = vec_keep(vec_div(vec_mul(adam->rate, first), root), count); // beyond: maybe 0 / 0
    const vec after = vec_fmsub(before, adam->keep, move);
    vec_store(m, first, count);
    vec_store(v, second, count);
    vec_store(w, after, count);
    if (!told)
        return;
    tell_change(&told->change, vec_sub(after, before));
    if (SUMS_FIT) {
        tell_gradient(&told->gradient, g, count);
        tell_weights(&told->weights, after, 0);
    }
}

INLINE void step_range(const struct adam *adam, const struct optimizer_range *range, size_t first, size_t end,
                       struct told *told)
{
    size_t i = first;
    for (; i + LANES <= end; i += LANES)
        step_vector(adam, range, i, LANES, told);
    if (i < end)
        step_vector(adam, range, i, end - i, told);
}

// What the first-level cache holds of all that an update touches.
enum { BLOCK = 1024 };

INLINE void step_all(const struct optimizer_step *step, const struct optimizer_range *range,
                     struct told *told)
{
    const struct adam adam = {vec_all(step->keep), vec_all(step->rate), vec_all(step->epsilon),
                              vec_all(step->complement_1), vec_all(step->complement_2)};
    const size_t turn = SUMS_FIT || !told ? range->count : BLOCK;
    for (size_t first = 0; first < range->count; first += turn) {
        const size_t left = range->count - first, count = left < turn ? left : turn;
        step_range(&adam, range, first, first + count, told);
        if (SUMS_FIT || !told)
            continue;
        tell_gradients(&told->gradient, range->gradient + first, count);
        tell_all_weights(&told->weights, range->parameters + first, count);
    }
}

static void adam_pass(const struct optimizer_step *step, const struct optimizer_range *range,
                      struct update_summary *summary)
{
    if (!summary) {
        step_all(step, range, NULL);
        return;
    }
    struct told told = {0};
    step_all(step, range, &told);
    merge_gradient(&summary->gradient, &told.gradient, range->gradient, range->count);
    merge_weights(&summary->weights, &told.weights, range->parameters, range->count);
    merge_change(&summary->change, &told.change, range->count);
}

#endif
