#include "math/loss_oracle.h"

#include <math.h>

// As far as rounding in double may have moved a probability against a clip's bound.
#define EDGE 0x1p-46f128

bool loss_oracle_poisoned(struct loss_oracle_row *row, const _Float128 *scores)
{
    bool poisoned = false, number = false;
    for (size_t j = 0; j < row->classes; j++) {
        poisoned |= isnan(scores[j]) || (isinf(scores[j]) && scores[j] > 0);
        number |= !isinf(scores[j]);
    }
    poisoned |= !number;
    for (size_t j = 0; poisoned && j < row->classes; j++)
        row->gradient[j] = row->largest[j] = NAN;
    return poisoned;
}

static _Float128 sum(const _Float128 *values, size_t count, size_t but)
{
    _Float128 total = 0;
    for (size_t j = 0; j < count; j++)
        total += j == but ? 0 : values[j];
    return total;
}

static size_t top_of(const _Float128 *values, size_t count)
{
    size_t top = 0;
    for (size_t j = 1; j < count; j++)
        if (values[j] > values[top])
            top = j;
    return top;
}

// p, 1 - p and ln p of logits in the row's scratch; returns ln Σ exp(logit - largest logit).
static _Float128 softmax(struct loss_oracle_row *row, const _Float128 *logits)
{
    size_t top = top_of(logits, row->classes);
    _Float128 largest = logits[top];
    for (size_t j = 0; j < row->classes; j++)
        row->p[j] = expf128(logits[j] - largest);
    _Float128 others = sum(row->p, row->classes, top), log_sum = log1pf128(others);
    for (size_t j = 0; j < row->classes; j++) {
        row->log[j] = logits[j] - largest - log_sum;
        row->p[j] /= 1 + others;
        row->rest[j] = j == top ? others / (1 + others) : 1 - row->p[j];
    }
    return log_sum;
}

// The same of p = values / Σ values.
static _Float128 normalise(struct loss_oracle_row *row, const _Float128 *values)
{
    size_t top = top_of(values, row->classes);
    _Float128 others = sum(values, row->classes, top), total = others + values[top];
    for (size_t j = 0; j < row->classes; j++) {
        row->p[j] = values[j] / total;
        row->rest[j] = j == top ? others / total : 1 - row->p[j];
        row->log[j] = logf128(row->p[j]);
    }
    return total;
}

// The target's share of each class: smoothed, clipped where the convention does, weighted.
static void masses(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    _Float128 smoothing = loss->label_smoothing, count = (_Float128)row->classes;
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 share = row->targets[j] * (1 - smoothing) + smoothing / count;
        if (plan->path == PATH_CLIP_BELOW)
            share = share < plan->clip_low ? plan->clip_low : share > 1 ? 1 : share;
        if (loss->type == NABLA_FOCAL && !isnan(loss->alpha))
            share *= loss->alpha;
        if (loss->class_weights && !plan->weight_per_row)
            share *= loss->class_weights[j];
        row->mass[j] = share;
    }
}

// p · d value / dp of one class: what flows into the softmax.
static _Float128 flow_of(const struct nabla_loss *loss, _Float128 mass, _Float128 p, _Float128 rest,
                         _Float128 log)
{
    switch (loss->type) {
    case NABLA_CROSS_ENTROPY:
    case NABLA_KL_DIVERGENCE:
        return isnan(p) ? p : -mass;
    case NABLA_POLY:
        if (loss->epsilon < 0) // 1 + ε p, where p may round to 1
            return -mass * ((1 + (_Float128)loss->epsilon) - loss->epsilon * rest);
        return -mass * (1 + loss->epsilon * p);
    case NABLA_GENERALIZED_CROSS_ENTROPY:
        return -mass * expf128(loss->q * log);
    case NABLA_FOCAL: {
        _Float128 pull = p == 0 ? 0 : loss->gamma * p * (rest == 0 ? 1 : -log / rest);
        return -mass * powf128(rest, loss->gamma) * (1 + pull);
    }
    default:
        return NAN; // a loss of another family, or one without a formula here
    }
}

// d value / dp.
static _Float128 slope_of(const struct nabla_loss *loss, _Float128 mass, _Float128 p, _Float128 rest,
                          _Float128 log)
{
    if (loss->type != NABLA_GENERALIZED_CROSS_ENTROPY)
        return flow_of(loss, mass, p, rest, log) / p;
    return loss->q == 1 ? -mass : -mass * expf128((loss->q - 1) * log);
}

// flow_k (1 - p_k) - p_k Σ_{j≠k} flow_j, the flows being in the row's gradient.
static void backward(struct loss_oracle_row *row)
{
    size_t top = 0;
    for (size_t k = 1; k < row->classes; k++)
        top = fabsf128(row->gradient[k]) > fabsf128(row->gradient[top]) ? k : top;
    _Float128 others = sum(row->gradient, row->classes, top), total = others + row->gradient[top];
    for (size_t k = 0; k < row->classes; k++) {
        _Float128 flow = row->gradient[k];
        oracle_put(row, k, flow * row->rest[k], -row->p[k] * (k == top ? others : total - flow));
    }
}

// A class without a share counts nothing, whatever its probability.
static bool has_share(const struct loss_oracle_row *row, size_t j)
{
    return row->mass[j] != 0 || isnan(row->p[j]);
}

static _Float128 row_flow(const struct loss_plan *plan, const struct loss_oracle_row *row, size_t j)
{
    if (!has_share(row, j))
        return 0;
    return flow_of(plan->loss, row->mass[j], row->p[j], row->rest[j], row->log[j]);
}

