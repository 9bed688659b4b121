// Logarithm, sine and cosine from additions, multiplications and divisions alone, which IEEE 754 rounds in
// one way: unlike libm's, whose last bit depends on version and processor, they give the same bits
// everywhere. For seeded data only; within a few units of the last place, and slower than libm. Thread
// safety: pure functions.
#ifndef NABLA_MATH_ELEMENTARY_H
#define NABLA_MATH_ELEMENTARY_H

// ln x of a finite, positive x.
double elementary_log(double x);

// Sine and cosine of `turns` full turns (2π each), a finite number; 0.25 gives exactly 1 and 0.
void elementary_sincos(double turns, double *ret_sin, double *ret_cos);

#endif
