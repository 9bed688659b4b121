#include "math/summary.h"

#include "math/vectorised.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

// Vectors as GNU C has them: the compiler maps them to whatever the processor has.
#ifdef NABLA_REAL_DOUBLE
typedef int64_t real_bits;
#else
typedef int32_t real_bits;
#endif
typedef real lane_reals __attribute__((vector_size(LANES * sizeof(real))));
typedef real_bits lane_bits __attribute__((vector_size(LANES * sizeof(real))));
typedef double lane_doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t lane_bits64 __attribute__((vector_size(LANES * sizeof(int64_t))));

static const real_bits SIGN = (real_bits)((uint64_t)1 << (8 * sizeof(real) - 1));

// What a pass looks for; constant in each caller, so that the rest is left out of its code.
enum {
    WANT_SUM = 1,
    WANT_ABS = 2,
    WANT_SQUARE = 4,
    WANT_MAX = 8,
    WANT_SMALL = 16,
    WANT_OUTPUT = 32,
};

struct lanes {
    lane_doubles sum, sum_abs, sum_square;
    lane_bits max_abs; // of magnitudes, whose bits are ordered as they are; NaN comes out on top
    lane_bits zero, tiny, nonpositive, flat;
};

struct bounds {
    real below, above;
};

// Written out, since that is what the compiler makes one instruction of.
INLINE void lanes_add_sums(struct lanes *lanes, const real *x, unsigned want)
{
    const lane_doubles wide = {(double)x[0], (double)x[1], (double)x[2], (double)x[3],
                               (double)x[4], (double)x[5], (double)x[6], (double)x[7]};
    if (want & WANT_SUM)
        lanes->sum += wide;
    if (want & WANT_ABS)
        lanes->sum_abs += (lane_doubles)((lane_bits64)wide & INT64_MAX);
    if (want & WANT_SQUARE)
        lanes->sum_square += wide * wide;
}

// One vector. Comparisons give -1 where they hold.
INLINE void lanes_add(struct lanes *lanes, const real *x, unsigned want, const struct bounds *bounds)
{
    lane_reals vector;
    memcpy(&vector, x, sizeof vector);
    const lane_bits magnitude = (lane_bits)vector & ~SIGN;
    lanes_add_sums(lanes, x, want);
    if (want & WANT_MAX) {
        const lane_bits more = magnitude > lanes->max_abs;
        lanes->max_abs = (magnitude & more) | (lanes->max_abs & ~more);
    }
    if (want & WANT_SMALL) {
        lanes->zero -= magnitude == 0;
        lanes->tiny -= (lane_reals)magnitude < (real)1e-7;
    }
    if (want & WANT_OUTPUT) {
        lanes->nonpositive -= vector <= 0;
        lanes->flat -= (vector <= bounds->below) | (vector >= bounds->above);
    }
}

// The copies that these three read keep the lanes themselves in registers.
INLINE double lanes_sum(const lane_doubles *lanes)
{
    const lane_doubles copy = *lanes;
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += copy[i];
    return sum;
}

INLINE size_t lanes_count(const lane_bits *lanes)
{
    const lane_bits copy = *lanes;
    size_t count = 0;
    for (int i = 0; i < LANES; i++)
        count += (size_t)copy[i];
    return count;
}

INLINE double lanes_max(const lane_bits *lanes)
{
    const lane_bits copy = *lanes;
    real_bits max = 0;
    for (int i = 0; i < LANES; i++)
        max = copy[i] > max ? copy[i] : max;
    real value;
    memcpy(&value, &max, sizeof value);
    return (double)value;
}

static __attribute__((noinline)) size_t count_nonfinite(const real *x, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += isfinite(x[i]) ? 0 : 1;
    return found;
}

INLINE void summary_merge(struct summary *summary, const struct lanes *lanes, const real *x, size_t count)
{
    double sum = lanes_sum(&lanes->sum), sum_square = lanes_sum(&lanes->sum_square);
    double max_abs = lanes_max(&lanes->max_abs);
    summary->count += count;
    summary->sum += sum;
    summary->sum_abs += lanes_sum(&lanes->sum_abs);
    summary->sum_square += sum_square;
    if (!(summary->max_abs >= max_abs) && !isnan(summary->max_abs))
        summary->max_abs = max_abs;
    summary->zero += lanes_count(&lanes->zero);
    summary->tiny += lanes_count(&lanes->tiny);
    summary->nonpositive += lanes_count(&lanes->nonpositive);
    summary->flat += lanes_count(&lanes->flat);
    // Finite sums have finite terms, so the numbers need to be looked at again only where a sum is not.
    if (!isfinite(sum) || !isfinite(sum_square))
        summary->nonfinite += count_nonfinite(x, count);
}

