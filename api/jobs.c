// Jobs: one, all, cancel, pause, resume, delete. Creating one stands in jobs_create.c, the worker's word in
// job_decode.c.
#include "api/handlers.h"
#include "api/job_encode.h"
#include "api/jobs_poll.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 20, LIST_MAX = 100, ANY_STATE = -1 };

void handle_jobs_get(struct api_call *call, struct api_answer *ret)
{
    char etag[ETAG_SIZE];
    struct nabla_error err = {0};
    struct job *job;
    if (poll_if_unchanged(call, "", ret))
        return;
    if (store_job_get(call->api->options.store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    etag_make(etag, job->revision, "");
    if (poll_wait_job(call, job, etag, ret)) {
        job_free(job);
        return;
    }
    if (etag_is_known(call, etag)) {
        poll_unchanged(call, etag, ret);
    } else {
        answer_begin(ret, 200, "application/json");
        poll_headers(call, etag, ret);
        job_encode(job, NULL, &ret->body);
    }
    job_free(job);
}

static void encode_list(struct job **jobs, size_t count, const char *next, struct buffer *ret)
{
    buffer_text(ret, "{\"jobs\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_text(ret, i ? "," : "");
        job_encode(jobs[i], NULL, ret);
    }
    if (next[0])
        buffer_format(ret, "],\"next\":\"%s\"}", next);
    else
        buffer_text(ret, "],\"next\":null}");
}

static bool query_state(const struct api_call *call, int *ret_state, struct api_answer *ret)
{
    const char *name = call_query(call, "state");
    *ret_state = name ? job_state_find(name) : ANY_STATE;
    if (name && *ret_state < 0) {
        answer_status(ret, call, 400,
                      "state must be queued, running, paused, succeeded, failed or cancelled");
        return false;
    }
    return true;
}

void handle_jobs_list(struct api_call *call, struct api_answer *ret)
{
    const char *cursor = call_query(call, "cursor");
    char next[TOKEN_ID_SIZE];
    struct nabla_error err = {0};
    struct job **jobs;
    uint64_t limit;
    size_t count;
    int state;
    if (!call_query_whole(call, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit, ret) ||
        !query_state(call, &state, ret))
        return;
    if (store_job_list(call->api->options.store, state, cursor ? cursor : "", (size_t)limit, &jobs, &count,
                       next, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, "application/json");
    if (next[0])
        answer_header(ret, "Link", "</v1/jobs?limit=%u&cursor=%s%s%s>; rel=\"next\"", (unsigned)limit, next,
                      state < 0 ? "" : "&state=", state < 0 ? "" : job_state_name((enum job_state)state));
    encode_list(jobs, count, next, &ret->body);
    for (size_t i = 0; i < count; i++)
        job_free(jobs[i]);
    free(jobs);
}

void handle_jobs_delete(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    if (store_job_delete(call->api->options.store, call->params[0], &err))
        answer_error(ret, call, &err);
    else
        answer_begin(ret, 204, NULL);
}

// The job as a user's request has left it; `token` NULL for none to be told.
static void answer_changed(const struct api_call *call, const char *token, struct api_answer *ret)
{
    const struct api_options *options = &call->api->options;
    struct nabla_error err = {0};
    struct job *job;
    if (store_job_get(options->store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    if (options->wake)
        options->wake(options->context);
    answer_begin(ret, 202, "application/json");
    answer_header(ret, "Cache-Control", "no-store"); // a token may stand in it
    job_encode(job, job->executor == JOB_CLIENT ? token : NULL, &ret->body);
    job_free(job);
}

static void request_change(const struct api_call *call, enum job_event event, struct api_answer *ret)
{
    const struct job_change change = {.event = event, .detail = "asked for by a client"};
    struct nabla_error err = {0};
    if (store_job_apply(call->api->options.store, call->params[0], &change, &err))
        answer_error(ret, call, &err);
    else
        answer_changed(call, NULL, ret);
}

void handle_jobs_cancel(struct api_call *call, struct api_answer *ret)
{
    request_change(call, JOB_EVENT_CANCEL, ret);
}

void handle_jobs_pause(struct api_call *call, struct api_answer *ret)
{
    request_change(call, JOB_EVENT_PAUSE, ret);
}

// A client that trains by itself gets the token of its new attempt, as with the job.
void handle_jobs_resume(struct api_call *call, struct api_answer *ret)
{
    char token[TOKEN_SECRET_SIZE], sha256[TOKEN_SHA256_SIZE];
    struct nabla_error err = {0};
    token_make_secret(token);
    token_sha256(sha256, token, strlen(token));
    if (store_job_resume(call->api->options.store, call->params[0], sha256, &err))
        answer_error(ret, call, &err);
    else
        answer_changed(call, token, ret);
}
