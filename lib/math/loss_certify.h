// A second opinion on a gradient: the same formulas in arithmetic of 113 bits, written down once more without
// the care that double needs. Nothing of the first computation is used but the table that says which formula
// a loss and a convention have. About a thousand times slower than nabla_loss_compute: for checking, not for
// training. Thread safety: a pure function of its arguments.
#ifndef NABLA_MATH_LOSS_CERTIFY_H
#define NABLA_MATH_LOSS_CERTIFY_H

#include "math/loss.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nabla_loss_certificate {
    // The largest distance of an entry from its exact value, in units in the last place (the spacing of the
    // dtype) of the largest of the terms that the entry is a sum of. Where nothing cancels that is the entry
    // itself: for class ids, and for soft targets without z_loss wherever one term prevails. Infinity where
    // one is a number and the other is not.
    double largest_deviation_ulp;
    size_t row, column;       // where that is; 0, 0 where nothing deviates
    double largest_deviation; // the largest distance of any entry, as it is
    int precision_bits;       // of the arithmetic it was checked in
};

// Checks `gradient`, what nabla_loss_compute gave for the same loss and batch: every loss, convention and
// input that it computes. The batch must still hold the scores: the gradient may not have taken their place.
// A score on the very edge of a clip or hinge, where rounding decides on which side it lies, may lie on
// either. Fails as nabla_loss_compute does, and then leaves *ret alone.
NABLA_API enum nabla_code nabla_loss_certify(const struct nabla_loss *loss,
                                             const struct nabla_loss_batch *batch, const void *gradient,
                                             struct nabla_loss_certificate *ret, struct nabla_error *err);

#ifdef __cplusplus
}
#endif

#endif
