// Missing values (NaN) of features replaced by what the training rows alone tell: scikit-learn's
// SimpleImputer. Thread safety: pure functions.
#ifndef NABLA_DATA_IMPUTE_H
#define NABLA_DATA_IMPUTE_H

#include "data/dataset.h"

enum missing {
    MISSING_REFUSE, // a data set with missing values is refused
    MISSING_MEAN,
    MISSING_MEDIAN,        // of an even number the mean of the two in the middle
    MISSING_MOST_FREQUENT, // the least one of several
    MISSING_CONSTANT,
    MISSING_COUNT
};
const char *missing_name(enum missing missing);
int missing_find(const char *name); // or -1

// NABLA_INVALID naming the first columns that miss a value, if any does.
enum nabla_code dataset_refuse_missing(const struct dataset *dataset, struct nabla_error *err);

// Learns a value for each column; NABLA_INVALID where a column has none in these rows. `missing` is not
// refuse. *ret: columns of them, the caller frees it.
enum nabla_code impute_fit(enum missing missing, double constant, const struct dataset *dataset,
                           const size_t *rows, size_t row_count, float **ret, struct nabla_error *err);
// `features` is rows × columns.
void impute_apply(const float *values, size_t columns, float *features, size_t rows);

#endif
