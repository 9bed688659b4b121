// Inside spec_complete: its parts. Errors are those of spec_complete.
#ifndef NABLA_TRAIN_SPEC_CHECK_H
#define NABLA_TRAIN_SPEC_CHECK_H

#include "train/spec.h"

// "/model/layers/2/units"; the field begins with its slash, or is "".
struct layer_place {
    char pointer[64];
};
struct layer_place spec_layer_place(size_t index, const char *field);

// Adds the output layer where it is not written, and checks it.
enum nabla_code spec_complete_output(struct train_spec *spec, const struct dataset *dataset,
                                     struct nabla_error *err);
// Checks the loss, its weights and the labels; sets the loss's pointers to the spec's weights.
enum nabla_code spec_complete_loss(struct train_spec *spec, const struct dataset *dataset,
                                   struct nabla_error *err);

#endif
