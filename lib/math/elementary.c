#include "math/elementary.h"

#include <math.h>

// Σ coefficients[i]·xⁱ by Horner's rule.
static double polynomial(const double *coefficients, int count, double x)
{
    double sum = 0;
    for (int i = count; i-- > 0;)
        sum = sum * x + coefficients[i];
    return sum;
}

// ln x = e·ln 2 + ln m with m in [√½, √2), ln m = 2·atanh((m−1)/(m+1)). frexp is exact.
double elementary_log(double x)
{
    static const double odd[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9, 1.0 / 11,
                                 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    int exponent;
    double mantissa = frexp(x, &exponent);
    if (mantissa < M_SQRT1_2) {
        mantissa *= 2;
        exponent--;
    }
    double s = (mantissa - 1) / (mantissa + 1);
    return 2 * s * polynomial(odd, sizeof odd / sizeof *odd, s * s) + exponent * M_LN2;
}

// The nearest quarter turn is taken out exactly; Taylor's series at most π/4 from 0 has terms below 1e-16
// left.
void elementary_sincos(double turns, double *ret_sin, double *ret_cos)
{
    static const double sine[] = {1,
                                  -1.0 / 6,
                                  1.0 / 120,
                                  -1.0 / 5040,
                                  1.0 / 362880,
                                  -1.0 / 39916800,
                                  1.0 / 6227020800,
                                  -1.0 / 1307674368000,
                                  1.0 / 355687428096000};
    static const double cosine[] = {1,
                                    -1.0 / 2,
                                    1.0 / 24,
                                    -1.0 / 720,
                                    1.0 / 40320,
                                    -1.0 / 3628800,
                                    1.0 / 479001600,
                                    -1.0 / 87178291200,
                                    1.0 / 20922789888000,
                                    -1.0 / 6402373705728000};
    turns -= floor(turns);
    int quarter = (int)(turns * 4 + 0.5);
    double angle = (turns - quarter * 0.25) * (2 * M_PI);
    double sin_angle = angle * polynomial(sine, sizeof sine / sizeof *sine, angle * angle);
    double cos_angle = polynomial(cosine, sizeof cosine / sizeof *cosine, angle * angle);
    double sines[] = {sin_angle, cos_angle, -sin_angle, -cos_angle};
    *ret_sin = sines[quarter % 4];
    *ret_cos = sines[(quarter + 1) % 4];
}
