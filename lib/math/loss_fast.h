// The fast path: cross-entropy of a class id from logits, a row at a time, in three passes over the
// row while it lies in the cache (largest score, exponentials and their sum, scaling).
//
// The kernels are written once (loss_fast_row.h) over a dozen vector operations, and compiled for each
// instruction set with its own operations. They meet the same bounds as the careful path in double
// (loss_softmax.c), which stays their oracle, the portable version, and takes the rows that they decline.
#ifndef NABLA_MATH_LOSS_FAST_H
#define NABLA_MATH_LOSS_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

// The same in float64.
struct loss_fast_row64 {
    const double *scores;
    size_t classes, label;
    double *gradient, *probabilities;
    double factor, loss, complement, squares;
    bool correct;
};

bool loss_fast64_avx512(struct loss_fast_row64 *row);
bool loss_fast64_avx2(struct loss_fast_row64 *row);

enum { LOSS_GROUP_MOST = 16, LOSS_SHORT_CLASSES = 64 };

// As many short rows as a vector has lanes, a row to a lane: where a row is shorter than a vector or two, its
// own sums and logarithm would cost more than its exponentials.
struct loss_fast_group {
    const float *scores; // rows × classes, contiguous
    size_t classes;      // at most LOSS_SHORT_CLASSES
    float *gradient, *probabilities;
    _Alignas(64) float labels[LOSS_GROUP_MOST];
    double factors[LOSS_GROUP_MOST];
    // Out, as in struct loss_fast_row.
    double loss[LOSS_GROUP_MOST], complement[LOSS_GROUP_MOST], squares[LOSS_GROUP_MOST];
    _Alignas(64) float correct[LOSS_GROUP_MOST]; // 0 or 1
};

bool loss_fast_group_avx512(struct loss_fast_group *group);
bool loss_fast_group_avx2(struct loss_fast_group *group);

// The kernels that were compiled in, best first; the last has the name "portable" and no function: the
// careful path takes every row.
struct loss_fast_kernel {
    const char *name;
    bool (*supported)(void);
    bool (*row)(struct loss_fast_row *row);
    bool (*row64)(struct loss_fast_row64 *row);
    bool (*group)(struct loss_fast_group *group); // declines as `row` does, for all of its rows
    size_t group_rows;
};

enum { LOSS_FAST_KERNELS = 3 };
extern const struct loss_fast_kernel loss_fast_kernels[LOSS_FAST_KERNELS];

// The best that this processor has.
const struct loss_fast_kernel *loss_fast_best(void);

#endif
