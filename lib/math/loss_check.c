// What must hold before the first row is computed, checked in one pass over ids, targets and weights. The
// same pass finds what a mean divides by.
#include "math/loss_row.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TARGET_TOLERANCE 1e-6 // probabilities and targets may exceed 1 by a rounding error

// The numbers among the options: each with its range, and the losses that know it by their option bit.
static const struct {
    const char *pointer;
    size_t offset;
    double low, high;
    bool low_open, high_open;
    double unset; // the value that means "not used"
    enum loss_option option;
} numbers[] = {
    {"/loss/label_smoothing", offsetof(struct nabla_loss, label_smoothing), 0, 1, false, true, 0,
     OPTION_SMOOTHING},
    {"/loss/z_loss", offsetof(struct nabla_loss, z_loss), 0, INFINITY, false, true, 0, OPTION_Z_LOSS},
    {"/loss/softcap", offsetof(struct nabla_loss, softcap), 0, INFINITY, false, true, 0, OPTION_LOGIT_SHAPE},
    {"/loss/temperature", offsetof(struct nabla_loss, temperature), 0, INFINITY, true, true, 1,
     OPTION_LOGIT_SHAPE},
    {"/loss/gamma", offsetof(struct nabla_loss, gamma), 0, INFINITY, false, true, 2, OPTION_GAMMA},
    {"/loss/alpha", offsetof(struct nabla_loss, alpha), 0, 1, false, false, NAN, OPTION_GAMMA},
    {"/loss/epsilon", offsetof(struct nabla_loss, epsilon), -1, INFINITY, false, true, 2, OPTION_EPSILON},
    {"/loss/q", offsetof(struct nabla_loss, q), 0, 1, true, false, 0.7, OPTION_Q},
    {"/loss/margin", offsetof(struct nabla_loss, margin), 0, INFINITY, true, true, 1, OPTION_MARGIN},
    {"/loss/delta", offsetof(struct nabla_loss, delta), 0, INFINITY, true, true, 1, OPTION_DELTA},
};

static enum nabla_code check_option(const struct nabla_loss *loss, size_t index, struct nabla_error *err)
{
    const char *pointer = numbers[index].pointer;
    const char *name = strrchr(pointer, '/') + 1;
    double value = *(const double *)((const char *)loss + numbers[index].offset);
    double low = numbers[index].low, high = numbers[index].high;
    bool unset = value == numbers[index].unset || (isnan(value) && isnan(numbers[index].unset));
    if (unset)
        return NABLA_OK;
    if (!(loss_kernels[loss->type].options & numbers[index].option))
        return nabla_fail(err, NABLA_INVALID, pointer, "the loss %s has no option %s",
                          loss_kernels[loss->type].name, name);
    if (!(value >= low && value <= high) || (numbers[index].low_open && value <= low) ||
        (numbers[index].high_open && value >= high))
        return nabla_fail(err, NABLA_INVALID, pointer, "%s is %g; it must be in %c%g, %g%c", name, value,
                          numbers[index].low_open ? '(' : '[', low, high,
                          numbers[index].high_open ? ')' : ']');
    if (numbers[index].option & (OPTION_LOGIT_SHAPE | OPTION_Z_LOSS) && loss->input == NABLA_PROBABILITIES)
        return nabla_fail(err, NABLA_INVALID, pointer, "%s changes logits; it cannot go with probabilities",
                          name);
    return NABLA_OK;
}

static enum nabla_code check_weights(const double *weights, size_t count, const char *pointer,
                                     struct nabla_error *err)
{
    for (size_t i = 0; weights && i < count; i++)
        if (!(weights[i] >= 0) || isinf(weights[i])) {
            char place[80];
            snprintf(place, sizeof place, "%s/%zu", pointer, i);
            return nabla_fail(err, NABLA_INVALID, place,
                              "weight %zu is %g; weights are finite and at least 0", i, weights[i]);
        }
    return NABLA_OK;
}

// "cross_entropy from probabilities exists under exact, torch, keras, keras_tf_sparse"
static enum nabla_code fail_combination(const struct nabla_loss *loss, struct nabla_error *err)
{
    const struct loss_kernel *kernel = &loss_kernels[loss->type];
    const char *input = loss->input == NABLA_LOGITS ? "logits" : "probabilities";
    char list[160] = "";
    size_t used = 0;
    for (int c = 0; c < NABLA_CONVENTION_COUNT; c++)
        if (kernel->paths[c][loss->input] != PATH_NONE)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     nabla_convention_name((enum nabla_convention)c));
    if (!used)
        return nabla_fail(err, NABLA_INVALID, "/probabilities", "%s takes logits only", kernel->name);
    return nabla_fail(err, NABLA_INVALID, "/convention", "%s from %s exists under %s, not under %s",
                      kernel->name, input, list, nabla_convention_name(loss->convention));
}

