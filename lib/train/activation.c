#include "train/activation.h"

#include "math/vector_exp.h"
#include "math/vectorised.h"

#include <math.h>
#include <string.h>

#ifdef NABLA_REAL_DOUBLE
static double sigmoid_real(double x)
{
    return 1 / (1 + exp(-x));
}

static double tanh_real(double x)
{
    return tanh(x);
}
#else
INLINE float sigmoid_real(float x)
{
    return sigmoid_float(x);
}

INLINE float tanh_real(float x)
{
    return tanh_float(x);
}
#endif

static void linear_forward(real *restrict output, const real *restrict input, size_t count)
{
    memcpy(output, input, count * sizeof *output);
}

static void linear_backward(real *dx, const real *dy, const real *y, size_t count)
{
    (void)y;
    memmove(dx, dy, count * sizeof *dx);
}

static VECTORISED void sigmoid_forward(real *restrict output, const real *restrict input, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output[i] = sigmoid_real(input[i]);
}

static VECTORISED void sigmoid_backward(real *dx, const real *dy, const real *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dx[i] = dy[i] * (y[i] * (1 - y[i]));
}

static VECTORISED void tanh_forward(real *restrict output, const real *restrict input, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output[i] = tanh_real(input[i]);
}

static VECTORISED void tanh_backward(real *dx, const real *dy, const real *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dx[i] = dy[i] * ((1 - y[i]) * (1 + y[i]));
}

// NaN passes through: it is data.
static VECTORISED void relu_forward(real *restrict output, const real *restrict input, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] <= 0 ? 0 : input[i];
}

// The derivative at 0 is taken as 0, as Keras and PyTorch do.
static VECTORISED void relu_backward(real *dx, const real *dy, const real *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dx[i] = y[i] <= 0 ? 0 : dy[i];
}

static const struct {
    void (*forward)(real *output, const real *input, size_t count);
    void (*backward)(real *dx, const real *dy, const real *y, size_t count);
    struct activation_bounds flat;
} activations[] = {
    [ACTIVATION_LINEAR] = {linear_forward, linear_backward, {NAN, NAN}},
    // y (1 - y) = 0.0025 and 1 - y² = 0.01
    [ACTIVATION_SIGMOID] = {sigmoid_forward, sigmoid_backward, {0.00250628, 0.99749372}},
    [ACTIVATION_TANH] = {tanh_forward, tanh_backward, {-0.99498744, 0.99498744}},
    [ACTIVATION_RELU] = {relu_forward, relu_backward, {0, NAN}},
};
_Static_assert(sizeof activations / sizeof *activations == ACTIVATION_COUNT, "every activation has a row");

ENGINE void activation_forward(enum activation activation, real *output, const real *input, size_t count)
{
    activations[activation].forward(output, input, count);
}

ENGINE void activation_backward(enum activation activation, real *input_gradient, const real *output_gradient,
                                const real *output, size_t count)
{
    activations[activation].backward(input_gradient, output_gradient, output, count);
}

ENGINE struct activation_bounds activation_flat(enum activation activation)
{
    return activations[activation].flat;
}
