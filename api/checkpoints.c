// PUT and GET /v1/jobs/{id}/checkpoint: what a client that trains by itself keeps here, to go on from.
#include "store/checkpoints.h"
#include "api/handlers.h"
#include "api/job_encode.h"
#include "base/mapped.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum nabla_code describe(const struct api_call *call, struct checkpoint_row *row,
                                struct nabla_error *err)
{
    struct mapped mapped;
    if (fsync(call->body_fd))
        return nabla_fail_errno(err, "sync", "the checkpoint");
    enum nabla_code code = mapped_open(call->body_fd, &mapped, err);
    if (code)
        return code;
    row->bytes = mapped.size;
    token_sha256(row->sha256, mapped.bytes ? mapped.bytes : "", mapped.size);
    mapped_close(&mapped);
    return row->bytes > 0 ? NABLA_OK : nabla_fail(err, NABLA_MALFORMED, NULL, "the body is empty");
}

void handle_job_checkpoint_put(struct api_call *call, struct api_answer *ret)
{
    struct checkpoint_row row = {0};
    struct history_ack ack;
    struct nabla_error err = {0};
    uint64_t attempt;
    if (!call_query_whole(call, "attempt", 1, 1, INT32_MAX, &attempt, ret) ||
        !call_query_whole(call, "step", 0, 0, (UINT64_C(1) << 53) - 1, &row.step, ret))
        return;
    row.attempt = (unsigned)attempt;
    enum nabla_code code = describe(call, &row, &err);
    if (!code)
        code = store_checkpoint_put(call->api->options.store, call->params[0], &row, call->body_path, &ack,
                                    &err);
    if (code) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_format(&ret->body, "{\"revision\":%" PRIu64 ",\"requested\":", ack.revision);
    job_encode_request(ack.requested, &ret->body);
    buffer_format(&ret->body, ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"}", row.bytes, row.sha256);
}

void handle_job_checkpoint_get(struct api_call *call, struct api_answer *ret)
{
    struct checkpoint_row row;
    struct nabla_error err = {0};
    char *path = NULL;
    enum nabla_code code = store_checkpoint_get(call->api->options.store, call->params[0], &row, &path, &err);
    int fd = code ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (!code && fd < 0)
        code = nabla_fail_errno(&err, "open", "the checkpoint");
    free(path);
    if (code) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_BYTES));
    answer_header(ret, "ETag", "\"%s\"", row.sha256);
    answer_header(ret, "Nabla-Step", "%" PRIu64, row.step);
    answer_header(ret, "Nabla-Attempt", "%u", row.attempt);
    ret->kind = API_FILE;
    ret->fd = fd;
    ret->size = row.bytes;
}
