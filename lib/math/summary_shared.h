// Summaries of many numbers, shared with the calling thread's crew (base/crew.h) in pieces whose size follows
// from their number alone: the same bits whoever took which piece.
// Thread safety: as the crew.
#ifndef NABLA_MATH_SUMMARY_SHARED_H
#define NABLA_MATH_SUMMARY_SHARED_H

#include "math/summary.h"

// Summarises the numbers from `first` to before `end`; `summary` starts as {0}.
typedef void summary_piece_function(const void *context, size_t first, size_t end, struct summary *summary);

// What `look` finds of `count` numbers.
ENGINE struct summary summary_pieces(summary_piece_function *look, const void *context, size_t count);

typedef void summary_pass_function(struct summary *summary, const real *x, size_t count);

// What `pass` (summary_gradient and its kin) finds of x.
ENGINE struct summary summary_shared(summary_pass_function *pass, const real *x, size_t count);

#endif
