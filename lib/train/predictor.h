// A trained network in use: the numbers of a model's file, put to rows.
//
// Rows go through the file's own standardisation, then through the network as it is used (dropout off,
// running statistics). Thread safety: one predictor, one thread. Ownership: it borrows the spec, and copies
// what it needs of the file.
#ifndef NABLA_TRAIN_PREDICTOR_H
#define NABLA_TRAIN_PREDICTOR_H

#include "data/safetensors.h"
#include "train/task.h"

struct predictor;

// `spec` has been completed; `columns` is the width of a row. Errors: those of model_take.
enum nabla_code predictor_new(const struct train_spec *spec, enum task task, size_t columns,
                              const struct safetensors *file, struct predictor **ret,
                              struct nabla_error *err);
void predictor_free(struct predictor *predictor);

size_t predictor_outputs(const struct predictor *predictor); // numbers a row that the last layer puts out
// And probabilities: one a class, of multi-label one an output, of a regression none.
size_t predictor_probabilities(const struct predictor *predictor);

// `features` is rows × columns; `outputs` rows × predictor_outputs; `probabilities` rows ×
// predictor_probabilities: softmax or sigmoid of the outputs, softcap and temperature of the loss included.
enum nabla_code predictor_run(struct predictor *predictor, const float *features, size_t rows, float *outputs,
                              float *probabilities, struct nabla_error *err);

#endif
