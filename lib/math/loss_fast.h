// The fast path: cross-entropy of a class id from float32 logits, a row at a time, in three passes over the
// row while it lies in the cache (largest score, exponentials and their sum, scaling).
//
// The kernels are written once (loss_fast_row.h) over a dozen vector operations, and compiled for each
// instruction set with its own operations. They meet the same bounds as the careful path in double
// (loss_softmax.c), which stays their oracle, the portable version, and takes the rows that they decline.
#ifndef NABLA_MATH_LOSS_FAST_H
#define NABLA_MATH_LOSS_FAST_H

#include <stdbool.h>
#include <stddef.h>

struct loss_fast_row {
    const float *scores; // `classes` logits
    size_t classes, label;
    float *gradient;      // may be NULL, or the scores' own memory
    float *probabilities; // may be NULL
    double factor;        // on the gradient
    double loss;          // out: -ln p of the label, without any factor
    double complement;    // out: 1 - p of the label: the largest entry of the gradient, without the factor
    double squares;       // out: Σ gradient², without the factor
    bool correct;         // out: the label has the one largest score
};

// Computes the row; false, with nothing written, when the row is for the careful path: scores beyond 2^17,
// a NaN, an infinity in the lead, or a label more than 60 ahead of all others.
bool loss_fast_avx512(struct loss_fast_row *row);

bool loss_fast_avx2(struct loss_fast_row *row);

// The kernels that were compiled in, best first; the last has the name "portable" and no function: the
// careful path takes every row.
struct loss_fast_kernel {
    const char *name;
    bool (*supported)(void);
    bool (*row)(struct loss_fast_row *row);
};

enum { LOSS_FAST_KERNELS = 3 };
extern const struct loss_fast_kernel loss_fast_kernels[LOSS_FAST_KERNELS];

// The best that this processor has.
const struct loss_fast_kernel *loss_fast_best(void);

#endif
