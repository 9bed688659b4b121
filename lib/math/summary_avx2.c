// Summaries with AVX2.
#include "math/summary.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma,popcnt")
#include "math/wide_avx2.h"

#include "math/summary_kernel.h"

const struct summary_kernel *summary_avx2(void)
{
    return wide_is_supported() ? &passes : NULL;
}
#else
const struct summary_kernel *summary_avx2(void)
{
    return NULL;
}
#endif
