#include "api/loss_curve.h"

#include "base/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TINY_GRADIENT 1e-7

enum nabla_code loss_curve_make(const struct nabla_loss *loss, enum nabla_dtype dtype, size_t classes,
                                const double *others, struct loss_curve *ret, struct nabla_error *err)
{
    size_t width = dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double);
    *ret = (struct loss_curve){.loss = *loss,
                               .dtype = dtype,
                               .classes = classes,
                               .others = others,
                               .scores = size_alloc(classes, 1, width),
                               .gradient = size_alloc(classes, 1, width)};
    ret->loss.reduction = NABLA_NONE;
    return ret->scores && ret->gradient ? NABLA_OK : nabla_fail_memory(err, "a curve");
}

void loss_curve_free(struct loss_curve *curve)
{
    free(curve->scores);
    free(curve->gradient);
}

static void entry_set(const struct loss_curve *curve, size_t index, double value)
{
    if (curve->dtype == NABLA_FLOAT32)
        ((float *)curve->scores)[index] = (float)value;
    else
        ((double *)curve->scores)[index] = value;
}

static double gradient_at(const struct loss_curve *curve, size_t index)
{
    return curve->dtype == NABLA_FLOAT32 ? (double)((float *)curve->gradient)[index]
                                         : ((double *)curve->gradient)[index];
}

// The row that has this probability: the probabilities themselves, or their logarithms as logits.
static void row_fill(const struct loss_curve *curve, double probability)
{
    bool logits = curve->loss.input == NABLA_LOGITS;
    entry_set(curve, 0, logits ? log(probability) : probability);
    for (size_t j = 1; j < curve->classes; j++) {
        double share = curve->others[j - 1];
        entry_set(curve, j, logits ? log1p(-probability) + log(share) : (1 - probability) * share);
    }
}

static double largest_magnitude(const struct loss_curve *curve)
{
    double largest = 0;
    for (size_t j = 0; j < curve->classes; j++) {
        double value = gradient_at(curve, j);
        if (isnan(value))
            return NAN;
        largest = fmax(largest, fabs(value));
    }
    return largest;
}

enum nabla_code loss_curve_point(const struct loss_curve *curve, double probability, struct curve_point *ret,
                                 struct nabla_error *err)
{
    static const int64_t correct = 0;
    const struct nabla_loss_batch batch = {.dtype = curve->dtype,
                                           .rows = 1,
                                           .classes = curve->classes,
                                           .scores = curve->scores,
                                           .ids = &correct};
    struct nabla_loss_result result = {0};
    if (curve->loss.input == NABLA_LOGITS)
        result.gradient = curve->gradient;
    else
        result.gradient_logits = curve->gradient;
    row_fill(curve, probability);
    enum nabla_code code = nabla_loss_compute(&curve->loss, &batch, &result, err);
    if (!code)
        *ret = (struct curve_point){result.loss, gradient_at(curve, 0), largest_magnitude(curve)};
    return code;
}

// ---- thresholds ----

// Positive numbers in their order, numbered through: halving the numbers finds neighbours in 64 steps.
static uint64_t ordinal_of(enum nabla_dtype dtype, double value)
{
    float narrow = (float)value;
    uint32_t narrow_bits;
    uint64_t bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    memcpy(&bits, &value, sizeof bits);
    return dtype == NABLA_FLOAT32 ? narrow_bits : bits;
}

static double value_of(enum nabla_dtype dtype, uint64_t ordinal)
{
    uint32_t narrow_bits = (uint32_t)ordinal;
    float narrow;
    double value;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    memcpy(&value, &ordinal, sizeof value);
    return dtype == NABLA_FLOAT32 ? (double)narrow : value;
}

// Dead: every entry is below `least`; 0 asks for entries that are exactly 0. A NaN is not dead.
static enum nabla_code point_dead(const struct loss_curve *curve, uint64_t ordinal, double least, bool *ret,
                                  struct nabla_error *err)
{
    struct curve_point point;
    enum nabla_code code = loss_curve_point(curve, value_of(curve->dtype, ordinal), &point, err);
    if (!code)
        *ret = least > 0 ? point.largest < least : point.largest == 0;
    return code;
}

// From the bottom up in decades to the first that lives, then by halves between it and the last that is dead.
static enum nabla_code threshold_find(const struct loss_curve *curve, double least, double *ret,
                                      struct nabla_error *err)
{
    uint64_t half = ordinal_of(curve->dtype, 0.5);
    uint64_t dead = ordinal_of(curve->dtype, CURVE_LOWEST), alive = dead;
    bool is_dead = true;
    enum nabla_code code = point_dead(curve, dead, least, &is_dead, err);
    *ret = NAN;
    if (code || !is_dead)
        return code;
    while (is_dead && alive < half && !code) {
        dead = alive;
        alive = ordinal_of(curve->dtype, fmin(value_of(curve->dtype, dead) * 10, 0.5));
        code = point_dead(curve, alive, least, &is_dead, err);
    }
    if (is_dead)
        dead = alive; // up to one half
    while (!is_dead && alive - dead > 1 && !code) {
        uint64_t middle = dead + (alive - dead) / 2;
        bool middle_dead = false;
        code = point_dead(curve, middle, least, &middle_dead, err);
        *(middle_dead ? &dead : &alive) = middle;
    }
    *ret = value_of(curve->dtype, dead);
    return code;
}

enum nabla_code loss_curve_thresholds(const struct loss_curve *curve, struct curve_thresholds *ret,
                                      struct nabla_error *err)
{
    enum nabla_code code = threshold_find(curve, 0, &ret->zero, err);
    return code ? code : threshold_find(curve, TINY_GRADIENT, &ret->tiny, err);
}
