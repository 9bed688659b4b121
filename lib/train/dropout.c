#include "train/dropout.h"

#include "math/vectorised.h"

#include <math.h>

static VECTORISED void multiply_entries(real *product, const real *a, const real *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        product[i] = a[i] * b[i];
}

static void draw_mask(real *mask, double rate, real kept, struct random *random, size_t count)
{
    const uint32_t threshold = (uint32_t)(rate * 0x1p32);
    for (size_t i = 0; i < count; i++)
        mask[i] = random_u32(random) < threshold ? 0 : kept;
}

ENGINE void dropout_forward(real *output, real *mask, const real *input, double rate, struct random *random,
                            size_t count)
{
    draw_mask(mask, rate, (real)(1 / (1 - rate)), random, count);
    multiply_entries(output, input, mask, count);
}

ENGINE void alpha_dropout_forward(real *output, real *mask, const real *input, double rate,
                                  struct random *random, size_t count)
{
    const double lowest = -1.7580993408473766;
    const double a = 1 / sqrt((1 - rate) * (1 + rate * lowest * lowest)), b = -a * lowest * rate;
    draw_mask(mask, rate, (real)a, random, count);
    for (size_t i = 0; i < count; i++)
        output[i] = mask[i] > 0 ? mask[i] * input[i] + (real)b : (real)(a * lowest + b);
}

ENGINE void dropout_backward(real *input_gradient, const real *output_gradient, const real *mask,
                             size_t count)
{
    multiply_entries(input_gradient, output_gradient, mask, count);
}
