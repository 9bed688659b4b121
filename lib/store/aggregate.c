#include "store/aggregate.h"

#include <math.h>

static const double SCALE = 0x1p-64;

static void sum_add(struct aggregate *to, double value)
{
    double sum = to->sum + value, part = sum - to->sum;
    to->rest += (to->sum - (sum - part)) + (value - part);
    to->sum = sum;
}

static void extend(struct aggregate *to, double min, double max)
{
    if (to->count == 0 || min < to->min)
        to->min = min;
    if (to->count == 0 || max > to->max)
        to->max = max;
}

void aggregate_add(struct aggregate *to, double value)
{
    if (!isfinite(value)) {
        to->nonfinite++;
        return;
    }
    extend(to, value, value);
    to->count++;
    sum_add(to, value * SCALE);
}

void aggregate_add_fold(struct aggregate *to, uint64_t count, uint64_t nonfinite, double mean, double min,
                        double max)
{
    to->nonfinite += nonfinite;
    if (count == 0)
        return;
    extend(to, min, max);
    to->count += count;
    double scaled = mean * SCALE, product = scaled * (double)count;
    sum_add(to, product);
    to->rest += fma(scaled, (double)count, -product);
}

void aggregate_merge(struct aggregate *to, const struct aggregate *other)
{
    to->nonfinite += other->nonfinite;
    if (other->count == 0)
        return;
    extend(to, other->min, other->max);
    to->count += other->count;
    sum_add(to, other->sum);
    to->rest += other->rest;
}

// Rounding may not lead out of the values' range.
double aggregate_mean(const struct aggregate *of)
{
    if (of->count == 0)
        return NAN;
    double mean = (of->sum + of->rest) / (double)of->count / SCALE;
    return mean < of->min ? of->min : mean > of->max ? of->max : mean;
}
