#include "train/input_range.h"

#include "math/summary.h"

#include <math.h>

void input_range_add(struct input_range *range, const float *numbers, size_t count)
{
    struct summary sums = {0};
    float least = range->count ? (float)range->min : INFINITY,
          most = range->count ? (float)range->max : -INFINITY;
    summary_weights(&sums, numbers, count);
    for (size_t i = 0; i < count; i++) {
        least = numbers[i] < least ? numbers[i] : least;
        most = numbers[i] > most ? numbers[i] : most;
    }
    range->count += count;
    range->min = (double)least;
    range->max = (double)most;
    range->sum += sums.sum;
    range->sum_square += sums.sum_square;
}

double input_range_mean(const struct input_range *range)
{
    return range->sum / (double)range->count;
}

double input_range_std(const struct input_range *range)
{
    const double mean = input_range_mean(range);
    return sqrt(fmax(range->sum_square / (double)range->count - mean * mean, 0));
}
