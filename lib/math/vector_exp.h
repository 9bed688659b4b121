// exp, the logistic function and tanh in float without branches or calls, so that loops over them vectorise.
// Within 2 units in the last place over the whole range, subnormal results included; NaN stays NaN.
// Thread safety: pure functions.
#ifndef NABLA_MATH_VECTOR_EXP_H
#define NABLA_MATH_VECTOR_EXP_H

#include "math/vectorised.h"

#include <math.h>
#include <stdint.h>

INLINE float float_of_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } both = {.bits = bits};
    return both.value;
}

INLINE uint32_t bits_of_float(float value)
{
    union {
        float value;
        uint32_t bits;
    } both = {.value = value};
    return both.bits;
}

// exp(x) = 2^n · exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2, and exp(r) by its Taylor polynomial of
// degree 7 (remainder below 6e-9). ln 2 is split so that n · high is exact. Adding 1.5 · 2^23 rounds to an
// integer and leaves it in the low bits. 2^n is applied in two halves: alone it may not be a normal number.
INLINE float exp_float(float x)
{
    const float round = 0x1.8p23F, high = 0x1.62e4p-1F, low = 1.42860682030941723e-6F;
    x = x < -104.0F ? -104.0F : x;
    x = x > 89.0F ? 89.0F : x;
    float shifted = x * 1.44269504088896341F + round;
    float n = shifted - round;
    float r = (x - n * high) - n * low;
    float p = 1.0F / 5040;
    p = p * r + 1.0F / 720;
    p = p * r + 1.0F / 120;
    p = p * r + 1.0F / 24;
    p = p * r + 1.0F / 6;
    p = p * r + 1.0F / 2;
    p = 1 + (r + r * r * p);
    int32_t exponent = (int32_t)(bits_of_float(shifted) - bits_of_float(round));
    int32_t half = exponent >> 1;
    float first = float_of_bits((uint32_t)(half + 127) << 23);
    float second = float_of_bits((uint32_t)(exponent - half + 127) << 23);
    return p * first * second;
}

// 1 / (1 + exp(-x)), from exp(-|x|), so that it keeps its precision where it nears 0.
INLINE float sigmoid_float(float x)
{
    float z = exp_float(-fabsf(x));
    return (x < 0 ? z : 1.0F) / (1 + z);
}

// Near 0, where 1 - 2 / (exp(2x) + 1) cancels: the odd polynomial of Cephes' tanhf (S. Moshier).
INLINE float tanh_float(float x)
{
    float a = fabsf(x), s = x * x;
    float p = -5.70498872745e-3F;
    p = p * s + 2.06390887954e-2F;
    p = p * s - 5.37397155531e-2F;
    p = p * s + 1.33314422036e-1F;
    p = p * s - 3.33332819422e-1F;
    float near = x + x * s * p;
    float far = copysignf(1 - 2 / (exp_float(2 * a) + 1), x);
    return a < 0.625F ? near : far;
}

#endif
