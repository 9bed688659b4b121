// Batch normalisation with AVX-512.
#include "train/batch_norm_passes.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")
#include "math/wide_avx512.h"

#include "train/batch_norm_kernel.h"

const struct batch_norm_passes *batch_norm_avx512(void)
{
    return wide_is_supported() ? &passes : NULL;
}
#else
const struct batch_norm_passes *batch_norm_avx512(void)
{
    return NULL;
}
#endif
