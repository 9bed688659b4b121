// Short rows of cross-entropy, a row to a lane. Included behind loss_fast_row.h by each
// loss_fast_<instruction set>.c; the arithmetic is that of loss_fast_row.h. What needs double (the label's
// own exponential, the sums, the logarithm) is written as plain loops over the lanes, which the compiler
// turns into vectors.
#include <string.h>

// Whole tiles of LANES columns.
enum { GROUP_COLUMNS = (LOSS_SHORT_CLASSES + LANES - 1) / LANES * LANES };

struct group_lanes {
    _Alignas(64) double own[LANES], others[LANES],
        lead[LANES]; // the label's score, the largest other, M + LEAD
    _Alignas(64) double rest[LANES], squares[LANES], other_exp[LANES];
    _Alignas(64) double mine[LANES], precise[LANES], ratio[LANES], log[LANES];
};

static inline uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// exp(x) for -700 < x < 700, to 2^-40.
static inline double lane_exp(double x)
{
    double shifted = __builtin_fma(x, 0x1.71547652b82fep+0, 0x1.8p52);
    double n = shifted - 0x1.8p52;
    double r = __builtin_fma(n, -0x1.cf79abc9e3b39p-40, __builtin_fma(n, -0x1.62e42fefap-1, x));
    double q = 1.0 / 3628800;
    q = __builtin_fma(q, r, 1.0 / 362880);
    q = __builtin_fma(q, r, 1.0 / 40320);
    q = __builtin_fma(q, r, 1.0 / 5040);
    q = __builtin_fma(q, r, 1.0 / 720);
    q = __builtin_fma(q, r, 1.0 / 120);
    q = __builtin_fma(q, r, 1.0 / 24);
    q = __builtin_fma(q, r, 1.0 / 6);
    q = __builtin_fma(q, r, 0.5);
    q = __builtin_fma(q, r, 1);
    return double_of(bits_of(__builtin_fma(q, r, 1)) + (bits_of(shifted) << 52));
}

// ln(1 + z) for z >= 0, to a relative 2^-38: ln(1 + z) of the rounded 1 + z, and what the rounding lost.
static inline double lane_log1p(double z)
{
    double w = 1 + z, lost = (z - (w - 1)) / w;
    uint64_t above = bits_of(w) - UINT64_C(0x3FE6A09E667F3BCD); // the square root of 1/2
    uint64_t k = above >> 52;
    double f = double_of(bits_of(w) - (k << 52)) - 1;
    double s = f / (2 + f), t = s * s;
    double q = 2.0 / 15;
    q = __builtin_fma(q, t, 2.0 / 13);
    q = __builtin_fma(q, t, 2.0 / 11);
    q = __builtin_fma(q, t, 2.0 / 9);
    q = __builtin_fma(q, t, 2.0 / 7);
    q = __builtin_fma(q, t, 2.0 / 5);
    q = __builtin_fma(q, t, 2.0 / 3);
    double exponent = double_of(k | UINT64_C(0x4330000000000000)) - 0x1p52;
    return exponent * M_LN2 + (2 * s + s * t * q) + lost;
}

// Columns of LANES rows each to the rows at `to`.
static inline void group_write(const float *columns, float *to, size_t classes)
{
    for (size_t first = 0; first < classes; first += LANES) {
        size_t part = classes - first < LANES ? classes - first : LANES;
        BARE vec tile[LANES];
#pragma GCC unroll 16
        for (size_t j = 0; j < LANES; j++)
            tile[j] = vec_load(columns + (first + j) * LANES);
        vec_transpose(tile);
#pragma GCC unroll 16
        for (size_t k = 0; k < LANES; k++)
            vec_store_first(to + k * classes + first, tile[k], part);
    }
}

// Rows to columns.
static inline void group_load(const float *rows, float *columns, size_t classes)
{
    for (size_t first = 0; first < classes; first += LANES) {
        size_t part = classes - first < LANES ? classes - first : LANES;
        BARE vec tile[LANES];
#pragma GCC unroll 16
        for (size_t k = 0; k < LANES; k++)
            tile[k] = vec_load_first(rows + k * classes + first, part, 0);
        vec_transpose(tile);
#pragma GCC unroll 16
        for (size_t j = 0; j < LANES; j++)
            vec_store(columns + (first + j) * LANES, tile[j]);
    }
}

