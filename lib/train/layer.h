// What a layer of each type does within a network: binds the pure kernels to the layer's memory.
// Thread safety: as the network.
#ifndef NABLA_TRAIN_LAYER_H
#define NABLA_TRAIN_LAYER_H

#include "train/network.h"

ENGINE void layer_initialize(struct layer *layer, struct random *random);
ENGINE void layer_forward(struct layer *layer, size_t rows, enum network_mode mode, struct random *random);
// input_gradient, rows × inputs, may be NULL where nobody asks for it.
ENGINE void layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                           size_t rows);

#endif
