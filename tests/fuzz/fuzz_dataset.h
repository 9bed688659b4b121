// What must hold of every data set that a reader of foreign bytes made.
#ifndef NABLA_TESTS_FUZZ_DATASET_H
#define NABLA_TESTS_FUZZ_DATASET_H

#include "data/dataset.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

// Small, so that short inputs, which are quick, meet the limits too.
static inline struct dataset_limits fuzz_limits(void)
{
    return (struct dataset_limits){.rows = 100, .columns = 20, .classes = 10, .bytes = 1 << 12};
}

static inline void fuzz_require_names(char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fuzz_require(names[i] != NULL);
}

static inline void fuzz_require_dataset(const struct dataset *dataset, const struct dataset_limits *limits)
{
    fuzz_require(dataset->rows >= 1 && dataset->rows <= limits->rows);
    fuzz_require(dataset->columns >= 1 && dataset->columns <= limits->columns);
    fuzz_require(dataset->classes <= limits->classes);
    fuzz_require((dataset->classes > 0) == (dataset->ids != NULL));
    fuzz_require((dataset->outputs > 0) == (dataset->targets != NULL));
    fuzz_require_names(dataset->feature_names, dataset->columns);
    fuzz_require_names(dataset->class_names, dataset->classes);
    for (size_t i = 0; dataset->ids && i < dataset->rows; i++)
        fuzz_require(dataset->ids[i] >= 0 && (size_t)dataset->ids[i] < dataset->classes);
}

static inline void fuzz_require_same(const struct dataset *a, const struct dataset *b)
{
    fuzz_require(a->rows == b->rows && a->columns == b->columns && a->classes == b->classes &&
                 a->outputs == b->outputs);
    fuzz_require(memcmp(a->features, b->features, a->rows * a->columns * sizeof *a->features) == 0);
    if (a->ids)
        fuzz_require(memcmp(a->ids, b->ids, a->rows * sizeof *a->ids) == 0);
    if (a->targets)
        fuzz_require(memcmp(a->targets, b->targets, a->rows * a->outputs * sizeof *a->targets) == 0);
    for (size_t i = 0; i < a->columns; i++)
        fuzz_require(strcmp(a->feature_names[i], b->feature_names[i]) == 0);
    for (size_t i = 0; i < a->classes; i++)
        fuzz_require(strcmp(a->class_names[i], b->class_names[i]) == 0);
}

#endif
