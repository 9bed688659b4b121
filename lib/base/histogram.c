#include "base/histogram.h"

#include <math.h>

enum { HALF = HISTOGRAM_BINS / 2, ZERO_EXPONENT = 24 };

#define KIND_NAME(id, name, description) #name,
const char *const histogram_kind_names[HISTOGRAM_KIND_COUNT] = {HISTOGRAM_KINDS(KIND_NAME)};
#undef KIND_NAME

// Where bin HALF + j begins; 0 for the innermost.
static double inner_edge(int j)
{
    return j == 0 ? 0 : ldexp(1, 2 * (j - ZERO_EXPONENT));
}

void histogram_edges(double ret[HISTOGRAM_BINS - 1])
{
    ret[HALF - 1] = 0;
    for (int j = 1; j < HALF; j++) {
        ret[HALF - 1 + j] = inner_edge(j);
        ret[HALF - 1 - j] = -inner_edge(j);
    }
}

size_t histogram_bin(double x)
{
    int exponent = 0, j = 0;
    if (x != 0) {
        (void)frexp(x, &exponent); // |x| in [2^(exponent − 1), 2^exponent)
        j = (int)floor((exponent - 1) / 2.0) + ZERO_EXPONENT;
    }
    j = j < 0 ? 0 : j > HALF - 1 ? HALF - 1 : j;
    return (size_t)(x < 0 ? HALF - 1 - j : HALF + j);
}

// How far out the share of a bin's entries lies that is nearer to 0.
static double magnitude_within(int j, double share)
{
    if (j == HALF - 1)
        return inner_edge(j);
    if (j == 0)
        return share * inner_edge(1);
    return inner_edge(j) * pow(4, share);
}

double histogram_quantile(const struct histogram *histogram, double fraction)
{
    uint64_t total = 0, passed = 0;
    for (size_t i = 0; i < HISTOGRAM_BINS; i++)
        total += histogram->counts[i];
    if (total == 0)
        return NAN;
    const double wanted = fraction * (double)total;
    size_t i = 0;
    while (i + 1 < HISTOGRAM_BINS &&
           (histogram->counts[i] == 0 || (double)(passed + histogram->counts[i]) < wanted))
        passed += histogram->counts[i++];
    if (histogram->counts[i] == 0)
        return inner_edge((int)i - HALF);
    const double share = (wanted - (double)passed) / (double)histogram->counts[i];
    return i < HALF ? -magnitude_within(HALF - 1 - (int)i, 1 - share)
                    : magnitude_within((int)i - HALF, share);
}
