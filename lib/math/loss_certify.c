#include "math/loss_certify.h"

#include "base/size.h"
#include "math/loss_oracle.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

static void (*const oracles[NABLA_LOSS_TYPE_COUNT])(const struct loss_plan *, struct loss_oracle_row *) = {
    [NABLA_CROSS_ENTROPY] = loss_oracle_softmax, [NABLA_BINARY_CROSS_ENTROPY] = loss_oracle_binary,
    [NABLA_FOCAL] = loss_oracle_softmax,         [NABLA_BINARY_FOCAL] = loss_oracle_binary,
    [NABLA_POLY] = loss_oracle_softmax,          [NABLA_GENERALIZED_CROSS_ENTROPY] = loss_oracle_softmax,
    [NABLA_KL_DIVERGENCE] = loss_oracle_softmax, [NABLA_HINGE] = loss_oracle_hinge,
    [NABLA_SQUARED_HINGE] = loss_oracle_hinge,   [NABLA_MEAN_SQUARED_ERROR] = loss_oracle_regression,
    [NABLA_HUBER] = loss_oracle_regression,
};
static_assert(NABLA_HUBER + 1 == NABLA_LOSS_TYPE_COUNT, "every loss has an oracle");

// A row's worst entries.
struct deviation {
    double ulps, absolute;
    size_t column;
};

static void row_load(const struct loss_plan *plan, size_t index, _Float128 *scores, _Float128 *targets)
{
    const struct nabla_loss_batch *batch = plan->batch;
    for (size_t j = 0; j < batch->classes; j++) {
        size_t entry = index * batch->classes + j;
        scores[j] = loss_entry(batch->dtype, batch->scores, entry);
        if (batch->targets)
            targets[j] = loss_entry(batch->dtype, batch->targets, entry);
        else // a single binary output answers yes to class 1
            targets[j] = batch->ids[index] == (int64_t)(batch->classes > 1 || !plan->kernel->binary ? j : 1);
    }
}

// The row's share in Σ weights: its class weight, or the mean of them under its targets.
static _Float128 mean_weight(const struct loss_plan *plan, size_t index)
{
    const struct nabla_loss_batch *batch = plan->batch;
    const double *weights = plan->kernel->binary ? NULL : plan->loss->class_weights;
    _Float128 total = 0, weighted = 0;
    if (!weights)
        return 1;
    if (batch->ids)
        return weights[batch->ids[index]];
    for (size_t j = 0; j < batch->classes; j++) {
        _Float128 target = loss_entry(batch->dtype, batch->targets, index * batch->classes + j);
        total += target;
        weighted += target * weights[j];
    }
    return total > 0 ? weighted / total : 1;
}

// What the reduction divides by.
static _Float128 denominator(const struct loss_plan *plan)
{
    enum loss_divisor divisor = plan->kernel->divisors[plan->loss->convention];
    bool rows = plan->loss->convention == NABLA_TORCH && plan->batch->targets;
    _Float128 counted = 0, weights = 0;
    if (plan->loss->reduction != NABLA_MEAN)
        return 1;
    for (size_t i = 0; i < plan->batch->rows; i++)
        if (!loss_row_ignored(plan, i)) {
            counted += 1;
            weights += loss_sample_weight(plan->batch, i) * mean_weight(plan, i);
        }
    if (divisor == DIVIDE_ENTRIES)
        return counted * (_Float128)plan->batch->classes;
    return divisor == DIVIDE_COUNTED || rows ? counted : weights;
}

// What the row's gradient is multiplied with on its way out; Keras weighs the whole row by its target's
// class.
static _Float128 row_factor(const struct loss_plan *plan, const struct loss_oracle_row *row, size_t index,
                            _Float128 divisor)
{
    _Float128 weight = loss_sample_weight(plan->batch, index);
    size_t class = 0;
    for (size_t j = 1; j < row->classes; j++)
        if (row->targets[j] > row->targets[class])
            class = j;
    if (plan->weight_per_row)
        weight *= plan->loss->class_weights[class];
    if (divisor == 0)
        return plan->loss->convention == NABLA_TORCH ? NAN : 0;
    return weight / divisor;
}

// The spacing of the dtype's numbers at x itself, which may lie just below the power of two that it would
// round to; subnormals have that of the smallest normal.
static _Float128 spacing(_Float128 x, enum nabla_dtype dtype)
{
    int digits = dtype == NABLA_FLOAT32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    int least = dtype == NABLA_FLOAT32 ? FLT_MIN_EXP : DBL_MIN_EXP, exponent = least;
    if (x != 0)
        (void)frexpf128(x, &exponent);
    return ldexpf128(1, (exponent < least ? least : exponent) - digits);
}

// An infinity stands for every number that rounds to it.
static bool same(double actual, _Float128 exact, enum nabla_dtype dtype)
{
    if (isnan(actual) || isnan(exact))
        return isnan(actual) && isnan(exact);
    double rounded = dtype == NABLA_FLOAT32 ? (double)(float)exact : (double)exact;
    return isinf(actual) && isinf(rounded) && (actual > 0) == (rounded > 0);
}

