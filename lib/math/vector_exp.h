// exp, the logistic function, tanh and their kin in float without branches or calls, so that loops over them
// vectorise. Within 2 units in the last place over the whole range, subnormal results included, where not
// said otherwise; NaN stays NaN.
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

// exp(x) - 1 for x <= 0, as 2t / (1 - t) with t = tanh(x/2): nothing cancels. Within 4 units.
INLINE float expm1_negative_float(float x)
{
    float t = tanh_float(0.5F * x);
    return 2 * t / (1 - t);
}

// log(1 + z) for z in [0, 1], as 2 artanh(s) with s = z / (2 + z) <= 1/3, by its Taylor polynomial.
INLINE float log1p_unit_float(float z)
{
    float s = z / (2 + z), q = s * s;
    float p = 1.0F / 15;
    p = p * q + 1.0F / 13;
    p = p * q + 1.0F / 11;
    p = p * q + 1.0F / 9;
    p = p * q + 1.0F / 7;
    p = p * q + 1.0F / 5;
    p = p * q + 1.0F / 3;
    return 2 * (s + s * q * p);
}

// The standard normal distribution's Φ(x) = erfc(-x/√2) / 2, from its lower tail, so that it keeps its
// precision where it nears 0: erfc(a) = exp(-a²) · t · P(2t - 1) with t = 1 / (1 + 0.4 a), P fitted for the
// least largest relative error over a in [0, 10.5] (below 1e-8). Within 2e-7 of Φ, and of it within 1e-6
// down to x = -5.
INLINE float normal_cdf_float(float x)
{
    float a = 0.70710678F * fabsf(x), t = 1 / (1 + 0.4F * a), s = 2 * t - 1;
    float p = -5.593148671323433e-05F;
    p = p * s + 2.4982949253171682e-4F;
    p = p * s + 2.1037143596913666e-4F;
    p = p * s - 1.920417184010148e-3F;
    p = p * s - 3.368896199390292e-3F;
    p = p * s + 1.134402770549059e-2F;
    p = p * s + 6.850193440914154e-2F;
    p = p * s + 1.8156567215919495e-1F;
    p = p * s + 3.218607008457184e-1F;
    p = p * s + 4.216127395629883e-1F;
    float tail = 0.5F * t * p * exp_float(-0.5F * x * x);
    return x < 0 ? tail : 1 - tail;
}

#endif
