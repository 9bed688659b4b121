// Losses that are a sum over the outputs, and the hinges.
#include "math/loss_oracle.h"

#include <math.h>

// As far as rounding in double may have moved a hinge, relative to what it is computed from.
#define EDGE 0x1p-50f128

static _Float128 magnitude(_Float128 x)
{
    return x < 0 ? -x : x;
}

// One output's probability, and what a binary loss makes of it.
struct binary {
    _Float128 p, rest, log, log_rest; // p, 1 - p and their logarithms
    _Float128 yes, no;                // the shares of both answers
    bool clipped;
};

static struct binary binary_read(const struct loss_plan *plan, const struct loss_oracle_row *row, size_t j)
{
    _Float128 x = row->scores[j], smoothing = plan->loss->label_smoothing;
    _Float128 y = row->targets[j] * (1 - smoothing) + smoothing / 2;
    struct binary b = {.p = x, .rest = 1 - x, .log = logf128(x), .log_rest = log1pf128(-x)};
    if (plan->path == PATH_LOGITS) {
        _Float128 tail = log1pf128(expf128(-magnitude(x)));
        b = (struct binary){.p = 1 / (1 + expf128(-x)), .rest = 1 / (1 + expf128(x))};
        b.log = x < 0 ? x - tail : -tail;
        b.log_rest = x < 0 ? -tail : -x - tail;
    }
    b.clipped = plan->path == PATH_CLIP && (b.p < plan->clip_low || b.p > plan->clip_high);
    b.yes = plan->loss->pos_weight ? y * plan->loss->pos_weight[j] : y;
    b.no = 1 - y;
    return b;
}

// -(yes ln p + no ln(1-p)); from logits its derivative is no·p - yes·(1-p).
static void entropy_put(const struct loss_plan *plan, struct loss_oracle_row *row, size_t j,
                        const struct binary *b)
{
    if (b->clipped) {
        oracle_put(row, j, 0, 0);
    } else if (plan->path == PATH_LOGITS) {
        oracle_put(row, j, oracle_share(b->no, b->p), -oracle_share(b->yes, b->rest));
    } else if (plan->path == PATH_CLAMP_LOG) { // torch: (p - y) / max(p (1-p), 1e-12f)
        _Float128 spread = oracle_larger(b->p * b->rest, (double)1e-12f);
        oracle_put(row, j, oracle_share(b->no, b->p) / spread, -oracle_share(b->yes, b->rest) / spread);
    } else {
        oracle_put(row, j, oracle_share(b->no, 1 / b->rest), -oracle_share(b->yes, 1 / b->p));
    }
}

// miss^γ · entropy with miss = y (1-p) + (1-y) p, by the product rule. Keras clips the entropy alone.
static void focal_put(const struct loss_plan *plan, struct loss_oracle_row *row, size_t j,
                      const struct binary *b)
{
    const struct nabla_loss *loss = plan->loss;
    _Float128 gamma = loss->gamma, y = 1 - b->no;
    _Float128 kept = b->p < plan->clip_low ? plan->clip_low : plan->clip_high;
    _Float128 log = b->clipped ? logf128(kept) : b->log;
    _Float128 log_rest = b->clipped ? log1pf128(-kept) : b->log_rest;
    _Float128 entropy = -oracle_share(b->yes, log) - oracle_share(b->no, log_rest);
    _Float128 miss = y * b->rest + b->no * b->p, factor = powf128(miss, gamma);
    _Float128 steep = gamma == 0 || entropy == 0 ? 0 : gamma * powf128(miss, gamma - 1) * entropy;
    _Float128 by_miss = (1 - 2 * y) * steep;
    if (plan->path == PATH_LOGITS)
        by_miss = oracle_share((1 - 2 * y) * b->p * b->rest, steep);
    _Float128 weight = isnan(loss->alpha) ? 1 : y * loss->alpha + b->no * (1 - (_Float128)loss->alpha);
    entropy_put(plan, row, j, b);
    _Float128 largest = oracle_share(factor, row->largest[j]);
    oracle_put(row, j, weight * oracle_share(factor, row->gradient[j]), weight * by_miss);
    row->largest[j] = oracle_larger(row->largest[j], weight * largest);
}

static _Float128 outputs_of(const struct loss_plan *plan)
{
    return plan->sums_outputs ? 1 : (_Float128)plan->batch->classes;
}

