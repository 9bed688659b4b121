// How weights start: Keras 3's initialisers (keras/src/initializers/random_initializers.py).
//
// Variance scaling, with n the mean of inputs and units (Glorot, scale 1) or the inputs (He, scale 2; LeCun,
// scale 1): uniform in ±√(3·scale/n), or normal with variance scale/n. Normal is truncated at two deviations,
// as in Keras, and widened by 1/0.87962566103423978, the deviation of a standard normal so truncated, to make
// up for it; truncated_normal, as in Keras, is not widened. Orthogonal: the Q of a normal matrix's QR with
// R's diagonal positive; its columns are orthonormal, or its rows where there are fewer.
#ifndef NABLA_TRAIN_INITIALIZER_H
#define NABLA_TRAIN_INITIALIZER_H

#include "math/random.h"
#include "math/real.h"
#include "train/spec.h"

// Fills weight, inputs × units, in order. `value` is the initialiser's option; those without one ignore it.
// Thread safety: as the random stream.
ENGINE void initializer_fill(enum initializer initializer, double value, real *weight, size_t inputs,
                             size_t units, struct random *random);

#endif
