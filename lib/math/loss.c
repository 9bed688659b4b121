// The driver: checks, then row by row widens, computes, scales and stores. See loss_row.h for the design.
#include "math/loss.h"
#include "base/size.h"
#include "math/loss_fast.h"
#include "math/loss_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS_ARRAYS = 9, LOSS_STACK_CLASSES = 64 };

static double largest_magnitude(const double *values, size_t count)
{
    double max = 0;
    for (size_t j = 0; j < count; j++) {
        double magnitude = fabs(values[j]);
        if (!(magnitude <= max))
            max = magnitude;
        if (isnan(magnitude))
            return NAN;
    }
    return max;
}

static void row_load(double *to, enum nabla_dtype dtype, const void *from, size_t offset, size_t count)
{
    if (dtype == NABLA_FLOAT64) {
        memcpy(to, (const double *)from + offset, count * sizeof *to);
        return;
    }
    const float *source = (const float *)from + offset;
    for (size_t j = 0; j < count; j++)
        to[j] = (double)source[j];
}

static void row_store(void *to, enum nabla_dtype dtype, size_t offset, const double *from, size_t count,
                      double factor)
{
    if (!to)
        return;
    for (size_t j = 0; j < count; j++)
        if (dtype == NABLA_FLOAT32)
            ((float *)to)[offset + j] = (float)(from[j] * factor);
        else
            ((double *)to)[offset + j] = from[j] * factor;
}

static void targets_load(const struct loss_plan *plan, size_t row, double *targets)
{
    const struct nabla_loss_batch *batch = plan->batch;
    if (batch->targets) {
        row_load(targets, batch->dtype, batch->targets, row * batch->classes, batch->classes);
        return;
    }
    memset(targets, 0, batch->classes * sizeof *targets);
    if (plan->kernel->binary && batch->classes == 1)
        targets[0] = batch->ids[row] == 1 ? 1 : 0;
    else if (!loss_row_ignored(plan, row))
        targets[batch->ids[row]] = 1;
}

// The one largest entry, or LOSS_NO_LABEL where there is none (a tie, a NaN).
static size_t unique_largest(const double *values, size_t count)
{
    size_t best = 0;
    bool tie = isnan(values[0]);
    for (size_t j = 1; j < count; j++) {
        if (isnan(values[j]))
            return LOSS_NO_LABEL;
        if (values[j] > values[best]) {
            best = j;
            tie = false;
        } else if (values[j] >= values[best]) {
            tie = true;
        }
    }
    return tie ? LOSS_NO_LABEL : best;
}

// Whether accuracy has a meaning: one class is right, or one output says yes or no.
static bool accuracy_defined(const struct loss_plan *plan)
{
    if (plan->batch->ids)
        return true;
    return !plan->kernel->regression && !(plan->kernel->binary && plan->batch->classes > 1);
}

static bool row_correct(const struct loss_plan *plan, const struct loss_row *row)
{
    if (plan->kernel->binary && row->classes == 1) {
        double threshold = plan->loss->input == NABLA_LOGITS ? 0 : 0.5;
        return row->targets[0] > 0.5 ? row->scores[0] > threshold : row->scores[0] < threshold;
    }
    size_t said = unique_largest(row->scores, row->classes);
    return said != LOSS_NO_LABEL && said == unique_largest(row->targets, row->classes);
}

// The factor on the row's loss and gradient.
static double row_weight(const struct loss_plan *plan, const struct loss_row *row, size_t index)
{
    double weight = loss_sample_weight(plan->batch, index);
    if (!plan->weight_per_row)
        return weight;
    size_t best = 0; // Keras gives a row the weight of its target's first largest class
    for (size_t j = 1; j < row->classes; j++)
        if (row->targets[j] > row->targets[best])
            best = j;
    return weight * plan->loss->class_weights[best];
}

static void row_warn(const struct loss_plan *plan, const struct loss_row *row, size_t index, bool correct,
                     struct nabla_warning *warnings)
{
    bool logits = plan->loss->input == NABLA_LOGITS;
    double max = largest_magnitude(row->gradient, row->classes);
    struct loss_row_facts facts = {
        .row = index,
        .loss = row->loss,
        .gradient_max = max,
        .logit_max = logits ? max : largest_magnitude(row->carried, row->classes),
        .clipped = row->clipped,
        .correct = correct,
        .nonfinite = loss_row_nonfinite(row->scores, row->classes),
        .unnormalised = loss_row_unnormalised(plan, row->targets),
    };
    loss_warn_row(warnings, &facts);
}

