// Which rows train and which validate: stratified by class and seeded, or Keras' way (the last rows).
// Thread safety: pure functions.
#ifndef NABLA_DATA_SPLIT_H
#define NABLA_DATA_SPLIT_H

#include "data/dataset.h"

enum split_kind { SPLIT_STRATIFIED, SPLIT_LAST };

struct split {
    size_t *train, train_count; // row indices, ascending
    size_t *validation, validation_count;
};

// `fraction` of the rows, in [0, 1), goes to validation. Stratified: fraction·rows, rounded to the nearest,
// of which each class gives its share (largest remainder), keeping at least one row of each class for
// training (where classes of one row withhold theirs, validation has fewer). Last: training keeps
// floor(rows·(1 − fraction)), as in Keras. Regression data is split at random. A part without rows is
// NABLA_INVALID, but fraction 0.
enum nabla_code split_make(const struct dataset *dataset, enum split_kind kind, double fraction,
                           uint64_t seed, struct split *ret, struct nabla_error *err);
void split_free(struct split *split);

#endif
