#include "api/loss_work.h"

#include "base/size.h"

#include <stdlib.h>

static bool want(void **ret, const struct loss_request *request, size_t columns, bool wanted)
{
    size_t width = request->batch.dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double);
    if (wanted)
        *ret = size_alloc(request->batch.rows, columns, width);
    return !wanted || *ret;
}

enum nabla_code loss_work_make(const struct loss_request *request, enum loss_work_place place,
                               struct loss_work *ret, struct nabla_error *err)
{
    size_t classes = request->batch.classes;
    bool gradient = request->returns & RETURN_GRADIENT;
    ret->gradient = ret->gradient_logits = ret->probabilities = ret->per_sample = NULL;
    if (!want(&ret->gradient, request, classes, gradient && place == WORK_APART) ||
        !want(&ret->gradient_logits, request, classes,
              gradient && request->loss.input == NABLA_PROBABILITIES) ||
        !want(&ret->probabilities, request, classes, request->returns & RETURN_PROBABILITIES) ||
        !want(&ret->per_sample, request, 1, request->returns & RETURN_PER_SAMPLE))
        return nabla_fail_memory(err, "the answer's numbers");
    ret->result = (struct nabla_loss_result){.gradient = ret->gradient,
                                             .gradient_logits = ret->gradient_logits,
                                             .probabilities = ret->probabilities,
                                             .per_sample = ret->per_sample,
                                             .warnings = ret->warnings};
    if (gradient && place == WORK_IN_PLACE)
        ret->result.gradient = request->scores;
    return NABLA_OK;
}

void loss_work_free(struct loss_work *work)
{
    free(work->gradient);
    free(work->gradient_logits);
    free(work->probabilities);
    free(work->per_sample);
}
