// One row of cross-entropy in float64. Included by each loss_fast_<instruction set>.c: plain loops over
// blocks of fixed length, which the compiler turns into the set's vectors.
//
// As loss_fast_row.h, with one thing more: an exponential is kept as hi + lo, where lo is what rounding hi
// has lost. The sums take both, the gradient only hi.
#include <math.h>
#include <string.h>

#define LEAD64  60    // bits between the largest exponential and 1
#define FLOOR64 748.0 // what lies so far below the largest score is below every subnormal

enum { BLOCK64 = 32, SHORT64 = 16 };

struct parts {
    double hi, lo;
};

static inline double double_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// exp(x) / 2^M for scores up to 2^17; `shift` is 1.5·2^52 - M. Taylor's series up to r^13 / 13!.
INLINE struct parts parts_exp(double x, double shift)
{
    double shifted = __builtin_fma(x, 0x1.71547652b82fep+0, shift);
    double n = shifted - shift;
    double whole = __builtin_fma(-n, 0x1.62e42fefap-1, x); // exact
    double r = __builtin_fma(-n, 0x1.cf79abc9e3b39p-40, whole);
    double r_lost = __builtin_fma(-n, 0x1.cf79abc9e3b39p-40, whole - r);
    double q = 1.0 / 6227020800;
    q = __builtin_fma(q, r, 1.0 / 479001600);
    q = __builtin_fma(q, r, 1.0 / 39916800);
    q = __builtin_fma(q, r, 1.0 / 3628800);
    q = __builtin_fma(q, r, 1.0 / 362880);
    q = __builtin_fma(q, r, 1.0 / 40320);
    q = __builtin_fma(q, r, 1.0 / 5040);
    q = __builtin_fma(q, r, 1.0 / 720);
    q = __builtin_fma(q, r, 1.0 / 120);
    q = __builtin_fma(q, r, 1.0 / 24);
    q = __builtin_fma(q, r, 1.0 / 6);
    q = __builtin_fma(q, r, 0.5);
    double curve = r * r * q, t = r + curve;
    double hi = 1 + t;
    double lo = ((1 - hi) + t) + ((r - t) + curve) + r_lost * hi;
    double scale = double_of_bits((bits_of_double(shifted) << 52) + bits_of_double(1.0));
    return (struct parts){hi * scale, lo * scale};
}

struct sums64 {
    double sum[8], error[8], squares[8];
};

// Exponentials of up to `block` scores, a constant at each call; what is missing counts as the floor. The
// label's enters no sum.
INLINE void block64_exp(struct sums64 *sums, size_t block, const double *x, double *e, size_t count,
                        size_t label, double floor, double shift)
{
    __attribute__((uninitialized)) double score[BLOCK64], hi[BLOCK64], lo[BLOCK64];
    for (size_t k = 0; k < count; k++)
        score[k] = x[k];
    for (size_t k = count; k < block; k++)
        score[k] = floor;
    for (size_t k = 0; k < block; k++) {
        struct parts parts = parts_exp(score[k] > floor ? score[k] : floor, shift);
        hi[k] = parts.hi;
        lo[k] = parts.lo;
    }
    for (size_t k = 0; e && k < count; k++)
        e[k] = hi[k]; // cppcheck-suppress uninitvar // count is at most block
    if (label < block)
        hi[label] = lo[label] = 0;
    for (size_t k = count; k < block; k++)
        hi[k] = lo[k] = 0;
    for (size_t i = 0; i < block; i += 8)
        for (size_t k = 0; k < 8; k++) {
            double y = hi[i + k] - sums->error[k], sum = sums->sum[k] + y;
            sums->error[k] = ((sum - sums->sum[k]) - y) - lo[i + k];
            sums->sum[k] = sum;
            sums->squares[k] += hi[i + k] * hi[i + k];
        }
}

// The largest score, and in *ret_check a sum that is NaN if any score is.
static inline double row64_max(const double *x, size_t count, double *ret_check)
{
    double best[8], check[8] = {0}, max = -INFINITY, sum = 0;
    for (size_t k = 0; k < 8; k++)
        best[k] = -INFINITY;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++) {
            best[k] = x[i + k] > best[k] ? x[i + k] : best[k];
            check[k] += x[i + k];
        }
    for (; i < count; i++) {
        max = x[i] > max ? x[i] : max;
        sum += x[i];
    }
    for (size_t k = 0; k < 8; k++) {
        max = best[k] > max ? best[k] : max;
        sum += check[k];
    }
    *ret_check = sum;
    return max;
}