void loss_oracle_binary(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    if (plan->loss->convention == NABLA_EXACT && loss_oracle_poisoned(row, row->scores))
        return;
    for (size_t j = 0; j < row->classes; j++) {
        struct binary b = binary_read(plan, row, j);
        if (plan->loss->type == NABLA_BINARY_FOCAL)
            focal_put(plan, row, j, &b);
        else
            entropy_put(plan, row, j, &b);
        _Float128 weight = plan->loss->class_weights ? plan->loss->class_weights[j] : 1;
        row->gradient[j] = oracle_share(weight, row->gradient[j]) / outputs_of(plan);
        row->largest[j] = oracle_share(weight, row->largest[j]) / outputs_of(plan);
    }
}

void loss_oracle_regression(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    _Float128 delta = plan->loss->delta;
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 d = row->scores[j] - row->targets[j];
        if (plan->loss->type == NABLA_MEAN_SQUARED_ERROR)
            d *= 2;
        else
            d = d > delta ? delta : d < -delta ? -delta : d;
        oracle_put(row, j, d / outputs_of(plan), 0);
    }
}

// margin - x_y + x_j where that is above 0, else 0; `ret_largest` is the largest of the three.
static _Float128 hinge(const struct loss_plan *plan, const struct loss_oracle_row *row, _Float128 right,
                       _Float128 wrong, _Float128 *ret_largest)
{
    _Float128 z = plan->loss->margin - (right - wrong);
    _Float128 largest = oracle_larger(plan->loss->margin, oracle_larger(magnitude(right), magnitude(wrong)));
    *ret_largest = largest;
    return z <= (isinf(largest) ? 0 : row->lean * EDGE * largest) ? 0 : z;
}

static void hinge_sum(const struct loss_plan *plan, struct loss_oracle_row *row, size_t label,
                      _Float128 weight)
{
    bool squared = plan->loss->type == NABLA_SQUARED_HINGE;
    _Float128 pull = 0, pull_largest = 0;
    for (size_t j = 0; j < row->classes; j++) {
        _Float128 largest, z = hinge(plan, row, row->scores[label], row->scores[j], &largest);
        if (j == label || z == 0)
            continue;
        row->gradient[j] = weight * (squared ? 2 * z : 1);
        row->largest[j] = weight * (squared ? 2 * largest : 1);
        pull += row->gradient[j];
        pull_largest = oracle_larger(pull_largest, row->largest[j]);
    }
    row->gradient[label] = -pull;
    row->largest[label] = pull_largest;
}

// Whether rounding may have put a hinge on its corner; leaning neither way, it lies there.
static bool hinge_corner(const struct loss_oracle_row *row, _Float128 z, _Float128 edge)
{
    return row->lean == 0 && magnitude(z) <= edge;
}

// Keras and optax: only the largest wrong score counts, for Keras if it is at least 0. Ties share the
// gradient: Keras has one with the 0 that stands for the right class, optax one with the right class on the
// corner.
static void hinge_largest(const struct loss_plan *plan, struct loss_oracle_row *row, size_t label,
                          _Float128 weight)
{
    bool keras = plan->loss->convention == NABLA_KERAS;
    _Float128 worst = keras ? 0 : -INFINITY, right = row->scores[label], ties = 0;
    for (size_t j = 0; j < row->classes; j++)
        if (j != label)
            worst = oracle_larger(row->scores[j], worst);
    for (size_t j = 0; j < row->classes; j++)
        ties += j == label ? keras && worst == 0 : row->scores[j] == worst;
    _Float128 z = plan->loss->margin - (right - worst);
    _Float128 largest = oracle_larger(plan->loss->margin, oracle_larger(magnitude(right), magnitude(worst)));
    _Float128 edge = isinf(largest) ? 0 : EDGE * largest;
    bool corner = !keras && hinge_corner(row, z, edge);
    if (z < row->lean * edge && !corner)
        return;
    ties += corner;
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = j != label && row->scores[j] == worst ? weight / ties : 0;
    row->gradient[label] = -weight + (corner ? weight / ties : 0);
}

void loss_oracle_hinge(const struct loss_plan *plan, struct loss_oracle_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    size_t label = 0;
    while (label + 1 < row->classes && row->targets[label] != 1)
        label++;
    _Float128 weight = loss->class_weights && !plan->weight_per_row ? loss->class_weights[label] : 1;
    if (loss->convention == NABLA_TORCH)
        weight /= (_Float128)row->classes;
    for (size_t j = 0; j < row->classes; j++)
        row->gradient[j] = row->largest[j] = 0;
    if (loss_oracle_poisoned(row, row->scores))
        return;
    if (loss->convention == NABLA_KERAS || loss->convention == NABLA_OPTAX)
        hinge_largest(plan, row, label, weight);
    else
        hinge_sum(plan, row, label, weight);
}