// What fills no whole vector stands among zeros, which change no sum; `padding` of them are taken off the
// counts again.
INLINE void summary_forget(struct summary *summary, size_t padding, unsigned want, struct bounds bounds)
{
    if (want & WANT_SMALL) {
        summary->zero -= padding;
        summary->tiny -= padding;
    }
    if (want & WANT_OUTPUT) {
        summary->nonpositive -= padding;
        summary->flat -= bounds.below >= 0 || bounds.above <= 0 ? padding : 0;
    }
}

INLINE void summary_pass(struct summary *summary, const real *x, size_t count, unsigned want,
                         struct bounds bounds)
{
    struct lanes lanes = {0};
    const size_t whole = count / LANES * LANES, rest = count - whole;
    for (size_t i = 0; i < whole; i += LANES)
        lanes_add(&lanes, x + i, want, &bounds);
    if (rest > 0) {
        real padded[LANES] = {0};
        memcpy(padded, x + whole, rest * sizeof *x);
        lanes_add(&lanes, padded, want, &bounds);
        summary_forget(summary, LANES - rest, want, bounds);
    }
    summary_merge(summary, &lanes, x, count);
}

static const struct bounds UNBOUNDED = {(real)NAN, (real)NAN};

static VECTORISED void gradient_lanes(struct summary *summary, const real *x, size_t count)
{
    summary_pass(summary, x, count, WANT_SUM | WANT_ABS | WANT_SQUARE | WANT_MAX | WANT_SMALL, UNBOUNDED);
}

static VECTORISED void weights_lanes(struct summary *summary, const real *x, size_t count)
{
    summary_pass(summary, x, count, WANT_SUM | WANT_SQUARE, UNBOUNDED);
}

static VECTORISED void change_lanes(struct summary *summary, const real *x, size_t count)
{
    summary_pass(summary, x, count, WANT_SQUARE | WANT_MAX, UNBOUNDED);
}

static VECTORISED void outputs_lanes(struct summary *summary, const real *x, size_t count, real below,
                                     real above)
{
    summary_pass(summary, x, count, WANT_SUM | WANT_ABS | WANT_SQUARE | WANT_OUTPUT,
                 (struct bounds){below, above});
}

ENGINE const struct summary_kernel *summary_lanes(void)
{
    static const struct summary_kernel lanes = {gradient_lanes, weights_lanes, change_lanes, outputs_lanes};
    return &lanes;
}

static const struct summary_kernel *widest(void)
{
#ifdef NABLA_REAL_DOUBLE
    return summary_lanes();
#else
    const struct summary_kernel *kernel = summary_avx512();
    kernel = kernel ? kernel : summary_avx2();
    return kernel ? kernel : summary_lanes();
#endif
}

ENGINE void summary_gradient(struct summary *summary, const real *x, size_t count)
{
    widest()->gradient(summary, x, count);
}

ENGINE void summary_weights(struct summary *summary, const real *x, size_t count)
{
    widest()->weights(summary, x, count);
}

ENGINE void summary_change(struct summary *summary, const real *x, size_t count)
{
    widest()->change(summary, x, count);
}

ENGINE void summary_outputs(struct summary *summary, const real *x, size_t count, real below, real above)
{
    widest()->outputs(summary, x, count, below, above);
}

ENGINE void summary_add(struct summary *sum, const struct summary *part)
{
    sum->count += part->count;
    sum->sum += part->sum;
    sum->sum_abs += part->sum_abs;
    sum->sum_square += part->sum_square;
    if (!(sum->max_abs >= part->max_abs) && !isnan(sum->max_abs))
        sum->max_abs = part->max_abs;
    sum->zero += part->zero;
    sum->tiny += part->tiny;
    sum->nonpositive += part->nonpositive;
    sum->flat += part->flat;
    sum->nonfinite += part->nonfinite;
}

ENGINE double summary_mean(const struct summary *summary)
{
    return summary->sum / (double)summary->count;
}

ENGINE double summary_mean_abs(const struct summary *summary)
{
    return summary->sum_abs / (double)summary->count;
}

ENGINE double summary_norm(const struct summary *summary)
{
    return sqrt(summary->sum_square);
}

ENGINE double summary_std(const struct summary *summary)
{
    double mean = summary_mean(summary);
    double variance = summary->sum_square / (double)summary->count - mean * mean;
    return variance < 0 ? 0 : sqrt(variance);
}
