// What a network is to learn: follows from the labels of the data set and the loss.
// Thread safety: pure functions.
#ifndef NABLA_TRAIN_TASK_H
#define NABLA_TRAIN_TASK_H

#include "data/dataset.h"
#include "train/spec.h"

enum task {
    TASK_CLASSES,     // one class a row: an id, one output a class
    TASK_BINARY,      // one of two classes: an id, a single output, above 0 for the second class
    TASK_MULTI_LABEL, // any of the outputs: targets from 0 to 1, a binary loss
    TASK_SHARES,      // a distribution over the outputs: targets, a loss of classes
    TASK_REGRESSION,  // numbers: targets, a loss of regression
    TASK_COUNT
};

// The layers must end in the output layer where the spec says that they are written.
enum task spec_task(const struct train_spec *spec, const struct dataset *dataset);

const char *task_name(enum task task); // "classes", "binary", "multi_label", "shares", "regression"
int task_find(const char *name);       // or -1

// How many outputs the network must have. TASK_BINARY where the output layer is not written and can be.
size_t task_outputs(enum task task, const struct dataset *dataset);

// Whether a row's label is one class, or each output is right or wrong by itself.
bool task_has_classes(enum task task);
bool task_is_binary(enum task task);

#endif
