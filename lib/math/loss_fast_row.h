// One row of cross-entropy over vectors of floats. Included by each loss_fast_<instruction set>.c behind its
// vector operations; LANES and struct-free `vec` come from there.
//
// Exponentials are taken against a power of two M instead of the largest score: exp(x) = 2^n exp(r) with
// r = x - n ln 2 exact to 2^-50, so that no x - max is ever rounded, and 2^(n-M) costs nothing. M lies 50
// below the largest score, so that no exponential that could matter is subnormal before the division by the
// sum. The sum is Kahan's, lane by lane, and leaves out the label: 1 - p of the label is then that sum over
// the total, without cancellation, and ln p of the label is -log1p(sum / exp(label)).
#include "math/loss_fast.h"

#include <math.h>

#define LEAD 50 // bits between the largest exponential and 1

struct range_sum {
    double sum, squares;
};

static inline float range_max(const float *x, size_t count, float start)
{
    vec best[4] = {vec_all(start), vec_all(start), vec_all(start), vec_all(start)};
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (size_t k = 0; k < 4; k++)
            best[k] = vec_max(best[k], vec_load(x + i + k * LANES));
    for (; i + LANES <= count; i += LANES)
        best[0] = vec_max(best[0], vec_load(x + i));
    if (i < count)
        best[1] = vec_max(best[1], vec_load_first(x + i, count - i, -INFINITY));
    return vec_largest(vec_max(vec_max(best[0], best[1]), vec_max(best[2], best[3])));
}

// exp(x) / 2^M; the polynomial is (exp(r) - 1 - r) / r² on |r| <= 0.352 (its error 0.1 of 2^-24 at most).
static inline vec vec_exp(vec x, vec floor, vec power)
{
    x = vec_max(floor, x); // this order keeps a NaN
    vec n = vec_round(vec_mul(x, vec_all(0x1.715476p+0f)));
    vec r = vec_fnma(n, vec_all(0x1.62e43p-1f), x);
    r = vec_fnma(n, vec_all(-0x1.05c610p-29f), r);
    vec q = vec_fma(vec_all(0x1.6a14d4p-10f), r, vec_all(0x1.12432ap-7f));
    q = vec_fma(q, r, vec_all(0x1.55592cp-5f));
    q = vec_fma(q, r, vec_all(0x1.555484p-3f));
    q = vec_fma(q, r, vec_all(0x1.fffffcp-2f));
    vec e = vec_add(vec_all(1), vec_fma(vec_mul(r, r), q, r));
    return vec_ldexp(e, vec_sub(n, power));
}

struct kahan {
    vec sum, error;
};

static inline void kahan_add(struct kahan *total, vec term)
{
    vec y = vec_sub(term, total->error);
    vec sum = vec_add(total->sum, y);
    total->error = vec_sub(vec_sub(sum, total->sum), y);
    total->sum = sum;
}

// Exponentials of a range, into `e` unless NULL. Squares go to double each 64 vectors: floats would drift.
static inline struct range_sum range_exp(const float *x, float *e, size_t count, vec floor, vec power)
{
    struct kahan total[4] = {0};
    struct range_sum ret = {0};
    size_t i = 0;
    while (i + 4 * LANES <= count) {
        vec squares[4] = {0};
        size_t left = (count - i) / (4 * LANES);
        for (size_t block = left < 16 ? left : 16; block > 0; block--, i += 4 * LANES)
            for (size_t k = 0; k < 4; k++) {
                vec value = vec_exp(vec_load(x + i + k * LANES), floor, power);
                if (e)
                    vec_store(e + i + k * LANES, value);
                kahan_add(&total[k], value);
                squares[k] = vec_fma(value, value, squares[k]);
            }
        ret.squares += vec_total(vec_add(vec_add(squares[0], squares[1]), vec_add(squares[2], squares[3])));
    }
    vec squares = vec_all(0);
    for (; i < count; i += LANES) {
        size_t part = count - i < LANES ? count - i : LANES;
        vec value = vec_keep_first(vec_exp(vec_load_first(x + i, part, 0), floor, power), part);
        if (e)
            vec_store_first(e + i, value, part);
        kahan_add(&total[0], value);
        squares = vec_fma(value, value, squares);
    }
    ret.squares += vec_total(squares);
    for (size_t k = 0; k < 4; k++)
        ret.sum += vec_total(total[k].sum) - vec_total(total[k].error);
    return ret;
}

static inline void range_scale(const float *e, float *to, size_t count, float factor)
{
    vec by = vec_all(factor);
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        vec_store(to + i, vec_mul(vec_load(e + i), by));
        vec_store(to + i + LANES, vec_mul(vec_load(e + i + LANES), by));
    }
    for (; i < count; i += LANES) {
        size_t part = count - i < LANES ? count - i : LANES;
        vec_store_first(to + i, vec_mul(vec_load_first(e + i, part, 0), by), part);
    }
}

static bool row_poison(struct loss_fast_row *row)
{
    for (size_t j = 0; j < row->classes; j++) {
        if (row->gradient)
            row->gradient[j] = NAN;
        if (row->probabilities)
            row->probabilities[j] = NAN;
    }
    row->loss = row->complement = row->squares = NAN;
    row->correct = false;
    row->poisoned = true;
    return true;
}

// Everything but the label of e, times factor / total; the label's own value apart.
static void row_scale(const struct loss_fast_row *row, const float *e, float *to, double factor, double own)
{
    if (!to)
        return;
    size_t label = row->label;
    range_scale(e, to, label, (float)factor);
    range_scale(e + label + 1, to + label + 1, row->classes - label - 1, (float)factor);
    to[label] = (float)own;
}

static bool row_compute(struct loss_fast_row *row)
{
    const float *x = row->scores;
    size_t label = row->label, behind = row->classes - label - 1;
    float own = x[label];
    float others = range_max(x + label + 1, behind, range_max(x, label, -INFINITY));
    float max = own > others ? own : others;
    if (!(fabsf(max) <= 0x1p17f) || !(others >= own - 60 || isnan(own)))
        return false;
    float lead = rintf(max * 0x1.715476p+0f);
    vec power = vec_all(lead - LEAD), floor = vec_all(max - 200);
    float *e = row->gradient ? row->gradient : row->probabilities;
    struct range_sum before = range_exp(x, e, label, floor, power);
    struct range_sum after = range_exp(x + label + 1, e ? e + label + 1 : NULL, behind, floor, power);

    double gap = (double)lead * M_LN2 - (double)own; // lead·ln2 - own
    double rest = (before.sum + after.sum) * 0x1p-50;
    double mine = exp(-gap), total = rest + mine;
    if (!(total > 0 && total < INFINITY))
        return row_poison(row);
    double p = mine / total;
    row->correct = own > others;
    row->poisoned = false;
    row->complement = rest / total;
    row->loss = gap > 30 ? gap + log(total) : log1p(rest / mine);
    row->squares =
        (before.squares + after.squares) * 0x1p-100 / (total * total) + row->complement * row->complement;
    row_scale(row, e, row->probabilities, 0x1p-50 / total, p);
    row_scale(row, e, row->gradient, row->factor * 0x1p-50 / total, -row->complement * row->factor);
    return true;
}
