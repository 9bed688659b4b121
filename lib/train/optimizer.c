#include "train/optimizer.h"

#include "math/vectorised.h"

#include <math.h>

#ifdef NABLA_REAL_DOUBLE
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

static VECTORISED void sgd_apply(const struct optimizer_step *step, real *restrict w, const real *restrict g,
                                 real *restrict m, real *restrict unused, real *restrict change, size_t count)
{
    (void)unused;
    const real rate = step->rate, momentum = step->momentum;
    const bool nesterov = step->nesterov;
    for (size_t i = 0; i < count; i++) {
        real velocity = m[i] * momentum - g[i] * rate;
        real before = w[i];
        m[i] = velocity;
        w[i] = before + (nesterov ? velocity * momentum - g[i] * rate : velocity);
        change[i] = w[i] - before;
    }
}

static VECTORISED void adam_apply(const struct optimizer_step *step, real *restrict w, const real *restrict g,
                                  real *restrict m, real *restrict v, real *restrict change, size_t count)
{
    const real rate = step->rate, epsilon = step->epsilon;
    const real complement_1 = step->complement_1, complement_2 = step->complement_2;
    for (size_t i = 0; i < count; i++) {
        real first = m[i] + (g[i] - m[i]) * complement_1;
        real second = v[i] + (g[i] * g[i] - v[i]) * complement_2;
        real before = w[i];
        m[i] = first;
        v[i] = second;
        w[i] = before - rate * first / (SQRT(second) + epsilon);
        change[i] = w[i] - before;
    }
}

static struct optimizer_step sgd_step(const struct optimizer_spec *spec, uint64_t step)
{
    (void)step;
    return (struct optimizer_step){
        .rate = (real)spec->learning_rate,
        .momentum = (real)spec->momentum,
        .nesterov = spec->nesterov,
    };
}

static struct optimizer_step adam_step(const struct optimizer_spec *spec, uint64_t step)
{
    const double correction_1 = 1 - pow(spec->beta_1, (double)step);
    const double correction_2 = sqrt(1 - pow(spec->beta_2, (double)step));
    const bool corrected = spec->epsilon_placement == EPSILON_CORRECTED;
    return (struct optimizer_step){
        .rate = (real)(spec->learning_rate * correction_2 / correction_1),
        .complement_1 = (real)(1 - spec->beta_1),
        .complement_2 = (real)(1 - spec->beta_2),
        .epsilon = (real)(corrected ? spec->epsilon * correction_2 : spec->epsilon),
    };
}

static const struct {
    struct optimizer_step (*step)(const struct optimizer_spec *spec, uint64_t step);
    void (*apply)(const struct optimizer_step *step, real *w, const real *g, real *slot_1, real *slot_2,
                  real *change, size_t count);
} optimizers[] = {
    [OPTIMIZER_SGD] = {sgd_step, sgd_apply},
    [OPTIMIZER_ADAM] = {adam_step, adam_apply},
};
_Static_assert(sizeof optimizers / sizeof *optimizers == OPTIMIZER_COUNT, "every optimiser has a row");

ENGINE struct optimizer_step optimizer_step_new(const struct optimizer_spec *spec, uint64_t step)
{
    struct optimizer_step made = optimizers[spec->type].step(spec, step);
    made.type = spec->type;
    return made;
}

ENGINE void optimizer_apply(const struct optimizer_step *step, const struct optimizer_range *range)
{
    optimizers[step->type].apply(step, range->parameters, range->gradient, range->slots[0], range->slots[1],
                                 range->change, range->count);
}
