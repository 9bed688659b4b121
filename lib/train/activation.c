#include "train/activation.h"

#include "base/crew.h"
#include "math/vector_exp.h"
#include "math/vectorised.h"

#include <math.h>
#include <string.h>

#ifdef NABLA_REAL_DOUBLE
static double exp_real(double x)
{
    return exp(x);
}

static double sigmoid_real(double x)
{
    return 1 / (1 + exp(-x));
}

static double tanh_real(double x)
{
    return tanh(x);
}

static double expm1_negative_real(double x)
{
    return expm1(x);
}

static double log1p_unit_real(double z)
{
    return log1p(z);
}

static double normal_cdf_real(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752);
}
#else
INLINE float exp_real(float x)
{
    return exp_float(x);
}

INLINE float sigmoid_real(float x)
{
    return sigmoid_float(x);
}

INLINE float tanh_real(float x)
{
    return tanh_float(x);
}

INLINE float expm1_negative_real(float x)
{
    return expm1_negative_float(x);
}

INLINE float log1p_unit_real(float z)
{
    return log1p_unit_float(z);
}

INLINE float normal_cdf_real(float x)
{
    return normal_cdf_float(x);
}
#endif

// Klambauer et al., NeurIPS 2017.
static const real SELU_ALPHA = (real)1.6732632423543772848170429916717;
static const real SELU_SCALE = (real)1.0507009873554804934193349852946;

INLINE real magnitude(real x)
{
    return x < 0 ? -x : x;
}

// x, or 0 where it is above: functions of the negative side see nothing else. NaN stays.
INLINE real negative_part(real x)
{
    return x > 0 ? 0 : x;
}

static void linear_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    memcpy(output, input, count * sizeof *output);
}

static void linear_backward(real *dx, const real *dy, const real *x, const real *y, real a, size_t count)
{
    (void)x, (void)y, (void)a;
    memmove(dx, dy, count * sizeof *dx);
}

static VECTORISED void sigmoid_forward(real *restrict output, const real *restrict input, real a,
                                       size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = sigmoid_real(input[i]);
}

static VECTORISED void sigmoid_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                        size_t count)
{
    (void)x, (void)a;
    for (size_t i = 0; i < count; i++)
        dx[i] = dy[i] * (y[i] * (1 - y[i]));
}

static VECTORISED void tanh_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = tanh_real(input[i]);
}

static VECTORISED void tanh_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)x, (void)a;
    for (size_t i = 0; i < count; i++)
        dx[i] = dy[i] * ((1 - y[i]) * (1 + y[i]));
}

// NaN passes through: it is data.
static VECTORISED void relu_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] <= 0 ? 0 : input[i];
}

// The derivative at 0 is taken as 0, as Keras and PyTorch do.
static VECTORISED void relu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)x, (void)a;
    for (size_t i = 0; i < count; i++)
        dx[i] = y[i] <= 0 ? 0 : dy[i];
}

static VECTORISED void leaky_relu_forward(real *restrict output, const real *restrict input, real a,
                                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] <= 0 ? a * input[i] : input[i];
}

static VECTORISED void leaky_relu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                           size_t count)
{
    (void)y;
    for (size_t i = 0; i < count; i++)
        dx[i] = x[i] <= 0 ? a * dy[i] : dy[i];
}

static VECTORISED void elu_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] <= 0 ? a * expm1_negative_real(negative_part(input[i])) : input[i];
}

// From the input: y + a would lose the far tail, where y nears −a.
static VECTORISED void elu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                    size_t count)
{
    (void)y;
    for (size_t i = 0; i < count; i++)
        dx[i] = x[i] <= 0 ? dy[i] * (a * exp_real(negative_part(x[i]))) : dy[i];
}

static VECTORISED void selu_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++) {
        real below = SELU_ALPHA * expm1_negative_real(negative_part(input[i]));
        output[i] = SELU_SCALE * (input[i] <= 0 ? below : input[i]);
    }
}

