// Losses that are a sum over the outputs: binary cross-entropy and its focal form, squared error, huber.
#include "math/loss_row.h"

#include <math.h>

// One output's probability in every form that a binary loss needs, none computed from another by
// cancellation.
struct binary {
    double p, complement;         // σ(x), σ(-x)
    double log_p, log_complement; // ln of both
    bool clipped;                 // the clip stands in the gradient's way
};

static struct binary binary_of_logit(double x)
{
    double e = exp(-fabs(x));
    double high = 1 / (1 + e), low = e / (1 + e);
    double log_high = -log1p(e), log_low = -fabs(x) + log_high;
    if (x >= 0)
        return (struct binary){high, low, log_high, log_low, false};
    return (struct binary){low, high, log_low, log_high, false};
}

static struct binary binary_of_probability(double p)
{
    return (struct binary){p, 1 - p, log(p), log1p(-p), false};
}

static struct binary binary_clip(const struct loss_plan *plan, struct binary b)
{
    double kept = b.p < plan->clip_low ? plan->clip_low : b.p > plan->clip_high ? plan->clip_high : b.p;
    if (kept == b.p || isnan(b.p))
        return b;
    return (struct binary){kept, 1 - kept, log(kept), log1p(-kept), true};
}

static struct binary binary_read(const struct loss_plan *plan, double score)
{
    bool logits = plan->path == PATH_LOGITS || plan->path == PATH_LOGITS_CLIP;
    return logits ? binary_of_logit(score) : binary_of_probability(score);
}

// a·b, where a share of 0 counts nothing even of an infinity; a NaN stays.
static double share_of(double share, double value)
{
    return share == 0 && !isnan(value) ? 0 : share * value;
}

// The slope and flow of a loss whose flow is known, by the input: from logits the score is the logit.
static void element_finish(const struct loss_plan *plan, double slope, double flow, struct loss_term *ret)
{
    ret->flow = flow;
    ret->slope = plan->loss->input == NABLA_LOGITS ? flow : slope;
}

// The binary loss of a logit of ±∞ as the framework writes it: ∞, or NaN where it multiplies that with 0 or
// takes it from itself.
static double infinite_loss(enum nabla_convention convention, double x, double yes, double no)
{
    double above = fmax(x, 0), below = fmax(-x, 0);
    switch (convention) {
    case NABLA_TORCH:
        return no * x + (yes + no) * below;
    case NABLA_KERAS:
        return above - x * (1 - no);
    case NABLA_OPTAX:
        return yes * below + no * above;
    default:
        return share_of(yes, below) + share_of(no, above);
    }
}

// -(w y ln p + (1-y) ln(1-p)), w = pos_weight
void loss_element_binary(const struct loss_plan *plan, const struct loss_element *element,
                         struct loss_term *ret)
{
    struct binary b = binary_read(plan, element->score);
    if (plan->path == PATH_CLIP)
        b = binary_clip(plan, b);
    if (plan->path == PATH_CLAMP_LOG) {
        b.log_p = fmax(b.log_p, -100);
        b.log_complement = fmax(b.log_complement, -100);
    }
    double yes = element->pos_weight * element->target, no = 1 - element->target;
    ret->value = -share_of(yes, b.log_p) - share_of(no, b.log_complement);
    if (isinf(element->score))
        ret->value = infinite_loss(plan->loss->convention, element->score, yes, no);
    double flow = b.clipped ? 0 : -share_of(yes, b.complement) + share_of(no, b.p);
    double spread = b.p * b.complement;
    double slope = b.clipped ? 0 : -share_of(yes, 1 / b.p) + share_of(no, 1 / b.complement);
    if (plan->path == PATH_CLAMP_LOG) { // torch does not differentiate its clamp: (p-y) / max(p(1-p), 1e-12f)
        slope = flow / fmax(spread, (double)1e-12f);
        flow = slope * spread;
    }
    element_finish(plan, slope, flow, ret);
}

