// Features brought to mean 0 and deviation 1, learned on the training rows alone.
// A missing value (NaN) counts nothing and stays missing; an infinite one is NABLA_INVALID naming the column.
// Thread safety: read by any number of threads.
#ifndef NABLA_DATA_STANDARDIZE_H
#define NABLA_DATA_STANDARDIZE_H

#include "data/dataset.h"

struct standardizer {
    size_t columns;
    float *mean, *scale; // x → (x − mean) / scale; a constant feature has scale 1
};

enum nabla_code standardizer_fit(const struct dataset *dataset, const size_t *rows, size_t row_count,
                                 struct standardizer *ret, struct nabla_error *err);
void standardizer_free(struct standardizer *standardizer);
void standardizer_apply(const struct standardizer *standardizer, struct dataset *dataset);

#endif
