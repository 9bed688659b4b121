// What many values come to: how many, mean, minimum, maximum, and how many were NaN or infinite.
//
// Minimum, maximum and mean are those of the finite values. The order of adding and merging changes neither
// counts nor extremes, and the mean by no more than 2 units in the last place: the sum is kept as a pair of
// doubles (T. J. Dekker, "A floating-point technique for extending the available precision", 1971; the
// two-sum is D. E. Knuth's), scaled by 2^-64 so that no number of doubles overflows it. The scaling costs
// values below 1e-289 some of their bits in the mean.
#ifndef NABLA_STORE_AGGREGATE_H
#define NABLA_STORE_AGGREGATE_H

#include <stdint.h>

struct aggregate {
    uint64_t count, nonfinite; // steps with a finite value; with another
    double sum, rest;          // of the finite ones, times 2^-64
    double min, max;           // meaningless while count is 0
};

void aggregate_add(struct aggregate *to, double value);

// One value that stands for several steps: `count` finite ones with their mean and extremes.
void aggregate_add_fold(struct aggregate *to, uint64_t count, uint64_t nonfinite, double mean, double min,
                        double max);
void aggregate_merge(struct aggregate *to, const struct aggregate *other);

// NaN when there was no finite value.
double aggregate_mean(const struct aggregate *of);

#endif
