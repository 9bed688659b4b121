// Inside the loss library: one row's gradient at 113 bits, for certificates (loss_certify.c). _Float128 and
// its functions are gcc's and glibc's own; no library is needed for them.
//
// The formulas are those of docs/losses.md, straight: with 60 bits to spare most of what double must avoid
// does no harm. Only 1 - p keeps its care, for it has no smallest value.
#ifndef NABLA_MATH_LOSS_ORACLE_H
#define NABLA_MATH_LOSS_ORACLE_H

#include "math/loss_row.h"

#include <math.h>

enum { LOSS_ORACLE_BITS = 113, LOSS_ORACLE_ARRAYS = 9 };

// All arrays have `classes` entries.
struct loss_oracle_row {
    size_t classes;
    const _Float128 *scores, *targets;
    // 1 or -1: a score on the edge of a clip or hinge, which rounding may have put on either side of it, lies
    // beyond the clip and has no hinge (1), or the other way round (-1), or where it lies (0).
    int lean;
    _Float128 *gradient;       // out: with respect to the scores, before sample weight and reduction
    _Float128 *largest;        // out: magnitude of the largest term that the entry is a sum of
    _Float128 *p, *rest, *log; // scratch: probabilities, 1 - p, ln p
    _Float128 *mass, *logits;  // scratch: the target's share, the logits as the softmax sees them
};

void loss_oracle_softmax(const struct loss_plan *plan, struct loss_oracle_row *row);
void loss_oracle_binary(const struct loss_plan *plan, struct loss_oracle_row *row);
void loss_oracle_regression(const struct loss_plan *plan, struct loss_oracle_row *row);
void loss_oracle_hinge(const struct loss_plan *plan, struct loss_oracle_row *row);

// Whether the row is one that has no numbers: a NaN or +Infinity, or nothing but -Infinity. Then the whole
// gradient has been made NaN.
bool loss_oracle_poisoned(struct loss_oracle_row *row, const _Float128 *scores);

static inline _Float128 oracle_larger(_Float128 a, _Float128 b)
{
    return a > b ? a : b;
}

// a·b, where a share of 0 counts nothing even of an infinity; a NaN stays.
static inline _Float128 oracle_share(_Float128 share, _Float128 value)
{
    return share == 0 && !isnan(value) ? 0 : share * value;
}

// a + b as entry `j`.
static inline void oracle_put(struct loss_oracle_row *row, size_t j, _Float128 a, _Float128 b)
{
    row->gradient[j] = a + b;
    row->largest[j] = oracle_larger(a < 0 ? -a : a, b < 0 ? -b : b);
}

#endif
