// Which fast kernel this processor has.
#include "math/loss_fast.h"

#include "math/processor.h"

static bool has_any(void)
{
    return true;
}

const struct loss_fast_kernel loss_fast_kernels[LOSS_FAST_KERNELS] = {
#if defined(__x86_64__)
    {"avx512", processor_has_avx512, loss_fast_avx512, loss_fast64_avx512, loss_fast_group_avx512, 16},
    {"avx2", processor_has_avx2, loss_fast_avx2, loss_fast64_avx2, loss_fast_group_avx2, 8},
#else
    {"avx512", processor_has_avx512, NULL, NULL, NULL, 0},
    {"avx2", processor_has_avx2, NULL, NULL, NULL, 0},
#endif
    {"portable", has_any, NULL, NULL, NULL, 0},
};

const struct loss_fast_kernel *loss_fast_best(void)
{
    const struct loss_fast_kernel *kernel = loss_fast_kernels;
    while (!kernel->supported())
        kernel++;
    return kernel;
}