static VECTORISED void selu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)y, (void)a;
    for (size_t i = 0; i < count; i++) {
        real below = SELU_ALPHA * exp_real(negative_part(x[i]));
        dx[i] = dy[i] * (SELU_SCALE * (x[i] <= 0 ? below : 1));
    }
}

static VECTORISED void gelu_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] * normal_cdf_real(input[i]);
}

// Φ(x) + x·φ(x)
static VECTORISED void gelu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)y, (void)a;
    const real scale = (real)0.39894228040143268; // 1/√(2π)
    for (size_t i = 0; i < count; i++) {
        real density = scale * exp_real((real)-0.5 * x[i] * x[i]);
        dx[i] = dy[i] * (normal_cdf_real(x[i]) + x[i] * density);
    }
}

static VECTORISED void silu_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] * sigmoid_real(input[i]);
}

static VECTORISED void silu_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)y, (void)a;
    for (size_t i = 0; i < count; i++) {
        real s = sigmoid_real(x[i]);
        dx[i] = dy[i] * (s * (1 + x[i] * (1 - s)));
    }
}

static VECTORISED void softplus_forward(real *restrict output, const real *restrict input, real a,
                                        size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++) {
        real x = input[i];
        output[i] = (x > 0 ? x : 0) + log1p_unit_real(exp_real(-magnitude(x)));
    }
}

static VECTORISED void softplus_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                         size_t count)
{
    (void)y, (void)a;
    for (size_t i = 0; i < count; i++)
        dx[i] = dy[i] * sigmoid_real(x[i]);
}

static VECTORISED void softsign_forward(real *restrict output, const real *restrict input, real a,
                                        size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] / (1 + magnitude(input[i]));
}

static VECTORISED void softsign_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                         size_t count)
{
    (void)y, (void)a;
    for (size_t i = 0; i < count; i++) {
        real slope = 1 / (1 + magnitude(x[i]));
        dx[i] = dy[i] * (slope * slope);
    }
}

static VECTORISED void hard_sigmoid_forward(real *restrict output, const real *restrict input, real a,
                                            size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] <= -3 ? 0 : input[i] >= 3 ? 1 : (input[i] + 3) / 6;
}

static VECTORISED void hard_sigmoid_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                             size_t count)
{
    (void)x, (void)a;
    for (size_t i = 0; i < count; i++)
        dx[i] = y[i] <= 0 || y[i] >= 1 ? 0 : dy[i] / 6;
}

// With z = exp(−|x|), tanh(softplus(x)) = n / d: n = 1 + 2z and d = n + 2z² above 0, n = z² + 2z and
// d = n + 2 below, so that nothing overflows or cancels.
static VECTORISED void mish_forward(real *restrict output, const real *restrict input, real a, size_t count)
{
    (void)a;
    for (size_t i = 0; i < count; i++) {
        real x = input[i], z = exp_real(-magnitude(x));
        real n = x > 0 ? 1 + 2 * z : z * (z + 2);
        output[i] = x * (n / (n + (x > 0 ? 2 * z * z : 2)));
    }
}

// t + x·(1 − t²)·sigmoid(x) with t = n / d, where 1 − t² = (2 (1 + z) r / d)², r being z above 0 and 1 below.
static VECTORISED void mish_backward(real *dx, const real *dy, const real *x, const real *y, real a,
                                     size_t count)
{
    (void)y, (void)a;
    for (size_t i = 0; i < count; i++) {
        real z = exp_real(-magnitude(x[i]));
        real n = x[i] > 0 ? 1 + 2 * z : z * (z + 2), d = n + (x[i] > 0 ? 2 * z * z : 2);
        real root = 2 * (1 + z) * (x[i] > 0 ? z : 1) / d;
        dx[i] = dy[i] * (n / d + x[i] * (root * root) * sigmoid_real(x[i]));
    }
}

