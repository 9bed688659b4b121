// POST /v1/losses: loss and gradient of posted scores, in the form that was asked for.
#include "api/handlers.h"
#include "api/loss_answer.h"
#include "api/loss_record.h"
#include "api/loss_work.h"

static enum nabla_code answer_as_json(struct loss_request *request, bool as_null, struct api_answer *ret,
                                      struct nabla_error *err)
{
    struct loss_work work __attribute__((uninitialized)); // large: rows of warnings that few have
    struct nabla_loss_certificate certificate;
    enum nabla_code code = loss_work_make(request, request->certify ? WORK_APART : WORK_IN_PLACE, &work, err);
    if (!code)
        code = nabla_loss_compute(&request->loss, &request->batch, &work.result, err);
    if (!code && request->figures)
        *request->figures = work.result;
    if (!code)
        code = loss_certificate_make(request, work.result.gradient, &certificate, err);
    if (!code)
        loss_answer_write(&ret->body, request, &work.result, &certificate, as_null);
    loss_work_free(&work);
    return code;
}

static enum nabla_code answer_as_safetensors(struct loss_request *request, bool as_null,
                                             struct api_answer *ret, struct nabla_error *err)
{
    return loss_answer_safetensors(&ret->body, request, as_null, err);
}

// What is not in the file stands in a header.
static enum nabla_code answer_as_npy(struct loss_request *request, bool as_null, struct api_answer *ret,
                                     struct nabla_error *err)
{
    struct buffer summary = buffer_new(ret->body.limit);
    enum nabla_code code = loss_answer_npy(&ret->body, &summary, request, as_null, err);
    if (!code)
        answer_header(ret, "Nabla-Response", "%s", summary.data);
    buffer_free(&summary);
    return code;
}

static void losses_answer(struct api_call *call, struct loss_request *request, bool as_null,
                          struct api_answer *ret)
{
    struct nabla_error err;
    enum nabla_code code;
    struct nabla_loss_result figures = {0};
    struct loss_record record;
    if (!loss_record_read(call, request->loss.reduction, &record, ret))
        return;
    request->figures = record.is_wanted ? &figures : NULL;
    answer_begin(ret, 200, media_name(call->accept));
    if (call->accept == MEDIA_SAFETENSORS)
        code = answer_as_safetensors(request, as_null, ret, &err);
    else if (call->accept == MEDIA_NPY)
        code = answer_as_npy(request, as_null, ret, &err);
    else
        code = answer_as_json(request, as_null, ret, &err);
    if (!code)
        code = loss_record_keep(call, &record, &figures, &err);
    if (!code)
        return;
    api_answer_free(ret);
    loss_request_place(request, &err);
    answer_error(ret, call, &err);
}

void handle_losses(struct api_call *call, struct api_answer *ret)
{
    bool as_null;
    struct nabla_error err;
    struct problems problems __attribute__((uninitialized)); // large, and mostly for nothing
    problems.count = 0;
    problems.failed = NABLA_OK;
    struct loss_request request;
    if (!call_query_nonfinite(call, &as_null, ret))
        return;
    enum nabla_code code = loss_request_read(call, LOSS_ONE_CONVENTION, &problems, &request, &err);
    if (!code && problems.count == 0)
        code = loss_certificate_check(&request, &err);
    if (code)
        answer_error(ret, call, &err);
    else if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else
        losses_answer(call, &request, as_null, ret);
    loss_request_free(&request);
}
