#include "train/optimizer.h"

#include "math/vectorised.h"

#include <math.h>

#ifdef NABLA_REAL_DOUBLE
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

static VECTORISED void sgd_apply(const struct optimizer_step *step, real *restrict w, const real *restrict g,
                                 real *restrict m, real *restrict unused_1, real *restrict unused_2,
                                 real *restrict change, size_t count)
{
    (void)unused_1, (void)unused_2;
    const real keep = step->keep;
    const real rate = step->rate, momentum = step->momentum;
    const bool nesterov = step->nesterov;
    for (size_t i = 0; i < count; i++) {
        real velocity = m[i] * momentum - g[i] * rate;
        real before = w[i];
        m[i] = velocity;
        w[i] = before * keep + (nesterov ? velocity * momentum - g[i] * rate : velocity);
        change[i] = w[i] - before;
    }
}

static VECTORISED void adam_apply(const struct optimizer_step *step, real *restrict w, const real *restrict g,
                                  real *restrict m, real *restrict v, real *restrict unused,
                                  real *restrict change, size_t count)
{
    (void)unused;
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    const real complement_1 = step->complement_1, complement_2 = step->complement_2;
    for (size_t i = 0; i < count; i++) {
        real first = m[i] + (g[i] - m[i]) * complement_1;
        real second = v[i] + (g[i] * g[i] - v[i]) * complement_2;
        real before = w[i];
        m[i] = first;
        v[i] = second;
        w[i] = before * keep - rate * first / (SQRT(second) + epsilon);
        change[i] = w[i] - before;
    }
}

static VECTORISED void amsgrad_apply(const struct optimizer_step *step, real *restrict w,
                                     const real *restrict g, real *restrict m, real *restrict v,
                                     real *restrict largest, real *restrict change, size_t count)
{
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    const real complement_1 = step->complement_1, complement_2 = step->complement_2;
    for (size_t i = 0; i < count; i++) {
        real first = m[i] + (g[i] - m[i]) * complement_1;
        real second = v[i] + (g[i] * g[i] - v[i]) * complement_2;
        real most = second > largest[i] ? second : largest[i];
        real before = w[i];
        m[i] = first;
        v[i] = second;
        largest[i] = most;
        w[i] = before * keep - rate * first / (SQRT(most) + epsilon);
        change[i] = w[i] - before;
    }
}

static VECTORISED void nadam_apply(const struct optimizer_step *step, real *restrict w,
                                   const real *restrict g, real *restrict m, real *restrict v,
                                   real *restrict unused, real *restrict change, size_t count)
{
    (void)unused;
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    const real rate_gradient = step->rate_gradient;
    const real complement_1 = step->complement_1, complement_2 = step->complement_2;
    for (size_t i = 0; i < count; i++) {
        real first = m[i] + (g[i] - m[i]) * complement_1;
        real second = v[i] + (g[i] * g[i] - v[i]) * complement_2;
        real before = w[i];
        m[i] = first;
        v[i] = second;
        w[i] = before * keep - (rate * first + rate_gradient * g[i]) / (SQRT(second) + epsilon);
        change[i] = w[i] - before;
    }
}

// Rounding alone can make v − a² negative.
static VECTORISED void rmsprop_apply(const struct optimizer_step *step, real *restrict w,
                                     const real *restrict g, real *restrict v, real *restrict m,
                                     real *restrict mean, real *restrict change, size_t count)
{
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon, momentum = step->momentum;
    const real rho = step->rho, complement_rho = step->complement_rho;
    const bool centered = step->centered;
    for (size_t i = 0; i < count; i++) {
        real square = v[i] * rho + g[i] * g[i] * complement_rho;
        real average = centered ? mean[i] * rho + g[i] * complement_rho : 0;
        real variance = square - average * average;
        variance = variance < 0 ? 0 : variance;
        real velocity = m[i] * momentum + g[i] * rate / SQRT(variance + epsilon);
        real before = w[i];
        v[i] = square;
        mean[i] = average;
        m[i] = velocity;
        w[i] = before * keep - velocity;
        change[i] = w[i] - before;
    }
}

