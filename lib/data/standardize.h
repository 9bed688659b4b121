// Features brought to mean 0 and deviation 1, or to the range from 0 to 1, learned on the training rows
// alone. A missing value (NaN) counts nothing and stays missing; an infinite one is NABLA_INVALID naming the
// column. Thread safety: read by any number of threads.
#ifndef NABLA_DATA_STANDARDIZE_H
#define NABLA_DATA_STANDARDIZE_H

#include "data/dataset.h"

enum scaling {
    SCALING_NONE,
    SCALING_STANDARDIZE, // x → (x − mean) / deviation
    SCALING_MIN_MAX,     // x → (x − least) / (greatest − least)
    SCALING_COUNT
};
const char *scaling_name(enum scaling scaling); // "none", "standardize", "min_max"
int scaling_find(const char *name);             // or -1

struct standardizer {
    size_t columns;
    float *mean,
        *scale; // x → (x − mean) / scale; a constant feature has scale 1. Of min_max the least is the mean
};

// `scaling` is not none. `imputed` has what stands for each column's missing values (data/impute.h), or is
// NULL.
enum nabla_code standardizer_fit(enum scaling scaling, const struct dataset *dataset, const float *imputed,
                                 const size_t *rows, size_t row_count, struct standardizer *ret,
                                 struct nabla_error *err);
void standardizer_free(struct standardizer *standardizer);
// `features` is rows × columns.
void standardizer_apply(const struct standardizer *standardizer, float *features, size_t rows);

#endif
