// One row of cross-entropy over vectors of floats. Included by each loss_fast_<instruction set>.c behind its
// vector operations; LANES and struct-free `vec` come from there.
//
// Exponentials are taken against a power of two M instead of the largest score: exp(x) = 2^n exp(r) with
// r = x - n ln 2 exact to 2^-50, so that no x - max is ever rounded, and 2^(n-M) is an addition to the
// exponent's bits. M lies 50 below the largest score, so that no exponential that could matter is subnormal
// before the division by the sum; what lies 120 below the largest score counts as that, and as 0 in the
// result. The sum is Kahan's, lane by lane, and leaves out the label: 1 - p of the label is then that sum
// over the total, without cancellation, and ln p of the label is -log1p(sum / exp(label)).
#include "math/loss_fast.h"

#include <math.h>

#define LEAD 50 // bits between the largest exponential and 1

struct range_top {
    vec best, check; // the largest; a sum that is NaN if any score is
};

static inline struct range_top range_max(const float *x, size_t count, struct range_top top)
{
    vec best[4] = {top.best, top.best, top.best, top.best}, check[2] = {top.check, vec_all(0)};
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            vec value = vec_hold(vec_load(x + i + k * LANES));
            best[k] = vec_max(best[k], value);
            check[k % 2] = vec_add(check[k % 2], value);
        }
    for (; i < count; i += LANES) {
        size_t part = count - i < LANES ? count - i : LANES;
        vec value = vec_load_first(x + i, part, -INFINITY);
        best[0] = vec_max(best[0], value);
        check[0] = vec_add(check[0], value);
    }
    return (struct range_top){vec_max(vec_max(best[0], best[1]), vec_max(best[2], best[3])),
                              vec_add(check[0], check[1])};
}

// exp(x) / 2^M. `shift` is 1.5·2^23 - M: adding it rounds x/ln 2 to an integer n, and leaves n - M in the
// lowest bits. The polynomial is (exp(r) - 1 - r) / r² on |r| <= 0.352 (its error 0.1 of 2^-24 at most).
static inline vec vec_exp(vec x, vec floor, vec shift)
{
    x = vec_max(x, floor);
    vec shifted = vec_fma(x, vec_all(0x1.715476p+0f), shift);
    vec n = vec_sub(shifted, shift);
    vec r = vec_fnma(n, vec_all(0x1.62e43p-1f), x);
    r = vec_fnma(n, vec_all(-0x1.05c610p-29f), r);
    vec q = vec_fma(vec_all(0x1.6a14d4p-10f), r, vec_all(0x1.12432ap-7f));
    q = vec_fma(q, r, vec_all(0x1.55592cp-5f));
    q = vec_fma(q, r, vec_all(0x1.555484p-3f));
    q = vec_fma(q, r, vec_all(0x1.fffffcp-2f));
    q = vec_fma(q, r, vec_all(1));
    return vec_scale_bits(vec_fma(q, r, vec_all(1)), shifted);
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

// What the rows' loops gather; of the label nothing enters it.
struct row_sums {
    struct kahan sum[2];
    double squares; // of exponentials that were not kept; else range_scale sums them
};

// The exponentials of four vectors at x, to `e` unless NULL. `label` is relative to x. Two at a time go to
// a sum: one rounding more, and three additions less.
static inline void block_exp(struct row_sums *sums, vec squares[2], const float *x, float *e, size_t label,
                             vec floor, vec shift)
{
    vec value[4];
#pragma GCC unroll 4
    for (size_t k = 0; k < 4; k++) {
        value[k] = vec_exp(vec_load(x + k * LANES), floor, shift);
        if (e)
            vec_store(e + k * LANES, value[k]);
    }
    if (label < 4 * LANES)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++)
            value[k] = vec_drop(value[k], (int)label - (int)(k * LANES));
#pragma GCC unroll 2
    for (size_t k = 0; k < 2; k++) {
        if (!e)
            squares[k] = vec_fma(value[k], value[k], vec_fma(value[k + 2], value[k + 2], squares[k]));
        kahan_add(&sums->sum[k], vec_add(value[k], value[k + 2]));
    }
}

// What is left behind the last whole block.
static inline void tail_exp(struct row_sums *sums, const float *x, float *e, size_t count, size_t label,
                            vec floor, vec shift)
{
    vec squares = vec_all(0);
    for (size_t i = 0; i < count; i += LANES) {
        size_t part = count - i < LANES ? count - i : LANES;
        vec value = vec_keep_first(vec_exp(vec_load_first(x + i, part, 0), floor, shift), part);
        if (e)
            vec_store_first(e + i, value, part);
        if (label - i < LANES)
            value = vec_drop(value, (int)(label - i));
        kahan_add(&sums->sum[0], value);
        squares = vec_fma(value, value, squares);
    }
    if (!e)
        sums->squares += vec_total(squares);
}

