// POST /v1/losses: loss and gradient of posted scores.
#include "api/handlers.h"
#include "api/loss_work.h"

static void losses_answer(struct api_call *call, const struct loss_request *request, bool as_null,
                          struct api_answer *ret)
{
    struct nabla_error err;
    struct loss_work work;
    enum nabla_code code = loss_work_make(request, WORK_IN_PLACE, &work, &err);
    if (!code)
        code = nabla_loss_compute(&request->loss, &request->batch, &work.result, &err);
    if (code) {
        loss_request_place(request, &err);
        answer_error(ret, call, &err);
    } else {
        answer_begin(ret, 200, media_name(MEDIA_JSON));
        loss_answer_write(&ret->body, request, &work.result, as_null);
    }
    loss_work_free(&work);
}

void handle_losses(struct api_call *call, struct api_answer *ret)
{
    bool as_null;
    struct nabla_error err;
    struct problems problems = {0};
    struct loss_request request;
    if (!call_query_nonfinite(call, &as_null, ret))
        return;
    enum nabla_code code = loss_request_read(call, LOSS_ONE_CONVENTION, &problems, &request, &err);
    if (code)
        answer_error(ret, call, &err);
    else if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else
        losses_answer(call, &request, as_null, ret);
    loss_request_free(&request);
}