// The slot starts at 0: what the accumulator starts at is part of step->epsilon.
static VECTORISED void adagrad_apply(const struct optimizer_step *step, real *restrict w,
                                     const real *restrict g, real *restrict sum, real *restrict unused_1,
                                     real *restrict unused_2, real *restrict change, size_t count)
{
    (void)unused_1, (void)unused_2;
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    for (size_t i = 0; i < count; i++) {
        real square = sum[i] + g[i] * g[i];
        real before = w[i];
        sum[i] = square;
        w[i] = before * keep - rate * g[i] / SQRT(square + epsilon);
        change[i] = w[i] - before;
    }
}

static VECTORISED void adadelta_apply(const struct optimizer_step *step, real *restrict w,
                                      const real *restrict g, real *restrict square, real *restrict moved,
                                      real *restrict unused, real *restrict change, size_t count)
{
    (void)unused;
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    const real rho = step->rho, complement_rho = step->complement_rho;
    for (size_t i = 0; i < count; i++) {
        real mean = square[i] * rho + g[i] * g[i] * complement_rho;
        real delta = g[i] * (SQRT(moved[i] + epsilon) / SQRT(mean + epsilon));
        real before = w[i];
        square[i] = mean;
        moved[i] = moved[i] * rho + delta * delta * complement_rho;
        w[i] = before * keep - rate * delta;
        change[i] = w[i] - before;
    }
}

static VECTORISED void adamax_apply(const struct optimizer_step *step, real *restrict w,
                                    const real *restrict g, real *restrict m, real *restrict u,
                                    real *restrict unused, real *restrict change, size_t count)
{
    (void)unused;
    const real keep = step->keep;
    const real rate = step->rate, epsilon = step->epsilon;
    const real complement_1 = step->complement_1, beta_2 = step->rho;
    for (size_t i = 0; i < count; i++) {
        real first = m[i] + (g[i] - m[i]) * complement_1;
        real magnitude = g[i] < 0 ? -g[i] : g[i], decayed = u[i] * beta_2;
        real most = decayed > magnitude ? decayed : magnitude;
        real before = w[i];
        m[i] = first;
        u[i] = most;
        w[i] = before * keep - rate * first / (most + epsilon);
        change[i] = w[i] - before;
    }
}

// The sign of NaN is NaN.
static VECTORISED void lion_apply(const struct optimizer_step *step, real *restrict w, const real *restrict g,
                                  real *restrict m, real *restrict unused_1, real *restrict unused_2,
                                  real *restrict change, size_t count)
{
    (void)unused_1, (void)unused_2;
    const real keep = step->keep;
    const real rate = step->rate;
    const real complement_1 = step->complement_1, complement_2 = step->complement_2;
    for (size_t i = 0; i < count; i++) {
        real direction = m[i] + (g[i] - m[i]) * complement_1;
        real sign = direction > 0 ? 1 : direction < 0 ? -1 : direction;
        real before = w[i];
        m[i] += (g[i] - m[i]) * complement_2;
        w[i] = before * keep - rate * sign;
        change[i] = w[i] - before;
    }
}

static struct optimizer_step sgd_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    (void)step;
    return (struct optimizer_step){
        .rate = (real)rate,
        .momentum = (real)spec->momentum,
        .nesterov = spec->nesterov,
    };
}

static struct optimizer_step adam_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    const double correction_1 = 1 - pow(spec->beta_1, (double)step);
    const double correction_2 = sqrt(1 - pow(spec->beta_2, (double)step));
    const bool corrected = spec->epsilon_placement == EPSILON_CORRECTED;
    return (struct optimizer_step){
        .rate = (real)(rate * correction_2 / correction_1),
        .complement_1 = (real)(1 - spec->beta_1),
        .complement_2 = (real)(1 - spec->beta_2),
        .epsilon = (real)(corrected ? spec->epsilon * correction_2 : spec->epsilon),
    };
}

// P_t = u_1⋯u_t. Made anew in each step, so that a step depends on nothing but its number; what follows once
// the product is below half a unit in the last place of 1 − P makes no difference.
static double nadam_product(double beta_1, uint64_t step)
{
    double product = 1, power = 1;
    for (uint64_t t = 1; t <= step && product > 1e-17; t++) {
        power *= 0.96;
        product *= beta_1 * (1 - 0.5 * power);
    }
    return product;
}

