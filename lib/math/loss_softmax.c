// The softmax family: losses of the form Σ_j f(a_j, p_j), where a is the target distribution (smoothed, class
// weights included) and p a probability for each class.
//
// Nothing here subtracts numbers that are almost equal. With m the largest logit and R = Σ exp(x_j - m) over
// the others, ln p_j = (x_j - m) - log1p(R): both terms have one sign. 1 - p_j of the largest is R / (1 + R).
// x_j - m rounds; its rounding error (exactly known) goes into the exponential.
#include "math/loss_row.h"

#include <math.h>
#include <string.h>

// Adds with the rounding errors kept aside (Neumaier).
struct sum {
    double value, error;
};

static void sum_add(struct sum *sum, double term)
{
    double total = sum->value + term;
    if (fabs(sum->value) >= fabs(term))
        sum->error += (sum->value - total) + term;
    else
        sum->error += (term - total) + sum->value;
    sum->value = total;
}

// The rounding error of a - b = difference; 0 where something overflowed.
static double difference_error(double a, double b, double difference)
{
    double moved = difference - a;
    double error = (a - (difference - moved)) - (b + moved);
    return isfinite(error) ? error : 0;
}

static void fill(double *array, size_t count, double value)
{
    for (size_t i = 0; i < count; i++)
        array[i] = value;
}