static enum nabla_code check_loss(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                  struct nabla_error *err)
{
    if ((unsigned)loss->type >= NABLA_LOSS_TYPE_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/loss/type", "there is no loss number %d", (int)loss->type);
    if ((unsigned)loss->convention >= NABLA_CONVENTION_COUNT || (unsigned)loss->input > NABLA_PROBABILITIES)
        return nabla_fail(err, NABLA_INVALID, "/convention", "there is no convention number %d",
                          (int)loss->convention);
    if ((unsigned)loss->reduction > NABLA_NONE)
        return nabla_fail(err, NABLA_INVALID, "/reduction", "there is no reduction number %d",
                          (int)loss->reduction);
    const struct loss_kernel *kernel = &loss_kernels[loss->type];
    if (kernel->paths[loss->convention][loss->input] == PATH_NONE)
        return fail_combination(loss, err);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (check_option(loss, i, err) != NABLA_OK)
            return NABLA_INVALID;
    if (loss->class_weights && !(kernel->options & OPTION_CLASS_WEIGHTS))
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights", "the loss %s has no class_weights",
                          kernel->name);
    if (loss->pos_weight && !(kernel->options & OPTION_POS_WEIGHT))
        return nabla_fail(err, NABLA_INVALID, "/loss/pos_weight", "the loss %s has no pos_weight",
                          kernel->name);
    if (check_weights(loss->class_weights, batch->classes, "/loss/class_weights", err) != NABLA_OK ||
        check_weights(loss->pos_weight, batch->classes, "/loss/pos_weight", err) != NABLA_OK)
        return NABLA_INVALID;
    return NABLA_OK;
}

static enum nabla_code check_batch(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                   struct nabla_error *err)
{
    const char *scores = loss->input == NABLA_LOGITS ? "/logits" : "/probabilities";
    if (batch->rows == 0 || batch->classes == 0 || !batch->scores)
        return nabla_fail(err, NABLA_INVALID, scores,
                          "there are %zu rows of %zu scores; both must be at least 1", batch->rows,
                          batch->classes);
    if (batch->rows > SIZE_MAX / sizeof(double) / batch->classes)
        return nabla_fail(err, NABLA_LIMIT, scores, "%zu rows of %zu scores do not fit in memory",
                          batch->rows, batch->classes);
    if (!batch->ids == !batch->targets)
        return nabla_fail(err, NABLA_INVALID, "/labels", "exactly one of class ids and targets is needed");
    return NABLA_OK;
}

// Ids and targets against the kind of loss.
static enum nabla_code check_labels(const struct loss_plan *plan, struct nabla_error *err)
{
    const struct nabla_loss *loss = plan->loss;
    const struct nabla_loss_batch *batch = plan->batch;
    if (batch->targets && loss->convention == NABLA_KERAS_TF_SPARSE)
        return nabla_fail(err, NABLA_INVALID, "/labels",
                          "keras_tf_sparse takes class ids; for targets the convention is keras");
    if (batch->targets && loss->has_ignore_index)
        return nabla_fail(err, NABLA_INVALID, "/loss/ignore_index",
                          "ignore_index goes with class ids, not with targets");
    if (batch->ids && plan->kernel->regression && batch->classes == 1)
        return nabla_fail(err, NABLA_INVALID, "/labels",
                          "%s wants targets: rows of numbers, as deep as the scores", plan->kernel->name);
    return NABLA_OK;
}

static enum nabla_code fail_entry(struct nabla_error *err, const char *field, size_t row, size_t column,
                                  double value, const char *rule)
{
    char place[80];
    snprintf(place, sizeof place, "/%s/%zu/%zu", field, row, column);
    return nabla_fail(err, NABLA_INVALID, place, "the value %g in row %zu, column %zu is %s", value, row,
                      column, rule);
}

// Ids: each in range or ignored. Counts them, and Σ of their weights.
static enum nabla_code check_ids(struct loss_plan *plan, double *ret_weights, struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = plan->batch;
    const double *classes_weights = plan->kernel->binary ? NULL : plan->loss->class_weights;
    // A single binary output knows two classes.
    size_t limit = plan->kernel->binary && batch->classes == 1 ? 2 : batch->classes;
    double weights = 0;
    for (size_t i = 0; i < batch->rows; i++) {
        int64_t id = batch->ids[i];
        if (loss_row_ignored(plan, i))
            continue;
        if (id < 0 || (uint64_t)id >= limit) {
            char place[40];
            snprintf(place, sizeof place, "/labels/%zu", i);
            return nabla_fail(err, NABLA_INVALID, place, "label %lld in row %zu is outside 0 to %zu",
                              (long long)id, i, limit - 1);
        }
        plan->rows_counted++;
        weights += loss_sample_weight(batch, i) * (classes_weights ? classes_weights[id] : 1);
    }
    *ret_weights = weights;
    return NABLA_OK;
}

static const char *target_fault(const struct loss_plan *plan, double value)
{
    if (!isfinite(value))
        return "not finite";
    if (plan->kernel->regression)
        return NULL;
    if (value < 0)
        return "a negative share of a class";
    if (plan->kernel->hard && value != 0 && value != 1)
        return "neither 0 nor 1: this loss wants class ids or one-hot targets";
    if (plan->kernel->binary && value > 1 + TARGET_TOLERANCE)
        return "above 1";
    return NULL;
}

