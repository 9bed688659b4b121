// Summaries with AVX-512.
#include "math/summary.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")
#include "math/wide_avx512.h"

#include "math/summary_kernel.h"

const struct summary_kernel *summary_avx512(void)
{
    return wide_is_supported() ? &passes : NULL;
}
#else
const struct summary_kernel *summary_avx512(void)
{
    return NULL;
}
#endif
