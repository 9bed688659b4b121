// Cross-entropy of class ids against arithmetic of 113 bits (the compiler's __float128; no library needed):
// seeded random rows of many kinds, and the largest deviations in units in the last place of the exact value.
// Shared by the test (a short run) and the bench program (a million rows).
#ifndef NABLA_TESTS_LOSS_TRUTH_H
#define NABLA_TESTS_LOSS_TRUTH_H

#include "math/loss.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { TRUTH_MOST_CLASSES = 300 };

struct truth {
    double loss_ulps, gradient_ulps;   // largest deviations
    double worst_loss, worst_gradient; // the exact values where they occurred
    size_t rows, entries;
};

// exp(x) to about 105 bits: Taylor on x/2^8 after removing multiples of ln 2, then eight squarings.
static __float128 quad_exp(__float128 x)
{
    const __float128 ln2 = 0.693147180559945309417232121458176568075500134360255Q;
    if (x < -12000)
        return 0;
    int n = (int)(x / ln2 + (x < 0 ? -0.5Q : 0.5Q));
    __float128 r = (x - n * ln2) / 256, sum = 1;
    for (int k = 14; k >= 1; k--)
        sum = 1 + sum * r / k;
    for (int i = 0; i < 8; i++)
        sum *= sum;
    for (; n < -1000; n += 1000)
        sum *= (__float128)ldexp(1, -1000);
    return sum * (__float128)ldexp(1, n);
}

// ln(1 + z), z >= 0: a series for the tiny, else one Newton step from the double.
static __float128 quad_log1p(__float128 z)
{
    if (z < 1e-9Q)
        return z * (1 - z * (0.5Q - z * (1 / 3.0Q - z * 0.25Q)));
    __float128 start = z > 1e300Q ? 690 : (__float128)log1p((double)z), y = start;
    for (int i = 0; i < 3; i++) {
        __float128 d = (1 + z) * quad_exp(-y) - 1;
        y += d > 1e-3Q || d < -1e-3Q ? d / (1 + d / 2) : d * (1 - d * (0.5Q - d * (1 / 3.0Q - d / 4)));
    }
    return y;
}

static __float128 quad_abs(__float128 x)
{
    return x < 0 ? -x : x;
}

// |actual - exact| in the spacing of the dtype at `exact`; subnormals have the spacing of the smallest
// normal.
static double truth_ulps(double actual, __float128 exact, enum nabla_dtype dtype)
{
    int digits = dtype == NABLA_FLOAT32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    int least = dtype == NABLA_FLOAT32 ? FLT_MIN_EXP : DBL_MIN_EXP;
    int exponent = 0;
    double nearest = (double)quad_abs(exact);
    if (nearest > quad_abs(exact)) // perhaps up to a power of two, where the spacing doubles
        nearest = nextafter(nearest, 0);
    (void)frexp(nearest, &exponent);
    if (nearest == 0 || exponent < least)
        exponent = least;
    __float128 error = quad_abs((__float128)actual - exact);
    // In two steps: the spacing of the smallest doubles is out of ldexp's normal range.
    return (double)(error * (__float128)ldexp(1, digits - exponent > 1000 ? 1000 : digits - exponent) *
                    (__float128)ldexp(1, digits - exponent > 1000 ? digits - exponent - 1000 : 0));
}

static uint64_t truth_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double truth_uniform(uint64_t *state)
{
    return (double)(truth_random(state) >> 11) * 0x1p-53;
}

// A row of one of many kinds: widths from 0.01 to thousands, a class far ahead or far behind, ties, shifts.
static size_t truth_row(uint64_t *state, double *x, size_t *ret_label)
{
    size_t classes =
        1 + (size_t)(truth_uniform(state) * (truth_random(state) % 16 ? 24 : TRUTH_MOST_CLASSES - 1));
    double width = pow(10, 5.5 * truth_uniform(state) - 2);
    double shift = truth_random(state) % 4 ? 0 : pow(10, 9 * truth_uniform(state) - 1);
    for (size_t j = 0; j < classes; j++)
        x[j] = shift + width * (truth_uniform(state) - 0.5);
    size_t label = (size_t)(truth_uniform(state) * (double)classes);
    switch (truth_random(state) % 5) {
    case 0: // nearly all of the probability
        for (size_t j = 0; j < classes; j++)
            x[label] = fmax(x[label], x[j]);
        x[label] += 100 * truth_uniform(state) * truth_uniform(state);
        break;
    case 1: // nearly none
        x[label] -= 700 * truth_uniform(state) * truth_uniform(state);
        break;
    case 2:
        x[(size_t)(truth_uniform(state) * (double)classes)] = x[0];
        break;
    default:
        break;
    }
    *ret_label = label;
    return classes;
}