static void entry_compare(double actual, _Float128 exact, _Float128 largest, enum nabla_dtype dtype,
                          struct deviation *worst, size_t column)
{
    double absolute = INFINITY, ulps = INFINITY;
    if (same(actual, exact, dtype))
        return;
    if (isfinite(actual) && isfinite(exact)) {
        _Float128 away = fabsf128(actual - exact);
        absolute = (double)away;
        ulps =
            (double)(away / spacing(largest > fabsf128(exact) && isfinite(largest) ? largest : exact, dtype));
    }
    worst->absolute = fmax(worst->absolute, absolute);
    if (ulps > worst->ulps) {
        worst->ulps = ulps;
        worst->column = column;
    }
}

// A weight of 0 silences even an infinite gradient; a NaN stays. Frameworks multiply: 0·∞ is NaN.
static _Float128 scaled(const struct loss_plan *plan, _Float128 value, _Float128 factor)
{
    bool silenced = factor == 0 && plan->loss->convention == NABLA_EXACT && !isnan(value);
    return silenced ? 0 : value * factor;
}

// What the entry is: its own gradient, weighted. torch multiplies that of an ignored row by 0, and its mean
// over no weight is 0/0, from probabilities at the label alone.
static _Float128 reduced(const struct loss_plan *plan, const struct loss_oracle_row *row, size_t j,
                         bool ignored, _Float128 factor)
{
    bool torch = plan->loss->convention == NABLA_TORCH;
    if (ignored)
        return torch ? 0 * row->gradient[j] : 0;
    if (isnan(factor) && plan->loss->input == NABLA_PROBABILITIES && row->targets[j] == 0)
        return row->gradient[j];
    return scaled(plan, row->gradient[j], factor);
}

static struct deviation row_compare(const struct loss_plan *plan, struct loss_oracle_row *row, size_t index,
                                    _Float128 divisor, const void *gradient)
{
    struct deviation worst = {0};
    enum nabla_dtype dtype = plan->batch->dtype;
    bool ignored = loss_row_ignored(plan, index);
    _Float128 factor = ignored ? 0 : row_factor(plan, row, index, divisor);
    oracles[plan->loss->type](plan, row);
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 exact = reduced(plan, row, j, ignored, factor);
        _Float128 largest = ignored ? 0 : fabsf128(scaled(plan, row->largest[j], factor));
        entry_compare(loss_entry(dtype, gradient, index * row->classes + j), exact, largest, dtype, &worst,
                      j);
    }
    return worst;
}

// Whether the formula has edges on whose sides rounding decides.
static bool has_edges(const struct loss_plan *plan)
{
    return plan->path == PATH_RENORMALISE_CLIP || plan->path == PATH_LOGITS_CLIP || plan->kernel->hard;
}

static void certify_row(const struct loss_plan *plan, struct loss_oracle_row *row, size_t index,
                        _Float128 divisor, const void *gradient, struct nabla_loss_certificate *certificate)
{
    row_load(plan, index, (_Float128 *)row->scores, (_Float128 *)row->targets);
    row->lean = 1;
    struct deviation worst = row_compare(plan, row, index, divisor, gradient);
    while (has_edges(plan) && worst.ulps > 0 && row->lean > -1) {
        row->lean--;
        struct deviation other = row_compare(plan, row, index, divisor, gradient);
        worst = other.ulps < worst.ulps ? other : worst;
    }
    certificate->largest_deviation = fmax(certificate->largest_deviation, worst.absolute);
    if (worst.ulps > certificate->largest_deviation_ulp) {
        certificate->largest_deviation_ulp = worst.ulps;
        certificate->row = index;
        certificate->column = worst.column;
    }
}

enum nabla_code nabla_loss_certify(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                   const void *gradient, struct nabla_loss_certificate *ret,
                                   struct nabla_error *err)
{
    struct loss_plan plan;
    enum nabla_code code = loss_plan_make(loss, batch, &plan, err);
    if (code != NABLA_OK)
        return code;
    size_t classes = batch->classes;
    _Float128 *block = size_alloc(classes, LOSS_ORACLE_ARRAYS, sizeof *block);
    if (!block)
        return nabla_fail_memory(err, "a row's numbers at 113 bits");
    struct loss_oracle_row row = {.classes = classes,
                                  .scores = block,
                                  .targets = block + classes,
                                  .gradient = block + 2 * classes,
                                  .largest = block + 3 * classes,
                                  .p = block + 4 * classes,
                                  .rest = block + 5 * classes,
                                  .log = block + 6 * classes,
                                  .mass = block + 7 * classes,
                                  .logits = block + 8 * classes};
    _Float128 divisor = denominator(&plan);
    *ret = (struct nabla_loss_certificate){.precision_bits = LOSS_ORACLE_BITS};
    for (size_t i = 0; i < batch->rows; i++)
        certify_row(&plan, &row, i, divisor, gradient, ret);
    free(block);
    return NABLA_OK;
}
