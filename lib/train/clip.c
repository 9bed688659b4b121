#include "train/clip.h"

#include "math/vectorised.h"

#include <math.h>

ENGINE double clip_scale(double square_sum, double limit)
{
    const double norm = sqrt(square_sum);
    return norm <= limit ? 1 : limit / norm;
}

ENGINE double clip_scale_global(double square_sum, double limit)
{
    return isfinite(square_sum) ? clip_scale(square_sum, limit) : NAN;
}

// NaN stays.
ENGINE VECTORISED void clip_apply(real *restrict clipped, const real *restrict g, real scale, real limit,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        real value = g[i] * scale;
        value = value > limit ? limit : value;
        clipped[i] = value < -limit ? -limit : value;
    }
}
