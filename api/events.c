// GET /v1/jobs/{id}/events: a job's life as Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
// Nothing is kept per listener but the last revision told: each pull reads the store from there on, so a
// client that comes back with Last-Event-ID misses nothing, and a slow one costs no memory. What happened to
// the job comes from its log, one event each; progress is told as it stands, once a pull.
#include "api/handlers.h"
#include "api/job_encode.h"
#include "base/clock.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 15000, EVENTS_MAX_BYTES = 1 << 20 };

struct events {
    struct store *store;
    char job[TOKEN_ID_SIZE];
    enum job_executor executor;
    uint64_t told;         // the last revision told
    struct buffer pending; // written, not yet pulled
    size_t pulled;         // bytes of it that were
    int64_t ping_ms;       // when silence is broken
    bool over;
};

static void events_close(void *context)
{
    struct events *events = context;
    buffer_free(&events->pending);
    free(events);
}

// The state that an entry of the log leaves the job in.
static enum job_state entry_state(const struct events *events, const char *entry)
{
    static const struct {
        const char *entry;
        enum job_state state;
    } entries[] = {
        {"created", JOB_QUEUED},           {"requeued", JOB_QUEUED},         {"resumed", JOB_QUEUED},
        {"cancel_requested", JOB_RUNNING}, {"pause_requested", JOB_RUNNING}, {"started", JOB_RUNNING},
    };
    int named = job_state_find(entry); // "paused", "succeeded", …
    if (named >= 0)
        return (enum job_state)named;
    if (events->executor == JOB_CLIENT) // is never queued
        return JOB_RUNNING;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(entries[i].entry, entry) == 0)
            return entries[i].state;
    return JOB_RUNNING;
}

static enum nabla_code tell_entry(void *context, const struct job_log_entry *entry)
{
    struct events *events = context;
    struct buffer *out = &events->pending;
    buffer_format(out,
                  "id: %" PRIu64 "\nevent: state\ndata: {\"revision\":%" PRIu64 ",\"at\":", entry->revision,
                  entry->revision);
    encode_time(entry->at_ms, out);
    buffer_format(out, ",\"event\":\"%s\",\"state\":\"%s\",\"detail\":", entry->event,
                  job_state_name(entry_state(events, entry->event)));
    buffer_json_string(out, entry->detail ? entry->detail : "");
    buffer_text(out, "}\n\n");
    events->told = entry->revision;
    return NABLA_OK;
}

static void tell_progress(struct events *events, const struct job *job)
{
    struct buffer *out = &events->pending;
    buffer_format(out,
                  "id: %" PRIu64 "\nevent: progress\ndata: {\"revision\":%" PRIu64
                  ",\"state\":\"%s\",\"requested\":",
                  job->revision, job->revision, job_state_name(job->state));
    job_encode_request(job->requested, out);
    buffer_format(out, ",\"attempt\":%u,\"progress\":", job->attempt);
    job_encode_progress(job, out);
    buffer_text(out, ",\"latest\":");
    job_encode_latest(job, out);
    buffer_text(out, "}\n\n");
    events->told = job->revision;
}

// Writes what happened since. The job is read before its log: once it is final, the log is whole.
static void events_refill(struct events *events)
{
    struct nabla_error err;
    struct job *job;
    events->pending.size = events->pulled = 0;
    if (store_job_get(events->store, events->job, &job, &err)) {
        events->over = true; // deleted, or out of reach: the client comes back and is told
        return;
    }
    if (job->revision > events->told) {
        if (store_job_log(events->store, events->job, events->told, tell_entry, events, &err))
            events->over = true;
        else if (job->revision > events->told)
            tell_progress(events, job);
    }
    events->over = events->over || job_state_is_final(job->state) || events->pending.failed;
    job_free(job);
}

static ssize_t events_take(struct events *events, char *bytes, size_t size)
{
    size_t left = events->pending.size - events->pulled;
    size_t count = left < size ? left : size;
    memcpy(bytes, events->pending.data + events->pulled, count);
    events->pulled += count;
    events->ping_ms = clock_monotonic_ms() + PING_MS;
    return (ssize_t)count;
}

static ssize_t events_pull(void *context, char *bytes, size_t size, struct api_wait *ret_wait)
{
    struct events *events = context;
    if (events->pulled == events->pending.size && !events->over)
        events_refill(events);
    if (events->pulled == events->pending.size && !events->over && clock_monotonic_ms() >= events->ping_ms)
        buffer_text(&events->pending, ": ping\n\n");
    if (events->pulled < events->pending.size && !events->pending.failed)
        return events_take(events, bytes, size);
    if (events->over)
        return API_STREAM_END;
    snprintf(ret_wait->job, sizeof ret_wait->job, "%s", events->job);
    ret_wait->revision = events->told;
    ret_wait->deadline_ms = events->ping_ms;
    return API_STREAM_WAIT;
}

static bool last_event_read(const struct api_call *call, uint64_t *ret, struct api_answer *ret_answer)
{
    const char *text = call_header(call, "Last-Event-ID");
    int64_t value = 0;
    if (text && (!number_read_int(text, text + strlen(text), &value) || value < 0)) {
        answer_status(ret_answer, call, 400, "Last-Event-ID must be the id of an event: a revision");
        return false;
    }
    *ret = (uint64_t)value;
    return true;
}

static void answer_stream(const struct api_call *call, const struct job *job, uint64_t told,
                          struct api_answer *ret)
{
    struct events *events = malloc(sizeof *events);
    if (!events) {
        answer_status(ret, call, 503, "cannot allocate a stream");
        return;
    }
    *events = (struct events){.store = call->api->options.store,
                              .executor = job->executor,
                              .told = told,
                              .pending = buffer_new(EVENTS_MAX_BYTES),
                              .ping_ms = clock_monotonic_ms() + PING_MS};
    snprintf(events->job, sizeof events->job, "%s", job->id);
    buffer_text(&events->pending, "retry: 2000\n\n");
    answer_begin(ret, 200, media_name(MEDIA_EVENT_STREAM));
    answer_header(ret, "Cache-Control", "no-store");
    answer_header(ret, "X-Accel-Buffering", "no"); // proxies pass it on at once
    ret->kind = API_STREAM;
    ret->stream = (struct api_stream){.pull = events_pull, .close = events_close, .context = events};
}

void handle_job_events(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct job *job;
    uint64_t told;
    if (!last_event_read(call, &told, ret))
        return;
    if (store_job_get(call->api->options.store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    if (job_state_is_final(job->state) && told >= job->revision)
        answer_begin(ret, 204, NULL); // tells an EventSource not to come back
    else
        answer_stream(call, job, told, ret);
    job_free(job);
}