// Of logits nothing is carried on: what stands there is scratch, or nothing at all.
static size_t carried_count(const struct loss_plan *plan, const struct loss_row *row)
{
    return plan->loss->input == NABLA_PROBABILITIES ? row->classes : 0;
}

// An ignored row has its probabilities, and nothing else. torch multiplies its gradient by 0, so that what is
// not finite there becomes NaN; Keras on TensorFlow does not.
static void row_clear(const struct loss_plan *plan, struct loss_row *row)
{
    bool multiplies = plan->loss->convention == NABLA_TORCH;
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = multiplies && !isfinite(row->gradient[j]) ? NAN : 0;
    for (size_t j = 0; j < carried_count(plan, row); j++)
        row->carried[j] = multiplies && !isfinite(row->carried[j]) ? NAN : 0;
    row->loss = 0;
}

// torch's mean over no weight is 0/0. From logits every entry hears of it; from probabilities the label's
// alone, the others keep their logarithm's 0/p.
static void gradient_undefine(const struct loss_plan *plan, struct loss_row *row)
{
    bool probabilities = plan->loss->input == NABLA_PROBABILITIES;
    for (size_t j = 0; j < row->classes; j++) {
        if (!probabilities || row->targets[j] != 0)
            row->gradient[j] = NAN;
        row->carried[j] = NAN;
    }
}

// A weight of 0 silences even an infinite gradient; a NaN stays. Frameworks multiply: 0·∞ is NaN.
static void gradient_silence(const struct loss_plan *plan, struct loss_row *row)
{
    if (plan->loss->convention != NABLA_EXACT)
        return;
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = isnan(row->gradient[j]) ? NAN : 0;
    for (size_t j = 0; j < carried_count(plan, row); j++)
        row->carried[j] = isnan(row->carried[j]) ? NAN : 0;
}

static double weighted(const struct loss_plan *plan, double weight, double value)
{
    bool silenced = weight == 0 && plan->loss->convention == NABLA_EXACT && !isnan(value);
    return silenced ? 0 : weight * value;
}

static void row_compute(const struct loss_plan *plan, size_t index, struct loss_row *row,
                        struct nabla_loss_result *ret, struct loss_totals *totals)
{
    const struct nabla_loss_batch *batch = plan->batch;
    size_t offset = index * batch->classes;
    row_load((double *)row->scores, batch->dtype, batch->scores, offset, batch->classes);
    targets_load(plan, index, (double *)row->targets);
    row->clipped = false;
    plan->kernel->row(plan, row);
    double factor = 1, weight = 1;
    if (loss_row_ignored(plan, index)) {
        row_clear(plan, row);
    } else {
        weight = row_weight(plan, row, index);
        factor = loss_gradient_factor(plan, weight);
        bool correct = row_correct(plan, row);
        totals->correct += correct;
        if (ret->warnings && weight > 0)
            row_warn(plan, row, index, correct, ret->warnings);
        if (factor == 0)
            gradient_silence(plan, row);
        if (isnan(factor)) {
            gradient_undefine(plan, row);
            factor = 1;
        }
    }
    double value = weighted(plan, weight, row->loss);
    loss_totals_add_loss(totals, value);
    loss_totals_add_squares(totals, row->gradient, row->classes, factor,
                            largest_magnitude(row->gradient, row->classes) * fabs(factor));
    row_store(ret->gradient, batch->dtype, offset, row->gradient, row->classes, factor);
    if (plan->loss->input == NABLA_PROBABILITIES)
        row_store(ret->gradient_logits, batch->dtype, offset, row->carried, row->classes, factor);
    row_store(ret->probabilities, batch->dtype, offset, row->probabilities, row->classes, 1);
    row_store(ret->per_sample, batch->dtype, index, &value, 1, 1);
}

