// Adam with AVX-512.
#include "train/adam.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")
#include "math/wide_avx512.h"

#include "train/adam_kernel.h"

adam_kernel *adam_avx512(void)
{
    return wide_is_supported() ? adam_pass : NULL;
}
#else
adam_kernel *adam_avx512(void)
{
    return NULL;
}
#endif