// One row of targets; the mean class weight under them.
static enum nabla_code check_target_row(const struct loss_plan *plan, size_t row, double *ret_weight,
                                        struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = plan->batch;
    const double *weights = plan->kernel->binary ? NULL : plan->loss->class_weights;
    double total = 0, weighted = 0;
    for (size_t j = 0; j < batch->classes; j++) {
        double value = loss_entry(batch->dtype, batch->targets, row * batch->classes + j);
        const char *fault = target_fault(plan, value);
        if (fault)
            return fail_entry(err, "labels", row, j, value, fault);
        total += value;
        weighted += value * (weights ? weights[j] : 1);
    }
    if (plan->kernel->hard && total != 1) {
        char place[40];
        snprintf(place, sizeof place, "/labels/%zu", row);
        return nabla_fail(err, NABLA_INVALID, place, "row %zu names %g classes; %s wants exactly one", row,
                          total, plan->kernel->name);
    }
    *ret_weight = weights && total > 0 ? weighted / total : 1;
    return NABLA_OK;
}

static enum nabla_code check_targets(struct loss_plan *plan, double *ret_weights, struct nabla_error *err)
{
    double weights = 0;
    for (size_t i = 0; i < plan->batch->rows; i++) {
        double weight = 1;
        if (check_target_row(plan, i, &weight, err) != NABLA_OK)
            return NABLA_INVALID;
        weights += weight * loss_sample_weight(plan->batch, i);
    }
    plan->rows_counted = plan->batch->rows;
    *ret_weights = weights;
    return NABLA_OK;
}

static enum nabla_code check_probabilities(const struct nabla_loss_batch *batch, struct nabla_error *err)
{
    for (size_t i = 0; i < batch->rows * batch->classes; i++) {
        double p = loss_entry(batch->dtype, batch->scores, i);
        if (p < 0 || p > 1 + TARGET_TOLERANCE)
            return fail_entry(err, "probabilities", i / batch->classes, i % batch->classes, p,
                              "no probability (0 to 1)");
    }
    return NABLA_OK;
}

// What a mean divides by, by the table's rule; torch's soft targets count rows, not weights.
static double plan_denominator(const struct loss_plan *plan, double weights)
{
    const struct nabla_loss *loss = plan->loss;
    if (loss->reduction != NABLA_MEAN)
        return 1;
    double counted = (double)plan->rows_counted;
    switch (plan->kernel->divisors[loss->convention]) {
    case DIVIDE_ENTRIES:
        return counted * (double)plan->batch->classes;
    case DIVIDE_COUNTED:
        return counted;
    case DIVIDE_WEIGHTS:
        break;
    }
    return loss->convention == NABLA_TORCH && plan->batch->targets ? counted : weights;
}

// The clip constants as the framework's arithmetic has them: in float32, 1 - 1e-7f is 1 - 2^-23.
static void plan_clips(struct loss_plan *plan)
{
    bool single = plan->batch->dtype == NABLA_FLOAT32;
    plan->clip_low = single ? (double)1e-7f : 1e-7;
    plan->clip_high = single ? (double)(1.0f - 1e-7f) : 1.0 - 1e-7;
}

enum nabla_code loss_plan_make(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                               struct loss_plan *ret, struct nabla_error *err)
{
    enum nabla_code code = check_batch(loss, batch, err);
    if (code == NABLA_OK)
        code = check_loss(loss, batch, err);
    if (code != NABLA_OK)
        return code;
    const struct loss_kernel *kernel = &loss_kernels[loss->type];
    *ret = (struct loss_plan){
        .loss = loss,
        .batch = batch,
        .kernel = kernel,
        .path = kernel->paths[loss->convention][loss->input],
        .sums_outputs = kernel->divisors[loss->convention] == DIVIDE_ENTRIES,
        .weight_per_row = loss->class_weights && !kernel->binary &&
                          (loss->convention == NABLA_KERAS || loss->convention == NABLA_KERAS_TF_SPARSE),
        .ignoring = batch->ids && loss->has_ignore_index,
        .ignore_index = loss->ignore_index};
    if (batch->ids && !loss->has_ignore_index && loss->convention == NABLA_TORCH && !kernel->binary) {
        ret->ignoring = true; // torch's default
        ret->ignore_index = -100;
    }
    plan_clips(ret);
    double weights = 0;
    if (check_labels(ret, err) != NABLA_OK ||
        check_weights(batch->sample_weights, batch->rows, "/sample_weights", err) != NABLA_OK ||
        (loss->input == NABLA_PROBABILITIES && check_probabilities(batch, err) != NABLA_OK) ||
        (batch->ids ? check_ids(ret, &weights, err) : check_targets(ret, &weights, err)) != NABLA_OK)
        return NABLA_INVALID;
    ret->denominator = plan_denominator(ret, weights);
    return NABLA_OK;
}
