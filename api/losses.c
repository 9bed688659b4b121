// POST /v1/losses: loss and gradient of posted scores.
#include "api/handlers.h"
#include "api/loss_request.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

// The arrays of a result, and what they hold.
struct loss_work {
    struct nabla_loss_result result;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    void *gradient_logits, *probabilities, *per_sample; // owned
};

static bool want(void **ret, size_t rows, size_t classes, enum nabla_dtype dtype, bool wanted)
{
    if (wanted)
        *ret = size_alloc(rows, classes, dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double));
    return !wanted || *ret;
}

// The gradient takes the scores' place: they are not needed again, and a large batch need not be held twice.
static enum nabla_code work_make(const struct loss_request *request, struct loss_work *work,
                                 struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = &request->batch;
    bool gradient = request->returns & RETURN_GRADIENT;
    if (!want(&work->gradient_logits, batch->rows, batch->classes, batch->dtype,
              gradient && request->loss.input == NABLA_PROBABILITIES) ||
        !want(&work->probabilities, batch->rows, batch->classes, batch->dtype,
              request->returns & RETURN_PROBABILITIES) ||
        !want(&work->per_sample, batch->rows, 1, batch->dtype, request->returns & RETURN_PER_SAMPLE))
        return nabla_fail_memory(err, "the answer's numbers");
    work->result = (struct nabla_loss_result){.gradient = gradient ? request->scores : NULL,
                                              .gradient_logits = work->gradient_logits,
                                              .probabilities = work->probabilities,
                                              .per_sample = work->per_sample,
                                              .warnings = work->warnings};
    return NABLA_OK;
}

static void work_free(struct loss_work *work)
{
    free(work->gradient_logits);
    free(work->probabilities);
    free(work->per_sample);
}

// The library speaks of rows; a flat request has none, so "/labels/0/2" is its "/labels/2".
static void flatten_pointer(struct nabla_error *err)
{
    static const char *const shaped[] = {"/labels/0", "/logits/0", "/probabilities/0"};
    for (size_t i = 0; i < sizeof shaped / sizeof *shaped; i++) {
        size_t length = strlen(shaped[i]);
        if (strncmp(err->pointer, shaped[i], length) == 0 &&
            (err->pointer[length] == '/' || err->pointer[length] == '\0'))
            memmove(err->pointer + length - 2, err->pointer + length, strlen(err->pointer + length) + 1);
    }
}

static void losses_answer(struct api_call *call, const struct loss_request *request, bool as_null,
                          struct api_answer *ret)
{
    struct nabla_error err;
    struct loss_work work = {0};
    enum nabla_code code = work_make(request, &work, &err);
    if (!code)
        code = nabla_loss_compute(&request->loss, &request->batch, &work.result, &err);
    if (code) {
        if (request->is_flat)
            flatten_pointer(&err);
        answer_error(ret, call, &err);
    } else {
        answer_begin(ret, 200, media_name(MEDIA_JSON));
        loss_answer_write(&ret->body, request, &work.result, as_null);
    }
    work_free(&work);
}

void handle_losses(struct api_call *call, struct api_answer *ret)
{
    bool as_null;
    struct nabla_error err;
    struct problems problems = {0};
    struct loss_request request;
    if (!call_query_nonfinite(call, &as_null, ret))
        return;
    enum nabla_code code =
        loss_request_read(call->body.data, call->body.size, call->api->options.limits.document_bytes,
                          &problems, &request, &err);
    if (code)
        answer_error(ret, call, &err);
    else if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else
        losses_answer(call, &request, as_null, ret);
    loss_request_free(&request);
}