static void result_finish(const struct loss_plan *plan, const struct loss_totals *totals,
                          struct nabla_loss_result *ret)
{
    double sum = isfinite(totals->loss) ? totals->loss + totals->loss_error : totals->loss;
    ret->rows_counted = plan->rows_counted;
    ret->denominator = plan->denominator;
    ret->gradient_norm = sqrt(totals->squares) * totals->squares_scale;
    ret->accuracy = accuracy_defined(plan) && plan->rows_counted > 0
                        ? (double)totals->correct / (double)plan->rows_counted
                        : NAN;
    ret->loss = sum / plan->denominator;
    if (plan->denominator == 0) // torch's mean of nothing is 0/0
        ret->loss = plan->loss->convention == NABLA_TORCH ? NAN : 0;
    if (plan->loss->reduction == NABLA_NONE)
        ret->loss = sum;
}

// One block of LOSS_ARRAYS × classes: `stack` where it is large enough.
static enum nabla_code run_carve(struct loss_run *run, double *stack, struct nabla_error *err)
{
    size_t classes = run->plan->batch->classes;
    double *block = stack;
    if (run->row.classes)
        return NABLA_OK;
    if (classes > LOSS_STACK_CLASSES && !run->block)
        run->block = size_alloc(classes, LOSS_ARRAYS, sizeof *block);
    if (classes > LOSS_STACK_CLASSES)
        block = run->block;
    if (!block)
        return nabla_fail_memory(err, "a row's scratch space");
    run->row = (struct loss_row){.classes = classes,
                                 .scores = block,
                                 .targets = block + classes,
                                 .probabilities = block + 2 * classes,
                                 .complements = block + 3 * classes,
                                 .logs = block + 4 * classes,
                                 .gradient = block + 5 * classes,
                                 .carried = block + 6 * classes,
                                 .mass = block + 7 * classes,
                                 .tails = block + 8 * classes};
    return NABLA_OK;
}

enum nabla_code loss_run_rows(struct loss_run *run, size_t first, size_t end, struct nabla_error *err)
{
    double stack[LOSS_ARRAYS * LOSS_STACK_CLASSES];
    bool fast = loss_fast_applies(run);
    run->end = end;
    run->row.classes = 0; // another call's stack
    for (size_t i = first; i < end;) {
        size_t done = fast ? loss_fast_rows(run, i) : 0;
        i += done;
        if (done)
            continue;
        if (run_carve(run, stack, err) != NABLA_OK)
            return NABLA_NO_MEMORY;
        row_compute(run->plan, i++, &run->row, run->ret, &run->totals);
    }
    return NABLA_OK;
}

void loss_run_free(struct loss_run *run)
{
    free(run->block);
    run->block = NULL;
}

enum nabla_code loss_compute_with(const struct loss_fast_kernel *kernel, size_t threads,
                                  const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                  struct nabla_loss_result *ret, struct nabla_error *err)
{
    struct loss_plan plan;
    enum nabla_code code = loss_plan_make(loss, batch, &plan, err);
    if (code != NABLA_OK)
        return code;
    for (int i = 0; ret->warnings && i < NABLA_WARNING_COUNT; i++)
        ret->warnings[i].count = 0; // rows are as many as it says: the rest is left as it is
    struct loss_run run = {.plan = &plan, .kernel = kernel, .ret = ret};
    code = loss_run_all(&run, threads, err);
    loss_run_free(&run);
    if (code != NABLA_OK)
        return code;
    if (ret->warnings)
        loss_warn_batch(&plan, ret->warnings);
    result_finish(&plan, &run.totals, ret);
    return NABLA_OK;
}

enum nabla_code nabla_loss_compute(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                   struct nabla_loss_result *ret, struct nabla_error *err)
{
    return loss_compute_with(loss_fast_best(), 1, loss, batch, ret, err);
}

enum nabla_code nabla_loss_compute_threads(const struct nabla_loss *loss,
                                           const struct nabla_loss_batch *batch, size_t threads,
                                           struct nabla_loss_result *ret, struct nabla_error *err)
{
    return loss_compute_with(loss_fast_best(), threads, loss, batch, ret, err);
}

const char *nabla_loss_kernel_name(void)
{
    return loss_fast_best()->name;
}
