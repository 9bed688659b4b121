#include "train/noise_scale.h"

#include <math.h>

void noise_scale_add(struct noise_scale *scale, double mean_square, double square_of_mean, size_t rows,
                     size_t batches)
{
    if (batches < 2 || !isfinite(mean_square) || !isfinite(square_of_mean))
        return;
    const double small = (double)rows, large = small * (double)batches;
    const double square = (large * square_of_mean - small * mean_square) / (large - small);
    const double trace = (mean_square - square_of_mean) / (1 / small - 1 / large);
    scale->square = NOISE_SCALE_MOMENTUM * scale->square + (1 - NOISE_SCALE_MOMENTUM) * square;
    scale->trace = NOISE_SCALE_MOMENTUM * scale->trace + (1 - NOISE_SCALE_MOMENTUM) * trace;
}

double noise_scale_value(const struct noise_scale *scale)
{
    return scale->square > 0 ? scale->trace / scale->square : NAN;
}
