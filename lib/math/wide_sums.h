// Sums of 16 floats at a time in double, with AVX-512: for the kernels that summarise. Include it after
// `#pragma GCC target` and immintrin.h.
#ifndef NABLA_MATH_WIDE_SUMS_H
#define NABLA_MATH_WIDE_SUMS_H

#include "math/vectorised.h"

struct wide {
    __m512d low, high;
};

INLINE struct wide wide_new(__m512 x)
{
    return (struct wide){_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
                         _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
}

INLINE void wide_add(struct wide *sum, struct wide x)
{
    sum->low = _mm512_add_pd(sum->low, x.low);
    sum->high = _mm512_add_pd(sum->high, x.high);
}

INLINE void wide_add_abs(struct wide *sum, struct wide x)
{
    sum->low = _mm512_add_pd(sum->low, _mm512_abs_pd(x.low));
    sum->high = _mm512_add_pd(sum->high, _mm512_abs_pd(x.high));
}

INLINE void wide_add_square(struct wide *sum, struct wide x)
{
    sum->low = _mm512_fmadd_pd(x.low, x.low, sum->low);
    sum->high = _mm512_fmadd_pd(x.high, x.high, sum->high);
}

INLINE double wide_total(struct wide sum)
{
    return _mm512_reduce_add_pd(sum.low) + _mm512_reduce_add_pd(sum.high);
}

#endif