static struct optimizer_step nadam_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    const double share = spec->beta_1 * (1 - 0.5 * pow(0.96, (double)step));
    const double next = spec->beta_1 * (1 - 0.5 * pow(0.96, (double)step + 1));
    const double product = nadam_product(spec->beta_1, step);
    const double correction = sqrt(1 - pow(spec->beta_2, (double)step));
    return (struct optimizer_step){
        .rate = (real)(rate * correction * next / (1 - product * next)),
        .rate_gradient = (real)(rate * correction * (1 - share) / (1 - product)),
        .complement_1 = (real)(1 - spec->beta_1),
        .complement_2 = (real)(1 - spec->beta_2),
        .epsilon = (real)(spec->epsilon * correction),
    };
}

static struct optimizer_step rmsprop_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    (void)step;
    return (struct optimizer_step){
        .rate = (real)rate,
        .momentum = (real)spec->momentum,
        .rho = (real)spec->rho,
        .complement_rho = (real)(1 - spec->rho),
        .epsilon = (real)spec->epsilon,
        .centered = spec->centered,
    };
}

static struct optimizer_step adagrad_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    (void)step;
    return (struct optimizer_step){
        .rate = (real)rate,
        .epsilon = (real)(spec->initial_accumulator_value + spec->epsilon),
    };
}

static struct optimizer_step adamax_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    return (struct optimizer_step){
        .rate = (real)(rate / (1 - pow(spec->beta_1, (double)step))),
        .complement_1 = (real)(1 - spec->beta_1),
        .rho = (real)spec->beta_2,
        .epsilon = (real)spec->epsilon,
    };
}

static struct optimizer_step lion_step(const struct optimizer_spec *spec, double rate, uint64_t step)
{
    (void)step;
    return (struct optimizer_step){
        .rate = (real)rate,
        .complement_1 = (real)(1 - spec->beta_1),
        .complement_2 = (real)(1 - spec->beta_2),
    };
}

static const struct {
    struct optimizer_step (*step)(const struct optimizer_spec *spec, double rate, uint64_t step);
    void (*apply)(const struct optimizer_step *step, real *w, const real *g, real *slot_1, real *slot_2,
                  real *slot_3, real *change, size_t count);
} optimizers[] = {
    [OPTIMIZER_SGD] = {sgd_step, sgd_apply},
    [OPTIMIZER_ADAM] = {adam_step, adam_apply},
    [OPTIMIZER_ADAMW] = {adam_step, adam_apply},
    [OPTIMIZER_AMSGRAD] = {adam_step, amsgrad_apply},
    [OPTIMIZER_NADAM] = {nadam_step, nadam_apply},
    [OPTIMIZER_RMSPROP] = {rmsprop_step, rmsprop_apply},
    [OPTIMIZER_ADAGRAD] = {adagrad_step, adagrad_apply},
    [OPTIMIZER_ADADELTA] = {rmsprop_step, adadelta_apply},
    [OPTIMIZER_ADAMAX] = {adamax_step, adamax_apply},
    [OPTIMIZER_LION] = {lion_step, lion_apply},
};
_Static_assert(sizeof optimizers / sizeof *optimizers == OPTIMIZER_COUNT, "every optimiser has a row");

ENGINE struct optimizer_step optimizer_step_new(const struct optimizer_spec *spec, double learning_rate,
                                                uint64_t step)
{
    struct optimizer_step made = optimizers[spec->type].step(spec, learning_rate, step);
    made.type = spec->type;
    made.clip_value = spec->clip_value;
    made.clip_norm = spec->clip_norm;
    made.global_clip_norm = spec->global_clip_norm;
    made.ema_momentum = (real)(step > 1 ? spec->ema_momentum : 0);
    made.ema_complement = (real)(step > 1 ? 1 - spec->ema_momentum : 1);
    made.ema_overwrites =
        spec->ema_overwrite_frequency > 0 && step % (uint64_t)spec->ema_overwrite_frequency == 0;
    made.keep = (real)(1 - learning_rate * spec->weight_decay);
    return made;
}

ENGINE void optimizer_apply(const struct optimizer_step *step, const struct optimizer_range *range)
{
    optimizers[step->type].apply(step, range->parameters, range->gradient, range->slots[0], range->slots[1],
                                 range->slots[2], range->change, range->count);
}