static const struct {
    void (*forward)(real *output, const real *input, real a, size_t count);
    void (*backward)(real *dx, const real *dy, const real *x, const real *y, real a, size_t count);
    struct activation_bounds flat;
} activations[] = {
    [ACTIVATION_LINEAR] = {linear_forward, linear_backward, {NAN, NAN, false}},
    // y (1 - y) = 0.0025 and 1 - y² = 0.01
    [ACTIVATION_SIGMOID] = {sigmoid_forward, sigmoid_backward, {0.00250628, 0.99749372, false}},
    [ACTIVATION_TANH] = {tanh_forward, tanh_backward, {-0.99498744, 0.99498744, false}},
    [ACTIVATION_RELU] = {relu_forward, relu_backward, {0, NAN, false}},
    [ACTIVATION_LEAKY_RELU] = {leaky_relu_forward, leaky_relu_backward, {NAN, NAN, false}}, // as alpha says
    [ACTIVATION_ELU] = {elu_forward, elu_backward, {NAN, NAN, false}},                      // as alpha says
    // The slope is largest just below 0, 1.7581 there, and y + 1.7581.
    [ACTIVATION_SELU] = {selu_forward, selu_backward, {-1.74051844, NAN, false}},
    [ACTIVATION_GELU] = {gelu_forward, gelu_backward, {-3.02166263, NAN, true}},
    [ACTIVATION_SILU] = {silu_forward, silu_backward, {-6.14291570, NAN, true}},
    [ACTIVATION_SOFTPLUS] = {softplus_forward, softplus_backward, {0.01005034, NAN, false}}, // −log 0.99
    [ACTIVATION_SOFTSIGN] = {softsign_forward, softsign_backward, {-0.9, 0.9, false}},       // (1 − |y|)²
    [ACTIVATION_HARD_SIGMOID] = {hard_sigmoid_forward, hard_sigmoid_backward, {0, 1, false}},
    [ACTIVATION_MISH] = {mish_forward, mish_backward, {-6.15874131, NAN, true}},
};
_Static_assert(sizeof activations / sizeof *activations == ACTIVATION_COUNT, "every activation has a row");

// Fewer numbers than a piece has are not worth sharing. Pieces are whole vectors, so that a number is worked
// on in the same way whoever takes it.
enum { PIECE = 1 << 14 };

struct pass {
    enum activation activation;
    real alpha;
    real *result;
    const real *input, *output, *output_gradient;
};

static void forward_piece(void *context, size_t first, size_t end)
{
    const struct pass *pass = context;
    activations[pass->activation].forward(pass->result + first, pass->input + first, pass->alpha,
                                          end - first);
}

static void backward_piece(void *context, size_t first, size_t end)
{
    const struct pass *pass = context;
    activations[pass->activation].backward(pass->result + first, pass->output_gradient + first,
                                           pass->input + first, pass->output + first, pass->alpha,
                                           end - first);
}

ENGINE void activation_forward(enum activation activation, double alpha, real *output, const real *input,
                               size_t count)
{
    struct pass pass = {activation, (real)alpha, output, input, NULL, NULL};
    crew_share_range(forward_piece, &pass, count, PIECE);
}

ENGINE void activation_backward(enum activation activation, double alpha, real *input_gradient,
                                const real *output_gradient, const real *input, const real *output,
                                size_t count)
{
    struct pass pass = {activation, (real)alpha, input_gradient, input, output, output_gradient};
    crew_share_range(backward_piece, &pass, count, PIECE);
}

// elu's slope is y + alpha below 0 and 1 above.
static double elu_flat_below(double alpha)
{
    return fmin(0, 0.01 * fmax(1, alpha) - alpha);
}

ENGINE struct activation_bounds activation_flat(enum activation activation, double alpha)
{
    struct activation_bounds flat = activations[activation].flat;
    if (activation == ACTIVATION_LEAKY_RELU && alpha < 0.01)
        flat.below = 0;
    if (activation == ACTIVATION_ELU)
        flat.below = elu_flat_below(alpha);
    return flat;
}
