#include "train/dense.h"

#include "base/crew.h"
#include "math/matrix.h"
#include "math/vectorised.h"

#include <string.h>

enum {
    SHARED_BIAS = 1 << 15, // a batch of fewer numbers is not worth sharing
    BIAS_UNITS = 64        // of one that is
};

static VECTORISED void sum_rows(real *restrict sum, const real *restrict x, size_t rows, size_t stride,
                                size_t units)
{
    memcpy(sum, x, units * sizeof *sum);
    for (size_t i = 1; i < rows; i++)
        for (size_t j = 0; j < units; j++)
            sum[j] += x[i * stride + j];
}

struct bias_pass {
    real *gradient;
    const real *output_gradient;
    size_t rows, units;
};

static void bias_piece(void *context, size_t first, size_t end)
{
    const struct bias_pass *pass = context;
    sum_rows(pass->gradient + first, pass->output_gradient + first, pass->rows, pass->units, end - first);
}

static void sum_bias(real *gradient, const real *output_gradient, size_t rows, size_t units)
{
    struct bias_pass pass = {gradient, output_gradient, rows, units};
    crew_share_range(bias_piece, &pass, units, rows * units >= SHARED_BIAS ? BIAS_UNITS : units);
}

ENGINE void dense_forward(real *output, const real *input, const real *weight, const real *bias, size_t rows,
                          size_t inputs, size_t units)
{
    matrix_multiply_bias(output, input, weight, bias, rows, units, inputs);
}

ENGINE void dense_backward(real *input_gradient, real *weight_gradient, real *bias_gradient,
                           const real *output_gradient, const real *input, const real *weight, size_t rows,
                           size_t inputs, size_t units)
{
    matrix_multiply_transposed_a(weight_gradient, input, output_gradient, inputs, units, rows);
    if (bias_gradient)
        sum_bias(bias_gradient, output_gradient, rows, units);
    if (input_gradient)
        matrix_multiply_transposed_b(input_gradient, output_gradient, weight, rows, inputs, units);
}
