// summary_outputs with AVX-512: half the instructions of summary.c's pass over lanes, which is its oracle.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_MATH_SUMMARY_WIDE_H
#define NABLA_MATH_SUMMARY_WIDE_H

#include "math/summary.h"

#include <stdbool.h>

// Whether this processor has it.
bool summary_is_wide(void);
void summary_outputs_wide(struct summary *summary, const float *x, size_t count, float below, float above);

#endif
