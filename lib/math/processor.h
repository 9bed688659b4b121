// The instruction sets that kernels of our own are written for, and whether this processor has them. Kernels
// are compiled for the same lists (`#pragma GCC target`).
// Thread safety: pure functions.
#ifndef NABLA_MATH_PROCESSOR_H
#define NABLA_MATH_PROCESSOR_H

#include <stdbool.h>

static inline bool processor_has_avx512(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static inline bool processor_has_avx2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

#endif