static void truth_note(double ulps, __float128 exact, double *worst, double *worst_at)
{
    if (!(ulps <= *worst)) {
        *worst = isnan(ulps) ? INFINITY : ulps;
        *worst_at = (double)exact;
    }
}

// One row: what was computed against the exact loss and gradient.
static void truth_compare(struct truth *truth, enum nabla_dtype dtype, const double *x, size_t classes,
                          size_t label, double loss, const double *gradient)
{
    __float128 e[TRUTH_MOST_CLASSES], others = 0, max = x[0];
    for (size_t j = 0; j < classes; j++)
        max = x[j] > max ? x[j] : max;
    for (size_t j = 0; j < classes; j++) {
        e[j] = quad_exp(x[j] - max);
        others += j == label ? 0 : e[j];
    }
    __float128 total = others + e[label];
    __float128 exact = x[label] < max - 20 ? max - (__float128)x[label] + quad_log1p(total - 1)
                                           : quad_log1p(others / e[label]);
    truth_note(truth_ulps(loss, exact, dtype), exact, &truth->loss_ulps, &truth->worst_loss);
    for (size_t j = 0; j < classes; j++) {
        exact = j == label ? -others / total : e[j] / total;
        truth_note(truth_ulps(gradient[j], exact, dtype), exact, &truth->gradient_ulps,
                   &truth->worst_gradient);
    }
    truth->rows++;
    truth->entries += classes;
}

// Computes one row in the dtype and compares. The scores are rounded to the dtype first. Short rows go as a
// batch of copies every other time: batches of them have a kernel of their own.
static void truth_try(struct truth *truth, enum nabla_dtype dtype, double *x, size_t classes, size_t label)
{
    enum {
        COPIES = 16,
        SHORT = 64,
        ROOM = COPIES * SHORT > TRUTH_MOST_CLASSES ? COPIES * SHORT : TRUTH_MOST_CLASSES
    };
    float narrow[ROOM], narrow_gradient[ROOM], narrow_loss[COPIES];
    double gradient[ROOM], value[COPIES];
    int64_t ids[COPIES];
    bool single = dtype == NABLA_FLOAT32;
    size_t rows = single && classes <= SHORT && truth->rows % 2 ? COPIES : 1;
    for (size_t j = 0; j < classes * rows; j++)
        narrow[j] = (float)x[j % classes];
    for (size_t j = 0; j < classes; j++)
        x[j] = single ? (double)narrow[j] : x[j];
    for (size_t i = 0; i < rows; i++)
        ids[i] = (int64_t)label;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    loss.reduction = NABLA_NONE;
    struct nabla_loss_batch batch = {.dtype = dtype, .rows = rows, .classes = classes, .ids = ids};
    batch.scores = single ? (void *)narrow : (void *)x;
    struct nabla_loss_result result = {.gradient = single ? (void *)narrow_gradient : (void *)gradient,
                                       .per_sample = single ? (void *)narrow_loss : (void *)value};
    if (nabla_loss_compute(&loss, &batch, &result, NULL) != NABLA_OK)
        abort();
    size_t last = rows - 1;
    for (size_t j = 0; j < classes && single; j++)
        gradient[j] = (double)narrow_gradient[last * classes + j];
    truth_compare(truth, dtype, x, classes, label, single ? (double)narrow_loss[last] : value[0], gradient);
}

__attribute__((unused)) static struct truth truth_run(enum nabla_dtype dtype, size_t rows, uint64_t seed)
{
    struct truth truth = {0};
    double x[TRUTH_MOST_CLASSES];
    for (size_t i = 0; i < rows; i++) {
        size_t label;
        size_t classes = truth_row(&seed, x, &label);
        truth_try(&truth, dtype, x, classes, label);
    }
    return truth;
}

#endif
