// A trained network's numbers by name, as they leave for a file: "dense_1.weight" (inputs × units),
// "dense_1.bias", "batch_norm_1.gamma", ".beta", ".running_mean", ".running_variance" (units), and, where
// features were standardised, "standardize.mean" and "standardize.scale" (columns): x → (x − mean) / scale.
// Ownership: a model owns the names and borrows the numbers. Thread safety: read by any number of threads.
#ifndef NABLA_TRAIN_MODEL_H
#define NABLA_TRAIN_MODEL_H

#include "data/safetensors.h"
#include "train/network.h"
#include "train/train_data.h"

struct model;

// `network` and `data` must outlive the model.
enum nabla_code model_new(const struct network *network, const struct train_data *data, struct model **ret,
                          struct nabla_error *err);
void model_free(struct model *model);

size_t model_tensor_count(const struct model *model);
// Fills model_tensor_count() tensors; they are valid as long as the model is.
void model_tensors(const struct model *model, struct tensor *ret);

#endif
