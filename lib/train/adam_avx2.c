// Adam with AVX2.
#include "train/adam.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma,popcnt")
#include "math/wide_avx2.h"

#include "train/adam_kernel.h"

adam_kernel *adam_avx2(void)
{
    return wide_is_supported() ? adam_pass : NULL;
}
#else
adam_kernel *adam_avx2(void)
{
    return NULL;
}
#endif
