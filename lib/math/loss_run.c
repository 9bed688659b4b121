#include "math/loss_run.h"

#include <math.h>

void loss_totals_add_loss(struct loss_totals *totals, double loss)
{
    double sum = totals->loss + loss;
    double error =
        fabs(totals->loss) >= fabs(loss) ? (totals->loss - sum) + loss : (loss - sum) + totals->loss;
    totals->loss = sum;
    totals->loss_error += isfinite(error) ? error : 0;
}

void loss_totals_add_squares(struct loss_totals *totals, const double *gradient, size_t classes,
                             double factor, double max)
{
    if (max == 0)
        return;
    double scale = max > 1e-100 && max < 1e100 ? 1 : isfinite(max) ? max : 1;
    if (scale > totals->squares_scale || totals->squares == 0) {
        double ratio = totals->squares_scale / scale;
        totals->squares = totals->squares == 0 ? 0 : totals->squares * ratio * ratio;
        totals->squares_scale = scale;
    }
    double sum = 0;
    for (size_t j = 0; j < classes; j++) {
        double g = gradient[j] * factor / totals->squares_scale;
        sum += g * g;
    }
    totals->squares += sum;
}

void loss_totals_add_square(struct loss_totals *totals, double squares)
{
    if (totals->squares_scale < 1) { // so far there were only vanishing rows
        totals->squares *= totals->squares_scale * totals->squares_scale;
        totals->squares_scale = 1;
    }
    if (totals->squares == 0)
        totals->squares_scale = 1;
    if (totals->squares_scale > 1)
        squares = squares / totals->squares_scale / totals->squares_scale;
    totals->squares += squares;
}

double loss_gradient_factor(const struct loss_plan *plan, double weight)
{
    if (plan->denominator == 0)
        return plan->loss->convention == NABLA_TORCH ? NAN : 0;
    return weight / plan->denominator;
}

bool loss_fast_applies(const struct loss_run *run)
{
    const struct nabla_loss *loss = run->plan->loss;
    return run->kernel->row && loss->type == NABLA_CROSS_ENTROPY && run->plan->batch->ids &&
           run->plan->path == PATH_LOGITS && loss->label_smoothing == 0 && loss->z_loss == 0 &&
           loss->softcap == 0 && loss->temperature == 1;
}

// A row's numbers on the fast path, without weights.
struct fast_numbers {
    double loss, complement, squares, factor;
    bool correct;
};

static inline double class_weight(const struct loss_run *run, size_t index)
{
    const double *weights = run->plan->loss->class_weights;
    return weights ? weights[loss_row_label(run->plan->batch, index)] : 1;
}

// The row's weights are one factor. NaN for an ignored row, and for a factor that would leave float32's
// normal range on its way into the kernel.
static inline double fast_factor(const struct loss_run *run, size_t index)
{
    if (loss_row_ignored(run->plan, index))
        return NAN;
    double weight = loss_sample_weight(run->plan->batch, index) * class_weight(run, index);
    double factor = loss_gradient_factor(run->plan, weight);
    return factor > 1e-20 && factor < 1e10 ? factor : NAN;
}

static void fast_warn(struct loss_run *run, size_t index, const struct fast_numbers *numbers)
{
    double weight = class_weight(run, index);
    struct loss_row_facts facts = {.row = index,
                                   .loss = numbers->loss * weight,
                                   .gradient_max = numbers->complement * weight,
                                   .logit_max = numbers->complement * weight,
                                   .correct = numbers->correct};
    loss_warn_row(run->ret->warnings, &facts);
}

static void fast_note(struct loss_run *run, size_t index, const struct fast_numbers *numbers)
{
    double weight = class_weight(run, index);
    double value = numbers->loss * weight * loss_sample_weight(run->plan->batch, index);
    loss_totals_add_loss(&run->totals, value);
    loss_totals_add_square(&run->totals, numbers->squares * numbers->factor * numbers->factor);
    run->totals.correct += numbers->correct;
    if (run->ret->per_sample && run->plan->batch->dtype == NABLA_FLOAT32)
        ((float *)run->ret->per_sample)[index] = (float)value;
    else if (run->ret->per_sample)
        ((double *)run->ret->per_sample)[index] = value;
    if (run->ret->warnings)
        fast_warn(run, index, numbers);
}

