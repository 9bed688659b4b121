// Dropout (Srivastava et al., JMLR 2014), inverted as in Keras and PyTorch: an entry is kept with probability
// 1 − rate and then scaled by 1 / (1 − rate), so that using the network needs no scaling.
// Alpha dropout (Klambauer et al., NeurIPS 2017), as Keras 3 has it: a dropped entry becomes selu's lowest
// value α' = −1.7581 and all are then brought back to mean 0 and deviation 1, y = a·x + b.
// Thread safety: pure functions but for the random stream, which is one thread's.
#ifndef NABLA_TRAIN_DROPOUT_H
#define NABLA_TRAIN_DROPOUT_H

#include "math/random.h"
#include "math/real.h"

// `mask` takes 0 or 1 / (1 − rate) for each of the `count` entries. One word of the stream an entry.
ENGINE void dropout_forward(real *output, real *mask, const real *input, double rate, struct random *random,
                            size_t count);
// The same; `mask` takes 0 or a.
ENGINE void alpha_dropout_forward(real *output, real *mask, const real *input, double rate,
                                  struct random *random, size_t count);
// Of both. input_gradient may be output_gradient's own memory.
ENGINE void dropout_backward(real *input_gradient, const real *output_gradient, const real *mask,
                             size_t count);

#endif
