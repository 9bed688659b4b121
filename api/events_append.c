// POST /v1/jobs/{id}/events: a line for a job's log, from our worker or a client that trains by itself.
#include "api/document.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/job_encode.h"

#include <inttypes.h>
#include <string.h>

enum { DETAIL_MAX_BYTES = 500 };

#define EVENTS "inputs, checkpoint, restored, restarted or note"
static const char *const events[] = {"inputs", "checkpoint", "restored", "restarted", "note"};
enum { EVENT_COUNT = sizeof events / sizeof *events };

static int event_find(const char *name)
{
    for (int i = 0; i < EVENT_COUNT; i++)
        if (strcmp(events[i], name) == 0)
            return i;
    return -1;
}

static void event_decode(const json_t *root, struct problems *problems, unsigned *ret_attempt, int *ret_event,
                         const char **ret_detail)
{
    struct fields fields = fields_begin(root, "", problems);
    if (!fields_has(&fields, "attempt"))
        fields_problem(&fields, "attempt", "is missing");
    if (!fields_has(&fields, "event"))
        fields_problem(&fields, "event", "is missing: " EVENTS);
    *ret_attempt = (unsigned)fields_whole(&fields, "attempt", 1, 1, INT32_MAX);
    *ret_event = fields_choice(&fields, "event", 0, event_find, EVENTS);
    *ret_detail = fields_text(&fields, "detail", "");
    if (strlen(*ret_detail) > DETAIL_MAX_BYTES)
        fields_problem(&fields, "detail", "is longer than %d bytes", DETAIL_MAX_BYTES);
    fields_end(&fields);
}

static void answer_ack(const struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct job *job;
    if (store_job_get(call->api->options.store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_format(&ret->body, "{\"revision\":%" PRIu64 ",\"requested\":", job->revision);
    job_encode_request(job->requested, &ret->body);
    buffer_char(&ret->body, '}');
    job_free(job);
}

void handle_job_events_post(struct api_call *call, struct api_answer *ret)
{
    struct problems problems = {0};
    struct nabla_error err = {0};
    unsigned attempt;
    int event;
    const char *detail;
    json_t *root;
    const size_t most = call_limit_for_clients(call, call->api->options.limits.document_bytes);
    if (document_read(call->body.data, call->body.size, most, NULL, 0, &root, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    event_decode(root, &problems, &attempt, &event, &detail);
    if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else if (store_job_note(call->api->options.store, call->params[0], attempt, events[event], detail, &err))
        answer_error(ret, call, &err);
    else
        answer_ack(call, ret);
    json_decref(root);
}