// Losses and the like from the sums; the factors on the exponentials, and the label's own entries.
static inline void group_finish(struct loss_fast_group *group, struct group_lanes *lanes, float *scale,
                                float *own, float *share, float *own_share)
{
    for (size_t k = 0; k < LANES; k++) {
        lanes->mine[k] = lane_exp(lanes->own[k] - lanes->lead[k] * M_LN2);
        lanes->precise[k] = lane_exp(lanes->others[k] - lanes->lead[k] * M_LN2);
    }
    for (size_t k = 0; k < LANES; k++) {
        double rest = lanes->rest[k] * 0x1p-50 + (lanes->precise[k] - lanes->other_exp[k] * 0x1p-50);
        double total = rest + lanes->mine[k], inverse = 1 / total;
        lanes->ratio[k] = rest / lanes->mine[k];
        group->complement[k] = rest * inverse;
        group->squares[k] =
            lanes->squares[k] * 0x1p-100 * inverse * inverse + group->complement[k] * group->complement[k];
        scale[k] = (float)(group->factors[k] * 0x1p-50 * inverse);
        own[k] = (float)(-group->complement[k] * group->factors[k]);
        share[k] = (float)(0x1p-50 * inverse);
        own_share[k] = (float)(lanes->mine[k] * inverse);
    }
    for (size_t k = 0; k < LANES; k++)
        group->loss[k] = lane_log1p(lanes->ratio[k]);
}

struct group_top {
    vec own, others, max, lead;
};

// The columns of scores, gathered; false when a row is for the careful path.
static inline bool group_read(struct loss_fast_group *group, float *columns, struct group_top *ret)
{
    vec labels = vec_load(group->labels), none = vec_all(-INFINITY);
    vec own = none, others = none, check = vec_all(0);
    group_load(group->scores, columns, group->classes);
    for (size_t j = 0; j < group->classes; j++) {
        vec x = vec_load(columns + j * LANES);
        own = vec_pick(labels, (float)j, x, own);
        others = vec_max(others, vec_pick(labels, (float)j, none, x));
        check = vec_add(check, x);
    }
    ret->own = own;
    ret->others = others;
    ret->max = vec_max(own, others);
    float high = vec_largest(ret->max), low = -vec_largest(vec_sub(vec_all(0), ret->max));
    vec ahead = vec_sub(own, others);
    bool tame = high <= 0x1p17f && low >= -0x1p17f && vec_largest(ahead) <= 60 &&
                vec_largest(vec_sub(vec_all(0), ahead)) <= 600;
    vec magic = vec_all(0x1.8p23f);
    ret->lead = vec_sub(vec_fma(ret->max, vec_all(0x1.715476p+0f), magic), magic);
    return tame && !vec_any_nan(check);
}

// Exponentials of the columns, and their sums but for the label's.
static inline void group_exp(const struct loss_fast_group *group, float *columns, const struct group_top *top,
                             struct group_lanes *lanes)
{
    vec labels = vec_load(group->labels), largest = vec_all(0), squares = vec_all(0);
    vec shift = vec_sub(vec_all(0x1.8p23f + LEAD), top->lead), floor = vec_sub(top->max, vec_all(120));
    struct kahan total = {vec_all(0), vec_all(0)};
    for (size_t j = 0; j < group->classes; j++) {
        vec e = vec_exp(vec_load(columns + j * LANES), floor, shift);
        vec_store(columns + j * LANES, e);
        e = vec_pick(labels, (float)j, vec_all(0), e);
        largest = vec_max(largest, e);
        kahan_add(&total, e);
        squares = vec_fma(e, e, squares);
    }
    float sum[LANES], error[LANES], square[LANES], most[LANES], own[LANES], others[LANES], lead[LANES];
    vec_store(sum, total.sum);
    vec_store(error, total.error);
    vec_store(square, squares);
    vec_store(most, largest);
    vec_store(own, top->own);
    vec_store(others, top->others);
    vec_store(lead, top->lead);
    for (size_t k = 0; k < LANES; k++) {
        lanes->rest[k] = (double)sum[k] - (double)error[k];
        lanes->squares[k] = (double)square[k];
        lanes->other_exp[k] = (double)most[k];
        lanes->own[k] = (double)own[k];
        lanes->others[k] = (double)others[k];
        lanes->lead[k] = (double)lead[k];
    }
}

static inline void group_scale(const struct loss_fast_group *group, const float *columns, const float *scale,
                               const float *own, float *to)
{
    BARE _Alignas(64) float scaled[GROUP_COLUMNS * LANES];
    vec labels = vec_load(group->labels), by = vec_load(scale), mine = vec_load(own);
    if (!to)
        return;
    for (size_t j = 0; j < group->classes; j++)
        vec_store(scaled + j * LANES,
                  vec_pick(labels, (float)j, mine, vec_mul(vec_load(columns + j * LANES), by)));
    group_write(scaled, to, group->classes);
}

static bool group_compute(struct loss_fast_group *group)
{
    BARE _Alignas(64) float columns[GROUP_COLUMNS * LANES];
    _Alignas(64) float scale[LANES], own[LANES], share[LANES], own_share[LANES];
    BARE struct group_lanes lanes;
    struct group_top top;
    if (!group_read(group, columns, &top))
        return false;
    group_exp(group, columns, &top, &lanes);
    group_finish(group, &lanes, scale, own, share, own_share);
    for (size_t k = 0; k < LANES; k++)
        group->correct[k] = lanes.own[k] > lanes.others[k] ? 1.0f : 0.0f;
    group_scale(group, columns, share, own_share, group->probabilities);
    group_scale(group, columns, scale, own, group->gradient);
    return true;
}
