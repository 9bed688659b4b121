#include "train/adam.h"

adam_kernel *adam_fused(const struct optimizer_step *step)
{
    if (step->type != OPTIMIZER_ADAM && step->type != OPTIMIZER_ADAMW)
        return NULL;
    adam_kernel *kernel = adam_avx512();
    return kernel ? kernel : adam_avx2();
}
