// Batch normalisation with AVX2.
#include "train/batch_norm_passes.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma,popcnt")
#include "math/wide_avx2.h"

#include "train/batch_norm_kernel.h"

const struct batch_norm_passes *batch_norm_avx2(void)
{
    return wide_is_supported() ? &passes : NULL;
}
#else
const struct batch_norm_passes *batch_norm_avx2(void)
{
    return NULL;
}
#endif
