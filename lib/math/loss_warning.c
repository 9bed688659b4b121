// Warnings: which rows have lost their gradient, and why.
#include "math/loss_row.h"

#include <math.h>
#include <string.h>

#define TINY_GRADIENT 1e-7

static void warn(struct nabla_warning *warning, size_t row)
{
    if (warning->count < NABLA_WARNING_ROWS)
        warning->rows[warning->count] = row;
    warning->count++;
}

void loss_warn_row(struct nabla_warning *warnings, const struct loss_row_facts *facts)
{
    if (facts->nonfinite)
        warn(&warnings[NABLA_WARN_NONFINITE_LOGIT], facts->row);
    if (facts->unnormalised)
        warn(&warnings[NABLA_WARN_TARGETS_NOT_NORMALISED], facts->row);
    if (facts->clipped && facts->gradient_max == 0)
        warn(&warnings[NABLA_WARN_GRADIENT_CLIPPED], facts->row);
    if (facts->logit_max < TINY_GRADIENT && facts->loss > M_LN2)
        warn(&warnings[NABLA_WARN_GRADIENT_VANISHED], facts->row);
    if (facts->logit_max < TINY_GRADIENT && facts->loss <= M_LN2 && facts->correct)
        warn(&warnings[NABLA_WARN_SATURATED_CORRECT], facts->row);
}

bool loss_row_nonfinite(const double *scores, size_t classes)
{
    bool finite = false, poisoned = false;
    for (size_t j = 0; j < classes; j++) {
        poisoned |= !(scores[j] < INFINITY);
        finite |= scores[j] > -INFINITY;
    }
    return poisoned || !finite;
}

bool loss_row_unnormalised(const struct loss_plan *plan, const double *targets)
{
    if (plan->batch->ids || plan->kernel->binary || plan->kernel->regression)
        return false;
    double total = 0;
    for (size_t j = 0; j < plan->batch->classes; j++)
        total += targets[j];
    // n rounded shares are off by about √n half-ulps
    double tolerance = plan->batch->dtype == NABLA_FLOAT32 ? 1e-5 : 1e-6;
    return !(fabs(total - 1) <= tolerance);
}

// Whether `class` is the label, or has a share, in a counted row. Marks in `seen`, a bit for each of the 64
// classes from `first`.
static uint64_t classes_seen(const struct loss_plan *plan, size_t first)
{
    const struct nabla_loss_batch *batch = plan->batch;
    uint64_t seen = 0;
    for (size_t i = 0; i < batch->rows; i++) {
        if (batch->ids && !loss_row_ignored(plan, i) && (size_t)batch->ids[i] - first < 64)
            seen |= UINT64_C(1) << ((size_t)batch->ids[i] - first);
        for (size_t j = first; batch->targets && j < batch->classes && j < first + 64; j++)
            if (loss_entry(batch->dtype, batch->targets, i * batch->classes + j) > 0)
                seen |= UINT64_C(1) << (j - first);
    }
    return seen;
}

// A class can only be missed where the batch could have held each of them, or where a weight was meant for
// it.
static bool misses_classes(const struct loss_plan *plan)
{
    if (plan->kernel->regression || plan->kernel->binary || plan->rows_counted == 0)
        return false;
    return plan->loss->class_weights || plan->rows_counted >= plan->batch->classes;
}

void loss_warn_batch(const struct loss_plan *plan, struct nabla_warning *warnings)
{
    size_t classes = plan->batch->classes;
    bool weighted = false;
    for (size_t i = 0; i < plan->batch->rows && !weighted; i++)
        weighted = !loss_row_ignored(plan, i) && loss_sample_weight(plan->batch, i) > 0;
    if (!weighted || plan->denominator == 0)
        for (size_t i = 0; i < plan->batch->rows; i++)
            warn(&warnings[NABLA_WARN_ALL_ROWS_IGNORED], i);
    for (size_t first = 0; first < classes && misses_classes(plan); first += 64) {
        uint64_t seen = classes_seen(plan, first);
        for (size_t j = first; j < classes && j < first + 64; j++)
            if (!(seen >> (j - first) & 1))
                warn(&warnings[NABLA_WARN_CLASS_WITHOUT_SAMPLES], j);
    }
}