static float *output_at(void *matrix, size_t offset)
{
    return matrix ? (float *)matrix + offset : NULL;
}

static bool fast_row(struct loss_run *run, size_t index)
{
    const struct nabla_loss_batch *batch = run->plan->batch;
    size_t offset = index * batch->classes;
    struct loss_fast_row row = {.scores = (const float *)batch->scores + offset,
                                .classes = batch->classes,
                                .label = loss_row_label(batch, index),
                                .gradient = output_at(run->ret->gradient, offset),
                                .probabilities = output_at(run->ret->probabilities, offset),
                                .factor = fast_factor(run, index)};
    if (isnan(row.factor) || !run->kernel->row(&row))
        return false;
    struct fast_numbers numbers = {row.loss, row.complement, row.squares, row.factor, row.correct};
    fast_note(run, index, &numbers);
    return true;
}

static bool fast_row64(struct loss_run *run, size_t index)
{
    const struct nabla_loss_batch *batch = run->plan->batch;
    struct nabla_loss_result *ret = run->ret;
    size_t offset = index * batch->classes;
    struct loss_fast_row64 row = {.scores = (const double *)batch->scores + offset,
                                  .classes = batch->classes,
                                  .label = loss_row_label(batch, index),
                                  .gradient = ret->gradient ? (double *)ret->gradient + offset : NULL,
                                  .factor = fast_factor(run, index)};
    row.probabilities = ret->probabilities ? (double *)ret->probabilities + offset : NULL;
    if (isnan(row.factor) || !run->kernel->row64(&row))
        return false;
    struct fast_numbers numbers = {row.loss, row.complement, row.squares, row.factor, row.correct};
    fast_note(run, index, &numbers);
    return true;
}

// A group's rows are summed before they join the totals: sixteen numbers of one sign, in double.
static void group_note(struct loss_run *run, size_t index, size_t count)
{
    const struct loss_fast_group *group = &run->group;
    float *per_sample = output_at(run->ret->per_sample, index);
    double loss = 0, squares = 0;
    size_t correct = 0;
    for (size_t k = 0; k < count; k++) {
        double weight = class_weight(run, index + k) * loss_sample_weight(run->plan->batch, index + k);
        double value = group->loss[k] * weight;
        loss += value;
        squares += group->squares[k] * group->factors[k] * group->factors[k];
        correct += group->correct[k] != 0;
        if (per_sample)
            per_sample[k] = (float)value;
    }
    loss_totals_add_loss(&run->totals, loss);
    loss_totals_add_square(&run->totals, squares);
    run->totals.correct += correct;
    for (size_t k = 0; k < count && run->ret->warnings; k++) {
        struct fast_numbers numbers = {group->loss[k], group->complement[k], group->squares[k],
                                       group->factors[k], group->correct[k] != 0};
        fast_warn(run, index + k, &numbers);
    }
}

// As many short rows as the kernel has lanes; false, with nothing done, when one of them is not for it.
static bool fast_group(struct loss_run *run, size_t index)
{
    const struct nabla_loss_batch *batch = run->plan->batch;
    struct loss_fast_group *group = &run->group;
    size_t offset = index * batch->classes, count = run->kernel->group_rows;
    for (size_t k = 0; k < count; k++) {
        group->factors[k] = fast_factor(run, index + k);
        if (isnan(group->factors[k]))
            return false;
        group->labels[k] = (float)batch->ids[index + k];
    }
    group->scores = (const float *)batch->scores + offset;
    group->classes = batch->classes;
    group->gradient = output_at(run->ret->gradient, offset);
    group->probabilities = output_at(run->ret->probabilities, offset);
    if (!run->kernel->group(group))
        return false;
    group_note(run, index, count);
    return true;
}

size_t loss_fast_rows(struct loss_run *run, size_t index)
{
    const struct nabla_loss_batch *batch = run->plan->batch;
    if (batch->dtype == NABLA_FLOAT64)
        return fast_row64(run, index) ? 1 : 0;
    if (batch->classes <= LOSS_SHORT_CLASSES && index + run->kernel->group_rows <= run->end &&
        fast_group(run, index))
        return run->kernel->group_rows;
    return fast_row(run, index) ? 1 : 0;
}
