// POST /v1/jobs/{id}/metrics: a batch of records, from our worker or a client that trains by itself.
#include "api/handlers.h"
#include "api/history_decode.h"
#include "api/job_encode.h"

#include <inttypes.h>

void handle_job_metrics_post(struct api_call *call, struct api_answer *ret)
{
    struct history_input input;
    struct history_ack ack;
    struct problems problems = {0};
    struct nabla_error err = {0};
    const char *body = call->body.data ? call->body.data : "";
    enum nabla_code code = call->content == MEDIA_SAFETENSORS
                               ? history_decode_tensors(body, call->body.size, &problems, &input, &err)
                               : history_decode(body, call->body.size, &problems, &input, &err);
    if (!code && problems.count > 0) {
        answer_problems(ret, call, &problems);
        history_input_free(&input);
        return;
    }
    input.batch.names_most = call->api->options.limits.metric_names;
    if (!code)
        code = store_history_append(call->api->options.store, call->params[0], &input.batch, &ack, &err);
    history_input_free(&input);
    if (code) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_format(&ret->body, "{\"revision\":%" PRIu64 ",\"requested\":", ack.revision);
    job_encode_request(ack.requested, &ret->body);
    buffer_char(&ret->body, '}');
}
