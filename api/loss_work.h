// The arrays of a loss's result, as a request asks for them.
#ifndef NABLA_API_LOSS_WORK_H
#define NABLA_API_LOSS_WORK_H

#include "api/loss_request.h"

struct loss_work {
    struct nabla_loss_result result;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    void *gradient, *gradient_logits, *probabilities, *per_sample; // owned
};

enum loss_work_place {
    WORK_IN_PLACE, // the gradient takes the scores' memory: a large batch need not be held twice
    WORK_APART     // the scores are needed again
};

// *ret is to be freed in every case. It must not move: its result points into it.
enum nabla_code loss_work_make(const struct loss_request *request, enum loss_work_place place,
                               struct loss_work *ret, struct nabla_error *err);
void loss_work_free(struct loss_work *work);

#endif
