// The number type of training. The library trains in float; the gradient checks compile the very same
// sources once more with NABLA_REAL_DOUBLE, all functions static, so that central differences can be taken
// in double without a second engine. ENGINE marks what takes part in that.
#ifndef NABLA_MATH_REAL_H
#define NABLA_MATH_REAL_H

#include "math/loss.h"

#include <stdint.h>

#ifdef NABLA_REAL_DOUBLE
#define real   double
#define ENGINE static __attribute__((unused))
enum { REAL_DTYPE = NABLA_FLOAT64 };
#else
#define real float
#define ENGINE
enum { REAL_DTYPE = NABLA_FLOAT32 };
#endif

#endif
