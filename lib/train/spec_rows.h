// How the rows of a data set serve a spec: which of them train, and how many steps that makes.
#ifndef NABLA_TRAIN_SPEC_ROWS_H
#define NABLA_TRAIN_SPEC_ROWS_H

#include "train/spec.h"

// split_make with the spec's options; the pointer of an error is "/training/validation_split".
enum nabla_code spec_split(const struct train_spec *spec, const struct dataset *dataset, struct split *ret,
                           struct nabla_error *err);

// The updates of one epoch: each takes gradient_accumulation_steps batches of the `rows` training rows, the
// last one those that are left.
uint64_t epoch_steps(const struct train_spec *spec, size_t rows);

// The updates of the whole job. NABLA_LIMIT beyond 2^53−1,
// the largest integer that the contract's JSON carries.
enum nabla_code spec_steps(const struct train_spec *spec, const struct dataset *dataset, uint64_t *ret,
                           struct nabla_error *err);

#endif