static inline double largest_other64(const struct loss_fast_row64 *row)
{
    double check;
    double before = row64_max(row->scores, row->label, &check);
    double after = row64_max(row->scores + row->label + 1, row->classes - row->label - 1, &check);
    return after > before ? after : before;
}

static inline void sums64_total(const struct sums64 *sums, struct parts *ret, double *ret_squares)
{
    double hi = 0, lo = 0, squares = 0;
    for (size_t k = 0; k < 8; k++) {
        double sum = hi + sums->sum[k];
        double larger = hi > sums->sum[k] ? hi : sums->sum[k],
               smaller = hi > sums->sum[k] ? sums->sum[k] : hi;
        lo += ((larger - sum) + smaller) - sums->error[k];
        hi = sum;
        squares += sums->squares[k];
    }
    *ret = (struct parts){hi + lo, (hi - (hi + lo)) + lo};
    *ret_squares = squares;
}

// a / b, both in parts.
static inline struct parts parts_divide(struct parts a, struct parts b)
{
    double quotient = a.hi / b.hi;
    double left = __builtin_fma(-quotient, b.hi, a.hi) + (a.lo - quotient * b.lo);
    return (struct parts){quotient, left / b.hi};
}

static void row64_scale(const struct loss_fast_row64 *row, const double *e, double *to, double factor,
                        double own)
{
    if (!to)
        return;
    size_t j = 0;
    for (; j + 8 <= row->classes; j += 8)
        for (size_t k = 0; k < 8; k++)
            to[j + k] = e[j + k] * factor;
    for (; j < row->classes; j++)
        to[j] = e[j] * factor;
    to[row->label] = own;
}

// What follows from the sum of the others and the label's own exponential.
static void row64_finish(struct loss_fast_row64 *row, const double *e, struct parts rest, struct parts mine,
                         double max, double own, double top)
{
    double hi = rest.hi + mine.hi;
    double larger = rest.hi > mine.hi ? rest.hi : mine.hi, smaller = rest.hi > mine.hi ? mine.hi : rest.hi;
    struct parts total = {hi, ((larger - hi) + smaller) + rest.lo + mine.lo};
    struct parts q = parts_divide(rest, total), p = parts_divide(mine, total), inverse = {1, 0};
    inverse = parts_divide(inverse, total);
    if (own < max - 30) { // e^gap may overflow
        double gap = max - own, moved = gap - max;
        double lost = (max - (gap - moved)) - (own + moved);
        row->loss = gap + ((isfinite(lost) ? lost : 0) + log(total.hi / top));
    } else {
        struct parts ratio = parts_divide(rest, mine);
        row->loss = log1p(ratio.hi) + ratio.lo / (1 + ratio.hi);
    }
    row->complement = q.hi + q.lo;
    row->squares = row->squares * inverse.hi * inverse.hi + row->complement * row->complement;
    row64_scale(row, e, row->probabilities, inverse.hi + inverse.lo, p.hi + p.lo);
    row64_scale(row, e, row->gradient, row->factor * inverse.hi + row->factor * inverse.lo,
                -row->complement * row->factor);
}

static bool row64_compute(struct loss_fast_row64 *row)
{
    const double *x = row->scores;
    double check, own = x[row->label], max = row64_max(x, row->classes, &check);
    double others = own < max ? max : largest_other64(row);
    if (!(fabs(max) <= 0x1p17) || !(others >= own - 60) || isnan(check))
        return false;
    double lead = rint(max * 0x1.71547652b82fep+0);
    double shift = 0x1.8p52 - (lead - LEAD64), floor = max - FLOOR64;
    double *e = row->gradient ? row->gradient : row->probabilities;
    struct sums64 sums = {0};
    for (size_t i = 0; i < row->classes; i += BLOCK64) {
        size_t count = row->classes - i < BLOCK64 ? row->classes - i : BLOCK64;
        if (count <= SHORT64)
            block64_exp(&sums, SHORT64, x + i, e ? e + i : NULL, count, row->label - i, floor, shift);
        else
            block64_exp(&sums, BLOCK64, x + i, e ? e + i : NULL, count, row->label - i, floor, shift);
    }
    struct parts rest, mine = parts_exp(own > floor ? own : floor, shift);
    sums64_total(&sums, &rest, &row->squares);
    if (own < floor)
        mine = (struct parts){0, 0};
    row->correct = own > others;
    row64_finish(row, e, rest, mine, max, own, parts_exp(max, shift).hi);
    return true;
}