// (1-p_t)^γ · cross-entropy, with 1 - p_t = y(1-p) + (1-y)p; alpha weighs y, 1 - alpha the others.
// Keras clips for the cross-entropy alone, not for p_t.
void loss_element_binary_focal(const struct loss_plan *plan, const struct loss_element *element,
                               struct loss_term *ret)
{
    double y = element->target, gamma = plan->loss->gamma, alpha = plan->loss->alpha;
    struct binary b = binary_read(plan, element->score);
    struct binary c =
        plan->path == PATH_LOGITS || plan->path == PATH_PROBABILITIES ? b : binary_clip(plan, b);
    double yes = element->pos_weight * y, no = 1 - y;
    double entropy = -share_of(yes, c.log_p) - share_of(no, c.log_complement);
    double entropy_flow = c.clipped ? 0 : -share_of(yes, b.complement) + share_of(no, b.p);
    double miss = y * b.complement + no * b.p;
    double miss_slope = 1 - 2 * y; // d miss / dp
    double spread = b.p * b.complement;
    double factor = pow(miss, gamma);
    double steep = gamma == 0 || entropy == 0 ? 0 : gamma * pow(miss, gamma - 1) * entropy;
    double weight = isnan(alpha) ? 1 : y * alpha + no * (1 - alpha);
    double slope = c.clipped ? 0 : -share_of(yes, 1 / b.p) + share_of(no, 1 / b.complement);
    ret->value = weight * share_of(factor, entropy);
    element_finish(plan, weight * (share_of(factor, slope) + miss_slope * steep),
                   weight * (factor * entropy_flow + share_of(miss_slope * spread, steep)), ret);
}

// (x - t)²
void loss_element_squared(const struct loss_plan *plan, const struct loss_element *element,
                          struct loss_term *ret)
{
    (void)plan;
    double d = element->score - element->target;
    *ret = (struct loss_term){d * d, 2 * d, 0};
}

// d²/2 up to |d| = δ, then δ (|d| - δ/2) (Huber, 1964)
void loss_element_huber(const struct loss_plan *plan, const struct loss_element *element,
                        struct loss_term *ret)
{
    double d = element->score - element->target, delta = plan->loss->delta;
    if (fabs(d) <= delta)
        *ret = (struct loss_term){d * d / 2, d, 0};
    else
        *ret = (struct loss_term){delta * (fabs(d) - delta / 2), isnan(d) ? d : copysign(delta, d), 0};
}

static void row_poison(struct loss_row *row)
{
    row->loss = NAN;
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = row->carried[j] = row->probabilities[j] = NAN;
}

// The smoothed target: towards 1/2.
static double binary_target(double target, double smoothing)
{
    return smoothing > 0 ? target * (1 - smoothing) + smoothing / 2 : target;
}

void loss_row_binary(const struct loss_plan *plan, struct loss_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    if (loss->convention == NABLA_EXACT && loss_row_nonfinite(row->scores, row->classes)) {
        row_poison(row); // to the frameworks, each output is a row of its own
        return;
    }
    double outputs = plan->sums_outputs ? 1 : (double)row->classes;
    double total = 0;
    for (size_t j = 0; j < row->classes; j++) {
        struct loss_element element = {row->scores[j], binary_target(row->targets[j], loss->label_smoothing),
                                       loss->pos_weight ? loss->pos_weight[j] : 1};
        struct loss_term term;
        plan->kernel->element(plan, &element, &term);
        double weight = loss->class_weights ? loss->class_weights[j] : 1;
        total += share_of(weight, term.value);
        row->gradient[j] = share_of(weight, term.slope) / outputs;
        row->carried[j] = share_of(weight, term.flow) / outputs;
        row->probabilities[j] =
            loss->input == NABLA_LOGITS ? binary_of_logit(row->scores[j]).p : row->scores[j];
        row->clipped |= term.slope == 0 && (plan->path == PATH_CLIP || plan->path == PATH_LOGITS_CLIP) &&
                        binary_clip(plan, binary_read(plan, row->scores[j])).clipped;
    }
    row->loss = total / outputs;
}

void loss_row_regression(const struct loss_plan *plan, struct loss_row *row)
{
    double outputs = plan->sums_outputs ? 1 : (double)row->classes;
    double total = 0;
    for (size_t j = 0; j < row->classes; j++) {
        struct loss_element element = {row->scores[j], row->targets[j], 1};
        struct loss_term term;
        plan->kernel->element(plan, &element, &term);
        total += term.value;
        row->gradient[j] = term.slope / outputs;
        row->probabilities[j] = row->scores[j];
        row->complements[j] = 1 - row->scores[j];
        row->carried[j] = row->scores[j] * row->gradient[j];
    }
    row->loss = total / outputs;
    if (plan->loss->input == NABLA_PROBABILITIES)
        loss_softmax_backward(row->classes, row->scores, row->complements, row->carried, row->carried);
}