// Exponentials of the row, to `e` unless NULL: a constant at each call, so that each has a loop of its own.
// Squares go to double each 64 vectors: floats would drift.
INLINE struct row_sums row_exp(const float *x, float *e, size_t count, size_t label, vec floor, vec shift)
{
    struct row_sums sums = {0};
    size_t i = 0;
    while (i + 4 * LANES <= count) {
        vec squares[2] = {0};
        size_t left = (count - i) / (4 * LANES);
        for (size_t block = left < 16 ? left : 16; block > 0; block--, i += 4 * LANES)
            block_exp(&sums, squares, x + i, e ? e + i : NULL, label - i, floor, shift);
        if (!e)
            sums.squares += vec_total(vec_add(squares[0], squares[1]));
    }
    tail_exp(&sums, x + i, e ? e + i : NULL, count - i, label - i, floor, shift);
    return sums;
}

static inline double kahan_total(struct kahan total[2])
{
    kahan_add(&total[0], total[1].sum);
    return vec_total(total[0].sum) - vec_total(vec_add(total[0].error, total[1].error));
}

// e times factor, and Σ e².
static inline double range_scale(const float *e, float *to, size_t count, float factor)
{
    vec by = vec_all(factor);
    double sum = 0;
    size_t i = 0;
    while (i + 4 * LANES <= count) {
        vec squares[2] = {0};
        size_t left = (count - i) / (4 * LANES);
        for (size_t block = left < 16 ? left : 16; block > 0; block--, i += 4 * LANES)
#pragma GCC unroll 4
            for (size_t k = 0; k < 4; k++) {
                vec value = vec_load(e + i + k * LANES);
                vec_store(to + i + k * LANES, vec_mul(value, by));
                squares[k % 2] = vec_fma(value, value, squares[k % 2]);
            }
        sum += vec_total(vec_add(squares[0], squares[1]));
    }
    vec squares = vec_all(0);
    for (; i < count; i += LANES) {
        size_t part = count - i < LANES ? count - i : LANES;
        vec value = vec_load_first(e + i, part, 0);
        vec_store_first(to + i, vec_mul(value, by), part);
        squares = vec_fma(value, value, squares);
    }
    return sum + vec_total(squares);
}

// The largest score but the label's, given that the label's is as large as any.
static float largest_other(const struct loss_fast_row *row)
{
    struct range_top top = {vec_all(-INFINITY), vec_all(0)};
    size_t label = row->label;
    top = range_max(row->scores + label + 1, row->classes - label - 1, range_max(row->scores, label, top));
    return vec_largest(top.best);
}

// ln(1 + z) to float's precision and beyond; log takes half of log1p's time.
static double log_above_one(double z)
{
    return z > 0x1p-20 ? log(1 + z) : log1p(z);
}

static bool row_compute(struct loss_fast_row *row)
{
    const float *x = row->scores;
    float own = x[row->label];
    struct range_top top = range_max(x, row->classes, (struct range_top){vec_all(-INFINITY), vec_all(0)});
    float max = vec_largest(top.best);
    float others = own < max ? max : largest_other(row);
    if (!(fabsf(max) <= 0x1p17f) || !(others >= own - 60) || vec_any_nan(top.check))
        return false;
    float lead = rintf(max * 0x1.715476p+0f);
    vec shift = vec_all(0x1.8p23f - (lead - LEAD)), floor = vec_all(max - 120);
    float *e = row->gradient ? row->gradient : row->probabilities;
    struct row_sums sums = e ? row_exp(x, e, row->classes, row->label, floor, shift)
                             : row_exp(x, NULL, row->classes, row->label, floor, shift);

    double gap = (double)lead * M_LN2 - (double)own;
    double rest = kahan_total(sums.sum) * 0x1p-50;
    if (own >= others) // a small loss is the rest, and that often one exponential: it deserves all digits
        rest += exp((double)others - (double)lead * M_LN2) -
                (double)vec_largest(vec_exp(vec_all(others), floor, shift)) * 0x1p-50;
    double mine = exp(-gap), total = rest + mine;
    row->correct = own > others;
    row->complement = rest / total;
    row->loss = gap > 30 ? gap + log(total) : log_above_one(rest / mine);
    if (e)
        e[row->label] = 0;
    if (row->probabilities) {
        sums.squares = range_scale(e, row->probabilities, row->classes, (float)(0x1p-50 / total));
        row->probabilities[row->label] = (float)(mine / total);
    }
    if (row->gradient) {
        sums.squares = range_scale(e, row->gradient, row->classes, (float)(row->factor * 0x1p-50 / total));
        row->gradient[row->label] = (float)(-row->complement * row->factor);
    }
    row->squares = sums.squares * 0x1p-100 / (total * total) + row->complement * row->complement;
    return true;
}
