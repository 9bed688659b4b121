// What many numbers are like, gathered in one pass over them: the sums, extremes and counts from which
// telemetry makes its statistics. Extremes and counts are exact. Sums are added in a fixed order, so the bits
// are the same on every processor of a kind: in double, or on wide vectors in float by short blocks of which
// each goes to double (summary_kernel.h). Those lose nothing either of squares that float cannot hold. At the
// worst, which is a hundred times what is usual, a norm is within 2.1e-6 of itself, of outputs 3e-5; a mean
// within 9e-6 of the root mean square; a standard deviation within 3e-5 of itself and 1e-7 of that root.
// Thread safety: one summary, one thread.
#ifndef NABLA_MATH_SUMMARY_H
#define NABLA_MATH_SUMMARY_H

#include "math/real.h"

#include <stddef.h>

// Which fields a pass leaves alone stands at each function. A NaN among the numbers makes the sums and
// max_abs NaN.
struct summary {
    size_t count;
    double sum, sum_abs, sum_square;
    double max_abs;
    size_t zero;        // exactly 0
    size_t tiny;        // |x| < 1e-7
    size_t nonpositive; // not above 0; NaN is not
    size_t flat;        // at or beyond the bounds given
    size_t nonfinite;
};

// Each adds `count` numbers to the summary, which starts as {0}.
ENGINE void summary_gradient(struct summary *summary, const real *x, size_t count); // not nonpositive, flat
ENGINE void summary_weights(struct summary *summary, const real *x, size_t count);  // sum, sum_square
ENGINE void summary_change(struct summary *summary, const real *x, size_t count);   // sum_square, max_abs
// sums, nonpositive, and as flat what is <= below or >= above (NaN: no such bound)
ENGINE void summary_outputs(struct summary *summary, const real *x, size_t count, real below, real above);

// The same functions as this processor may have them: by the program's own vectors, or NULL; and lane by
// lane, for any processor, which is the others' oracle. The functions above take the widest.
struct summary_kernel {
    void (*gradient)(struct summary *summary, const real *x, size_t count);
    void (*weights)(struct summary *summary, const real *x, size_t count);
    void (*change)(struct summary *summary, const real *x, size_t count);
    void (*outputs)(struct summary *summary, const real *x, size_t count, real below, real above);
};
ENGINE const struct summary_kernel *summary_lanes(void);
#ifndef NABLA_REAL_DOUBLE
const struct summary_kernel *summary_avx2(void);
const struct summary_kernel *summary_avx512(void);
#endif

// Adds what another pass found of other numbers.
ENGINE void summary_add(struct summary *sum, const struct summary *part);

ENGINE double summary_mean(const struct summary *summary);
ENGINE double summary_mean_abs(const struct summary *summary);
ENGINE double summary_norm(const struct summary *summary);
ENGINE double summary_std(const struct summary *summary); // over n

#endif
