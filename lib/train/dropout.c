#include "train/dropout.h"

#include "math/vectorised.h"

static VECTORISED void multiply_entries(real *product, const real *a, const real *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        product[i] = a[i] * b[i];
}

ENGINE void dropout_forward(real *output, real *mask, const real *input, double rate, struct random *random,
                            size_t count)
{
    const uint32_t threshold = (uint32_t)(rate * 0x1p32);
    const real kept = (real)(1 / (1 - rate));
    for (size_t i = 0; i < count; i++)
        mask[i] = random_u32(random) < threshold ? 0 : kept;
    multiply_entries(output, input, mask, count);
}

ENGINE void dropout_backward(real *input_gradient, const real *output_gradient, const real *mask,
                             size_t count)
{
    multiply_entries(input_gradient, output_gradient, mask, count);
}
