// A trained network's numbers by name, as they leave for a file: "dense_1.weight" (inputs × units),
// "dense_1.bias", "batch_norm_1.gamma", ".beta", ".running_mean", ".running_variance" (units), and, where
// features were standardised, "standardize.mean" and "standardize.scale" (columns): x → (x − mean) / scale;
// where missing values are filled in, "impute.value" (columns), which comes first. A file that holds such
// tensors, from wherever, becomes a network's weights again. Ownership: a model owns the names and borrows
// the numbers. Thread safety: read by any number of threads.
#ifndef NABLA_TRAIN_MODEL_H
#define NABLA_TRAIN_MODEL_H

#include "data/safetensors.h"
#include "train/network.h"
#include "train/train_data.h"

struct model;

// `network` and `data` must outlive the model; `data` may be NULL: then the network's own tensors are all. Of
// a network that was only described the tensors have no numbers (data NULL).
enum nabla_code model_new(const struct network *network, const struct train_data *data, struct model **ret,
                          struct nabla_error *err);
void model_free(struct model *model);

size_t model_tensor_count(const struct model *model);
// Whether a file has each of the network's tensors in its shape, as F32 or F64, and no others but
// standardize.* and impute.*. NABLA_INVALID names the first that is wrong; its pointer is that of the tensor,
// "/dense_1.weight".
enum nabla_code model_check(const struct model *model, const struct safetensors *file,
                            struct nabla_error *err);
// model_check for a network that is only to be: `spec` completed, rows of `columns` numbers.
enum nabla_code model_check_spec(const struct train_spec *spec, size_t columns,
                                 const struct safetensors *file, struct nabla_error *err);
// model_check, and the file's numbers become the network's.
enum nabla_code model_take(struct model *model, const struct safetensors *file, struct nabla_error *err);

// Fills model_tensor_count() tensors; they are valid as long as the model is.
void model_tensors(const struct model *model, struct tensor *ret);

#endif
