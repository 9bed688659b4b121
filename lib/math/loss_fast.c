// Which fast kernel this processor has.
#include "math/loss_fast.h"

static bool has_avx512(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static bool has_avx2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static bool has_any(void)
{
    return true;
}

const struct loss_fast_kernel loss_fast_kernels[LOSS_FAST_KERNELS] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, loss_fast_avx512, loss_fast64_avx512, loss_fast_group_avx512, 16},
    {"avx2", has_avx2, loss_fast_avx2, loss_fast64_avx2, loss_fast_group_avx2, 8},
#else
    {"avx512", has_avx512, NULL, NULL, NULL, 0},
    {"avx2", has_avx2, NULL, NULL, NULL, 0},
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