// torch's logarithm, and that of optax' divergence from targets, have the slope 0/p where there is no share.
static _Float128 row_slope(const struct loss_plan *plan, const struct loss_oracle_row *row, size_t j)
{
    const struct nabla_loss *loss = plan->loss;
    bool divides =
        loss->convention == NABLA_TORCH ||
        (loss->convention == NABLA_OPTAX && plan->batch->targets && loss->type == NABLA_KL_DIVERGENCE);
    if (!has_share(row, j))
        return divides && row->p[j] == 0 ? NAN : 0;
    return slope_of(loss, row->mass[j], row->p[j], row->rest[j], row->log[j]);
}

// Whether a clip of p to [low, high] stands in the way. `lean` 0 is for a p that no rounding has moved.
static bool clipped(const struct loss_plan *plan, _Float128 p, int lean)
{
    return p < plan->clip_low * (1 + lean * EDGE) || p > plan->clip_high * (1 - lean * EDGE);
}

// The logit as the softmax sees it, and its derivative.
static _Float128 shape(const struct nabla_loss *loss, _Float128 x, _Float128 *ret_slope)
{
    _Float128 cap = loss->softcap, temperature = loss->temperature;
    *ret_slope = 1 / temperature;
    if (!(loss->softcap > 0))
        return x / temperature;
    _Float128 cosine = coshf128(x / cap);
    *ret_slope = 1 / cosine / cosine / temperature;
    return (isinf(x) ? x : cap * tanhf128(x / cap)) / temperature;
}

// Back from the logits as the softmax saw them, with what pulls along every probability added.
static void finish_logits(const struct loss_plan *plan, struct loss_oracle_row *row, _Float128 along,
                          _Float128 along_largest)
{
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 slope;
        shape(plan->loss, row->scores[j], &slope);
        row->gradient[j] = (row->gradient[j] + along * row->p[j]) * slope;
        row->largest[j] = oracle_larger(row->largest[j], along_largest * row->p[j]) * slope;
    }
}

// Keras takes it that targets sum to 1: its gradient is p - y, not (Σy) p - y. z_loss adds 2 λ lse p.
static void from_logits(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    _Float128 log_sum = softmax(row, row->logits), along = 0, largest = 0;
    _Float128 max = row->logits[top_of(row->logits, row->classes)];
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = row_flow(plan, row, j);
    backward(row);
    if (plan->loss->convention == NABLA_KERAS && plan->batch->targets) {
        _Float128 mass = sum(row->mass, row->classes, row->classes);
        along = 1 - mass;
        largest = oracle_larger(1, mass);
    }
    if (plan->loss->z_loss > 0) {
        _Float128 pull = 2 * (_Float128)plan->loss->z_loss;
        along += pull * (max + log_sum);
        largest = oracle_larger(largest, pull * oracle_larger(max < 0 ? -max : max, log_sum));
    }
    finish_logits(plan, row, along, largest);
}

// Keras' focal loss: softmax, then a clip that lets no gradient through.
static void from_clipped_softmax(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    softmax(row, row->logits);
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = clipped(plan, row->p[j], row->lean) ? 0 : row_flow(plan, row, j);
    backward(row);
    finish_logits(plan, row, 0, 0);
}

static void from_probabilities(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    for (size_t j = 0; j < row->classes; j++) {
        row->p[j] = row->scores[j];
        row->rest[j] = 1 - row->p[j];
        row->log[j] = logf128(row->p[j]);
        bool beyond = plan->path == PATH_CLIP_BELOW && (row->p[j] < plan->clip_low || row->p[j] > 1);
        oracle_put(row, j, beyond ? 0 : row_slope(plan, row, j), 0);
    }
}

// r = p / Σp, and s_j the slope at r_j where the clip lets it through: (s_k (1 - r_k) - Σ_{j≠k} s_j r_j) /
// Σp.
static void from_renormalised(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    _Float128 total = normalise(row, row->scores), pull = 0;
    for (size_t j = 0; j < row->classes; j++) {
        row->logits[j] = clipped(plan, row->p[j], row->lean) ? 0 : row_slope(plan, row, j);
        pull += row->logits[j] * row->p[j];
    }
    for (size_t k = 0; k < row->classes; k++) {
        _Float128 own = row->logits[k];
        oracle_put(row, k, own * row->rest[k] / total, -(pull - own * row->p[k]) / total);
    }
}

// Cross-entropy of ln(clip(p)) as logits; its softmax is the clipped p over their sum.
static void from_clipped_logits(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 p = row->scores[j];
        row->logits[j] = p < plan->clip_low ? plan->clip_low : p > plan->clip_high ? plan->clip_high : p;
    }
    normalise(row, row->logits);
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = row_flow(plan, row, j);
    backward(row);
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 p = row->scores[j];
        row->gradient[j] = clipped(plan, p, 0) ? 0 : row->gradient[j] / p;
        row->largest[j] /= p;
    }
}

void loss_oracle_softmax(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    bool logits = plan->path == PATH_LOGITS || plan->path == PATH_LOGITS_CLIP;
    masses(plan, row);
    for (size_t j = 0; j < row->classes && logits; j++) {
        _Float128 slope;
        row->logits[j] = shape(plan->loss, row->scores[j], &slope);
    }
    if (logits && loss_oracle_poisoned(row, row->logits))
        return;
    switch (plan->path) {
    case PATH_LOGITS:
        from_logits(plan, row);
        break;
    case PATH_LOGITS_CLIP:
        from_clipped_softmax(plan, row);
        break;
    case PATH_RENORMALISE_CLIP:
        from_renormalised(plan, row);
        break;
    case PATH_CLIP_SOFTMAX:
        from_clipped_logits(plan, row);
        break;
    default:
        from_probabilities(plan, row);
    }
}
