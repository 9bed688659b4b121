// How the rows of a data set serve a spec: which of them train, and how many steps that makes.
#ifndef NABLA_TRAIN_SPEC_ROWS_H
#define NABLA_TRAIN_SPEC_ROWS_H

#include "train/spec.h"

// split_make with the spec's options; the pointer of an error is "/training/validation_split".
enum nabla_code spec_split(const struct train_spec *spec, const struct dataset *dataset, struct split *ret,
                           struct nabla_error *err);

// Whether the features stay in the data set's file; not decided yet is no.
bool spec_streams(const struct train_spec *spec);
// How many training rows are shuffled together: all of them in memory; streamed shuffle_buffer, or where none
// is given those of 64 MiB, a batch at least.
size_t spec_shuffle_rows(const struct train_spec *spec, const struct dataset *dataset);
// Neighbouring rows of a stream that stay together until they are shuffled within a window: those of 256 KiB,
// at most about an eighth of the window, at least one.
size_t spec_block_rows(const struct train_spec *spec, const struct dataset *dataset);

// The updates of one epoch: each takes gradient_accumulation_steps batches of the `rows` training rows, the
// last one those that are left.
uint64_t epoch_steps(const struct train_spec *spec, size_t rows);

// The updates of the whole job. NABLA_LIMIT beyond 2^53−1,
// the largest integer that the contract's JSON carries.
enum nabla_code spec_steps(const struct train_spec *spec, const struct dataset *dataset, uint64_t *ret,
                           struct nabla_error *err);

#endif
