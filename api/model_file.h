// A trained model as a file: safetensors with the tensors of train/model.h, and in its metadata all that it
// takes to use it or to go on from it: "nabla" is "model", "version" "1", "spec" the job's expanded document,
// "task" (train/task.h), "feature_names", "class_names" (JSON lists) and "label", "weights" whose they are:
// "final", "average" (use_ema) or "best" (restore_best). Ownership: a struct model_file owns all that it
// points to. Thread safety: read by any number of threads.
#ifndef NABLA_API_MODEL_FILE_H
#define NABLA_API_MODEL_FILE_H

#include "api/spec.h"
#include "base/mapped.h"
#include "data/safetensors.h"
#include "train/task.h"
#include "train/trainer.h"

// The name of a job's model in the job's folder, and of the weights that it starts from.
#define MODEL_FILE   "model.safetensors"
#define INITIAL_FILE "initial.safetensors"

// Writes the trainer's weights as a finished run has left them, durably. `spec` is prepared, `document` the
// same as text.
enum nabla_code model_file_write(const char *path, const struct job_spec *spec, const char *document,
                                 const struct dataset *dataset, const struct trainer *trainer,
                                 struct nabla_error *err);

// Reads initial weights, of such a file or any with the same tensors, into a trainer. Errors: as
// trainer_load, and NABLA_NOT_FOUND.
enum nabla_code weights_load(const char *path, struct trainer *trainer, struct nabla_error *err);

struct model_file {
    struct mapped mapped;
    struct safetensors *tensors;
    struct job_spec spec;
    enum task task;
    const char *label; // the name of what is predicted
    char **feature_names, **class_names;
    size_t columns, classes; // how many of them; no classes where the labels were numbers
};

// NABLA_NOT_FOUND: there is no such file. NABLA_MALFORMED: it is no model.
enum nabla_code model_file_open(const char *path, struct model_file *ret, struct nabla_error *err);
void model_file_close(struct model_file *model); // takes NULL and {0}

#endif
