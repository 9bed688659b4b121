// Which kernel multiplies.
#include "math/product.h"

#include "math/processor.h"

#include <stdatomic.h>

static bool has_any(void)
{
    return true;
}

#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
enum { PORTABLE_IS_FUSED = true };
#else
enum { PORTABLE_IS_FUSED = false };
#endif

const struct product_kernel product_kernels[PRODUCT_KERNELS] = {
#if defined(__x86_64__)
    {"avx512", processor_has_avx512, product_avx512, product64_avx512, true},
    {"avx2", processor_has_avx2, product_avx2, product64_avx2, true},
#else
    {"avx512", processor_has_avx512, NULL, NULL, true},
    {"avx2", processor_has_avx2, NULL, NULL, true},
#endif
    {"portable", has_any, product_portable, product64_portable, PORTABLE_IS_FUSED},
};

static _Atomic(const struct product_kernel *) used;

static const struct product_kernel *best(void)
{
    const struct product_kernel *kernel = product_kernels;
    while (!kernel->supported())
        kernel++;
    return kernel;
}

const struct product_kernel *product_kernel(void)
{
    const struct product_kernel *asked = atomic_load_explicit(&used, memory_order_relaxed);
    return asked ? asked : best();
}

void product_use(const struct product_kernel *kernel)
{
    atomic_store_explicit(&used, kernel, memory_order_relaxed);
}
