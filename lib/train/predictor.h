// A trained network in use: the numbers of a model's file, put to rows.
//
// Rows go through the file's own standardisation, then through the network as it is used (dropout off,
// running statistics). Thread safety: one predictor, one thread. Ownership: it borrows the spec, and copies
// what it needs of the file.
#ifndef NABLA_TRAIN_PREDICTOR_H
#define NABLA_TRAIN_PREDICTOR_H

#include "data/safetensors.h"
#include "train/spec.h"

struct predictor;

// `spec` has been completed; `columns` is the width of a row. Errors: those of model_take.
enum nabla_code predictor_new(const struct train_spec *spec, size_t columns, const struct safetensors *file,
                              struct predictor **ret, struct nabla_error *err);
void predictor_free(struct predictor *predictor);

size_t predictor_outputs(const struct predictor *predictor); // numbers a row

// `features` is rows × columns; `outputs` and, unless NULL, `probabilities` rows × outputs: what the last
// layer puts out, and what the loss makes of it (softmax or sigmoid). Of a regression they are the same.
enum nabla_code predictor_run(struct predictor *predictor, const float *features, size_t rows, float *outputs,
                              float *probabilities, struct nabla_error *err);

#endif
