// What becomes of a single row's gradient on one path.
#ifndef NABLA_API_LOSS_VERDICT_H
#define NABLA_API_LOSS_VERDICT_H

#include "api/loss_request.h"

enum loss_fate {
    FATE_KEPT,
    FATE_LOST,      // exactly 0, or its loss is above ln 2 and no entry of its gradient reaches 1e-7
    FATE_SATURATED, // as small, but the row is right: nothing is left to learn
    FATE_IGNORED,   // by its label or a weight of 0
    FATE_UNDEFINED, // the gradient is NaN or infinite
    FATE_COUNT
};
const char *loss_fate_name(enum loss_fate fate);

struct loss_verdict {
    enum loss_fate fate;
    double largest; // magnitude of the row's own gradient with respect to the logits, before reduction and
                    // sample weight
};

// Room for the gradients of one row.
struct loss_judge {
    const struct loss_request *request; // its input and convention are the path's
    void *gradient;                     // owned: one row of the batch's dtype
};

enum nabla_code loss_judge_make(const struct loss_request *request, struct loss_judge *ret,
                                struct nabla_error *err);
void loss_judge_free(struct loss_judge *judge);

// The verdict on a row of a request that the library takes as a whole.
enum nabla_code loss_judge_row(const struct loss_judge *judge, size_t row, struct loss_verdict *ret,
                               struct nabla_error *err);

#endif
