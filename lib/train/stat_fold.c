#include "train/stat_fold.h"

#include "math/vectorised.h"

#include <math.h>

struct stat_fold stat_fold_new(void)
{
    struct stat_fold fold = {0};
    for (size_t i = 0; i < FOLD_STATS; i++) {
        fold.minima[i] = INFINITY;
        fold.maxima[i] = -INFINITY;
    }
    return fold;
}

VECTORISED void stat_fold_add(struct stat_fold *restrict fold, const double *restrict values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double value = values[i];
        const double finite = fabs(value) <= 1.7976931348623157e308 ? 1 : 0;
        fold->sum[i] += finite > 0 ? value : 0;
        fold->minima[i] = finite > 0 && value < fold->minima[i] ? value : fold->minima[i];
        fold->maxima[i] = finite > 0 && value > fold->maxima[i] ? value : fold->maxima[i];
        fold->finite[i] += finite;
        fold->nonfinite[i] += 1 - finite;
    }
}

void stat_fold_take(const struct stat_fold *fold, double *values, const struct stat_extremes *ret,
                    size_t count, uint32_t alone)
{
    for (size_t i = 0; i < count; i++) {
        const int is_alone = alone >> i & 1;
        const int has_finite = !is_alone && fold->finite[i] > 0;
        values[i] = has_finite ? fold->sum[i] / fold->finite[i] : values[i];
        ret->minima[i] = has_finite ? fold->minima[i] : values[i];
        ret->maxima[i] = has_finite ? fold->maxima[i] : values[i];
        ret->nonfinite[i] = is_alone ? (uint32_t)!isfinite(values[i]) : (uint32_t)fold->nonfinite[i];
    }
}