static size_t largest(const double *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

static void softmax_poison(struct loss_row *row)
{
    fill(row->probabilities, row->classes, NAN);
    fill(row->complements, row->classes, NAN);
    fill(row->logs, row->classes, NAN);
    row->log_sum = NAN;
}

// Σ exp(x_j - m) over all but the largest where it is so small that single exponentials are subnormal and
// have lost digits: as squares of exp of the half, 2^600 times as large. The errors of x_j - m are in `logs`.
static double tiny_rest(const struct loss_row *row, const double *logits, size_t top)
{
    struct sum sum = {0};
    for (size_t j = 0; j < row->classes; j++) {
        double half = j == top ? 0 : exp((logits[j] - logits[top]) / 2);
        double square = half * 0x1p600 * half;
        sum_add(&sum, square);
        sum.error += square * row->logs[j];
    }
    return (sum.value + sum.error) * 0x1p-600;
}

void loss_softmax(struct loss_row *row, const double *logits, const double *tails)
{
    if (loss_row_nonfinite(logits, row->classes)) {
        softmax_poison(row);
        return;
    }
    double *p = row->probabilities;
    size_t top = largest(logits, row->classes);
    double max = logits[top];
    struct sum others = {0};
    for (size_t j = 0; j < row->classes; j++) {
        double t = logits[j] - max;
        double error = difference_error(logits[j], max, t) + (tails ? tails[j] - tails[top] : 0);
        double e = exp(t);
        p[j] = e;
        row->logs[j] = error; // until the sum is known
        if (j == top)
            continue;
        sum_add(&others, e);
        others.error += e * error;
    }
    double rest = others.value + others.error;
    if (rest < 0x1p-900) {
        rest = tiny_rest(row, logits, top);
        others = (struct sum){rest, 0};
    }
    double total = 1 + rest;
    // What rounding has lost of both still counts.
    double rest_error = (others.value - rest) + others.error;
    double total_error = (((1 > rest ? 1 - total + rest : rest - total + 1)) + rest_error) / total;
    double log_total = log1p(rest) + rest_error / total;
    for (size_t j = 0; j < row->classes; j++) {
        double error = row->logs[j];
        row->logs[j] = (logits[j] - max) - (log_total - error);
        p[j] = (p[j] + p[j] * (error - total_error)) / total;
        row->complements[j] = j == top ? (rest + (rest_error - rest * total_error)) / total : 1 - p[j];
    }
    row->log_sum = max + log_total;
}

// Σ flow over all classes but one. Where flows have one sign only the largest, which may be nearly all of the
// sum, must not be subtracted from it.
struct flow_sum {
    size_t top;
    double largest, others;
};

static struct flow_sum sum_flows(size_t classes, const double *flow)
{
    struct flow_sum sum = {0};
    for (size_t j = 1; j < classes; j++)
        if (fabs(flow[j]) > fabs(flow[sum.top]))
            sum.top = j;
    for (size_t j = 0; j < classes; j++)
        sum.others += j == sum.top ? 0 : flow[j];
    sum.largest = flow[sum.top];
    return sum;
}

static double flow_without(const struct flow_sum *sum, size_t class, double flow)
{
    return class == sum->top ? sum->others : sum->others + sum->largest - flow;
}

void loss_softmax_backward(size_t classes, const double *p, const double *complement, const double *flow,
                           double *gradient)
{
    struct flow_sum sum = sum_flows(classes, flow);
    for (size_t j = 0; j < classes; j++)
        gradient[j] = flow[j] * complement[j] - p[j] * flow_without(&sum, j, flow[j]);
}

// a: targets, smoothed towards 1/C, times what does not depend on the scores.
static void row_mass(const struct loss_plan *plan, struct loss_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    double uniform = loss->label_smoothing / (double)row->classes;
    double factor = plan->kernel->options & OPTION_GAMMA && !isnan(loss->alpha) ? loss->alpha : 1;
    const double *weights = plan->weight_per_row ? NULL : loss->class_weights;
    for (size_t j = 0; j < row->classes; j++) {
        double share = row->targets[j];
        if (loss->label_smoothing > 0)
            share = share * (1 - loss->label_smoothing) + uniform;
        if (plan->path == PATH_CLIP_BELOW)
            share = fmin(fmax(share, plan->clip_low), 1);
        row->mass[j] = share * factor * (weights ? weights[j] : 1);
    }
}

// The two numbers in double that `value` is the sum of.
static void split(long double value, double *ret_head, double *ret_tail)
{
    *ret_head = (double)value;
    *ret_tail = isfinite(*ret_head) ? (double)(value - (long double)*ret_head) : 0;
}

// A logit capped, as head and tail; the derivative of cap and temperature into `row->gradient`.
static void cap_logit(const struct nabla_loss *loss, struct loss_row *row, size_t j)
{
    long double x = row->scores[j], cap = loss->softcap, cosine = 1;
    if (cap > 0) {
        cosine = coshl(x / cap);
        x = isinf(x) ? x : cap * tanhl(x / cap);
    }
    row->gradient[j] = (double)(1 / cosine / cosine / (long double)loss->temperature);
    split(x, &row->carried[j], &row->tails[j]);
}

// The logits as the softmax sees them: capped, less the largest, divided, into `row->carried`, which no path
// from logits uses otherwise, and `row->tails`; what was taken off comes back. In long double: an error of
// half an ulp in a logit of 300 would be one of 128 ulps in its probability.
static double shape_logits(const struct nabla_loss *loss, struct loss_row *row)
{
    long double temperature = loss->temperature;
    for (size_t j = 0; j < row->classes; j++)
        cap_logit(loss, row, j);
    size_t top = largest(row->carried, row->classes);
    long double max = (long double)row->carried[top] + (long double)row->tails[top];
    for (size_t j = 0; j < row->classes; j++) {
        long double capped = (long double)row->carried[j] + (long double)row->tails[j];
        split((capped - max) / temperature, &row->carried[j], &row->tails[j]);
    }
    return (double)(max / temperature);
}

// The softmax of the logits, shaped or not; whether they were.
static bool shaped_softmax(const struct nabla_loss *loss, struct loss_row *row)
{
    bool shaped = loss->softcap > 0 || loss->temperature != 1;
    double taken_off = shaped ? shape_logits(loss, row) : 0;
    loss_softmax(row, shaped ? row->carried : row->scores, shaped ? row->tails : NULL);
    row->log_sum += taken_off;
    return shaped;
}

// Whether the framework multiplies a class's logarithm with its share even where that is 0. Keras does from
// logits and optax in its divergence; PyTorch does with targets, and for the classes that a weight of 0
// silences.
static bool multiplies_nothing(const struct loss_plan *plan, const struct loss_row *row, size_t class)
{
    const struct nabla_loss *loss = plan->loss;
    bool targets = plan->batch->targets;
    switch (loss->convention) {
    case NABLA_TORCH:
        return targets || row->targets[class] != 0 || loss->label_smoothing > 0;
    case NABLA_KERAS:
        return targets && plan->path == PATH_LOGITS;
    case NABLA_OPTAX:
        return targets && loss->type == NABLA_KL_DIVERGENCE;
    default:
        return false;
    }
}

// A class without a share counts nothing, whatever its probability. Where a framework multiplies all the
// same, 0·ln 0 is NaN; and the logarithms of torch and optax have the slope 0/0.
static struct loss_term shareless_term(const struct loss_plan *plan, const struct loss_row *row, size_t class)
{
    bool multiplies = multiplies_nothing(plan, row, class);
    struct loss_term term = {0};
    if (multiplies)
        term.value = 0 * row->logs[class];
    if (plan->loss->convention == NABLA_TORCH || (multiplies && plan->loss->convention == NABLA_OPTAX))
        term.slope = 0 / row->probabilities[class];
    return term;
}

// Terms of all classes: the row's loss, and per class the slope or the flow.
static void sum_terms(const struct loss_plan *plan, struct loss_row *row, double *slopes, double *flows)
{
    struct sum total = {0};
    for (size_t j = 0; j < row->classes; j++) {
        struct loss_term term = shareless_term(plan, row, j);
        if (row->mass[j] != 0 || isnan(row->probabilities[j])) {
            struct loss_point point = {row->mass[j], row->probabilities[j], row->complements[j],
                                       row->logs[j]};
            plan->kernel->term(plan->loss, &point, &term);
        }
        sum_add(&total, term.value);
        if (slopes)
            slopes[j] = term.slope;
        if (flows)
            flows[j] = term.flow;
    }
    row->loss = isfinite(total.error) ? total.value + total.error : total.value;
}

// TensorFlow's softmax cross-entropy takes it that targets sum to 1: its gradient is p - y, not (Σy) p - y.
static double presumed_share(const struct loss_plan *plan, const struct loss_row *row)
{
    if (plan->loss->convention != NABLA_KERAS || !plan->batch->targets)
        return 0;
    double missing = 1;
    for (size_t j = 0; j < row->classes; j++)
        missing -= row->mass[j];
    return missing;
}

static void row_from_logits(const struct loss_plan *plan, struct loss_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    bool shaped = shaped_softmax(loss, row);
    double *flow = row->carried; // the shaped logits are no longer needed
    sum_terms(plan, row, NULL, flow);
    loss_softmax_backward(row->classes, row->probabilities, row->complements, flow, flow);
    double along = presumed_share(plan, row);
    if (loss->z_loss > 0) {
        row->loss += loss->z_loss * row->log_sum * row->log_sum;
        along += 2 * loss->z_loss * row->log_sum;
    }
    for (size_t j = 0; j < row->classes; j++) {
        double slope = shaped ? row->gradient[j] : 1;
        row->gradient[j] = (flow[j] + along * row->probabilities[j]) * slope;
    }
}

static void row_from_probabilities(const struct loss_plan *plan, struct loss_row *row)
{
    for (size_t j = 0; j < row->classes; j++) {
        row->probabilities[j] = row->scores[j];
        row->complements[j] = 1 - row->scores[j];
        row->logs[j] = log(row->scores[j]);
    }
    sum_terms(plan, row, row->gradient, row->carried);
    loss_softmax_backward(row->classes, row->scores, row->complements, row->carried, row->carried);
}

// p / `total`, clipped; returns through `complements` 0 where the clip stands in the way.
static void clip_row(const struct loss_plan *plan, struct loss_row *row, const double *p, double total,
                     double high)
{
    for (size_t j = 0; j < row->classes; j++) {
        double share = p[j] / total;
        double kept = share < plan->clip_low ? plan->clip_low : share > high ? high : share;
        if (kept != share && !isnan(share) && row->mass[j] != 0)
            row->clipped = true;
        row->probabilities[j] = kept;
        row->complements[j] = 1 - kept;
        row->logs[j] = log(kept);
    }
}

// The sum of all values but one.
static double row_total(const double *values, size_t count, size_t but)
{
    struct sum total = {0};
    for (size_t j = 0; j < count; j++)
        sum_add(&total, j == but ? 0 : values[j]);
    return total.value + total.error;
}

// Zeroes the slope of each class whose share p/total the clip has moved.
static void clip_slopes(const struct loss_plan *plan, struct loss_row *row, const double *p, double total,
                        double high)
{
    for (size_t j = 0; j < row->classes; j++) {
        double share = p[j] / total;
        if (share < plan->clip_low || share > high)
            row->gradient[j] = 0;
    }
}

// L(clip(p / Σp)). With s_j the slope where the clip lets it through and r = p / Σp, the gradient is
// (s_k (1 - r_k) - Σ_{j≠k} s_j r_j) / Σp. It is orthogonal to p, so that softmax carries it as p_k ·
// gradient.
static void row_renormalise_clip(const struct loss_plan *plan, struct loss_row *row)
{
    size_t classes = row->classes, top = largest(row->scores, classes);
    double total = row_total(row->scores, classes, LOSS_NO_LABEL);
    double rest = row_total(row->scores, classes, top) / total; // 1 - r of the largest, without cancellation
    clip_row(plan, row, row->scores, total, plan->clip_high);
    if (row->probabilities[top] == row->scores[top] / total) {
        row->complements[top] = rest;
        row->logs[top] = rest < 0.5 ? log1p(-rest) : row->logs[top];
    }
    sum_terms(plan, row, row->gradient, NULL);
    clip_slopes(plan, row, row->scores, total, plan->clip_high);
    double *flow = row->carried;
    for (size_t j = 0; j < classes; j++)
        flow[j] = row->gradient[j] * (row->scores[j] / total);
    struct flow_sum sum = sum_flows(classes, flow);
    for (size_t j = 0; j < classes; j++) {
        double complement = j == top ? rest : 1 - row->scores[j] / total;
        row->gradient[j] = (row->gradient[j] * complement - flow_without(&sum, j, flow[j])) / total;
    }
    for (size_t j = 0; j < classes; j++)
        row->carried[j] = row->scores[j] * row->gradient[j];
}

// The flow p·slope of what the clip lets through, in `carried`, carried on through softmax.
static void carry_slopes(struct loss_row *row, const double *p, double *complements)
{
    for (size_t j = 0; j < row->classes; j++) {
        row->carried[j] = p[j] * row->gradient[j];
        complements[j] = 1 - p[j];
    }
    loss_softmax_backward(row->classes, p, complements, row->carried, row->carried);
}

static void row_clip_below(const struct loss_plan *plan, struct loss_row *row)
{
    clip_row(plan, row, row->scores, 1, 1);
    sum_terms(plan, row, row->gradient, NULL);
    clip_slopes(plan, row, row->scores, 1, 1);
    carry_slopes(row, row->scores, row->complements);
}

// Softmax first, then as from probabilities: the softmax's own p and 1 - p stay in use for the way back.
static void row_logits_clip(const struct loss_plan *plan, struct loss_row *row)
{
    bool shaped = shaped_softmax(plan->loss, row);
    double *flow = row->carried;
    struct sum total = {0};
    for (size_t j = 0; j < row->classes; j++) {
        double p = row->probabilities[j];
        double kept = p < plan->clip_low ? plan->clip_low : p > plan->clip_high ? plan->clip_high : p;
        bool moved = kept < p || kept > p;
        struct loss_point point = {row->mass[j], kept, moved ? 1 - kept : row->complements[j],
                                   moved ? log(kept) : row->logs[j]};
        struct loss_term term = {0};
        if (row->mass[j] != 0 || isnan(p))
            plan->kernel->term(plan->loss, &point, &term);
        sum_add(&total, term.value);
        row->clipped |= moved && row->mass[j] != 0;
        flow[j] = moved ? 0 : term.flow;
    }
    row->loss = total.value + total.error;
    loss_softmax_backward(row->classes, row->probabilities, row->complements, flow, flow);
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = flow[j] * (shaped ? row->gradient[j] : 1);
}

// Cross-entropy of v = ln(clip(p)) as logits: d/dv = softmax(v) - y; dv/dp = 1/p where not clipped.
static void row_clip_softmax(const struct loss_plan *plan, struct loss_row *row)
{
    size_t classes = row->classes;
    double *logits = row->gradient;
    for (size_t j = 0; j < classes; j++) {
        double p = row->scores[j];
        double kept = p < plan->clip_low ? plan->clip_low : p > plan->clip_high ? plan->clip_high : p;
        row->clipped |= (kept < p || kept > p) && row->mass[j] != 0;
        logits[j] = log(kept);
    }
    loss_softmax(row, logits, NULL);
    sum_terms(plan, row, NULL, row->carried);
    loss_softmax_backward(classes, row->probabilities, row->complements, row->carried, row->carried);
    for (size_t j = 0; j < classes; j++) {
        double p = row->scores[j];
        row->gradient[j] = p < plan->clip_low || p > plan->clip_high ? 0 : row->carried[j] / p;
    }
    carry_slopes(row, row->scores, row->complements);
}

void loss_row_softmax(const struct loss_plan *plan, struct loss_row *row)
{
    row_mass(plan, row);
    switch (plan->path) {
    case PATH_LOGITS:
        row_from_logits(plan, row);
        break;
    case PATH_LOGITS_CLIP:
        row_logits_clip(plan, row);
        break;
    case PATH_RENORMALISE_CLIP:
        row_renormalise_clip(plan, row);
        break;
    case PATH_CLIP_BELOW:
        row_clip_below(plan, row);
        break;
    case PATH_CLIP_SOFTMAX:
        row_clip_softmax(plan, row);
        break;
    default:
        row_from_probabilities(plan, row);
    }
}
