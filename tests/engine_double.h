// The training engine once more, in double and static: what the library compiles in float, for checks that
// float is too coarse for. Include it before anything else that includes the engine's headers.
#ifndef NABLA_TESTS_ENGINE_DOUBLE_H
#define NABLA_TESTS_ENGINE_DOUBLE_H

#define NABLA_REAL_DOUBLE

#include "lib/math/matrix.c"
#include "lib/math/summary.c"
#include "lib/math/summary_shared.c"
#include "lib/train/activation.c"
#include "lib/train/batch_norm.c"
#include "lib/train/clip.c"
#include "lib/train/dense.c"
#include "lib/train/dropout.c"
#include "lib/train/initializer.c"
#include "lib/train/layer.c"
#include "lib/train/layer_norm.c"
#include "lib/train/layer_update.c"
#include "lib/train/network.c"
#include "lib/train/network_update.c"
#include "lib/train/optimizer.c"
#include "lib/train/orthogonal.c"
#include "lib/train/tensor_rule.c"

#endif
