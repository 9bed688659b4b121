// GET /v1/jobs/{id}/events: a job's life, as Server-Sent Events or as a list. What happened to the job comes
// from its log, one event each; a stream also tells its progress as it stands, once for each piece.
#include "api/handlers.h"
#include "api/job_encode.h"
#include "api/job_stream.h"
#include "api/jobs_poll.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_DEFAULT = 1000, EVENTS_MAX = 10000, JOB_EVENTS_BYTES = 64 << 20 };

// Entries of the log on their way out.
struct telling {
    struct buffer *out;
    enum job_executor executor;
    uint64_t last; // revision of the newest one told
    size_t count, limit;
    bool is_list, more;
};

// The state that an entry of the log leaves the job in.
static enum job_state entry_state(enum job_executor executor, const char *entry)
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
    if (executor == JOB_CLIENT) // is never queued
        return JOB_RUNNING;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(entries[i].entry, entry) == 0)
            return entries[i].state;
    return JOB_RUNNING;
}

static void tell_data(const struct telling *telling, const struct job_log_entry *entry)
{
    struct buffer *out = telling->out;
    buffer_format(out, "{\"revision\":%" PRIu64 ",\"at\":", entry->revision);
    encode_time(entry->at_ms, out);
    buffer_format(out, ",\"event\":\"%s\",\"state\":\"%s\",\"detail\":", entry->event,
                  job_state_name(entry_state(telling->executor, entry->event)));
    buffer_json_string(out, entry->detail ? entry->detail : "");
    buffer_char(out, '}');
}

static enum nabla_code tell_entry(void *context, const struct job_log_entry *entry)
{
    struct telling *telling = context;
    if (telling->count == telling->limit) {
        telling->more = true;
        return NABLA_LIMIT; // ends the walk
    }
    if (telling->is_list)
        buffer_text(telling->out, telling->count ? "," : "");
    else
        buffer_format(telling->out, "id: %" PRIu64 "\nevent: state\ndata: ", entry->revision);
    tell_data(telling, entry);
    if (!telling->is_list)
        buffer_text(telling->out, "\n\n");
    telling->last = entry->revision;
    telling->count++;
    return NABLA_OK;
}

static bool tell_log(struct store *store, const char *job, uint64_t after, struct telling *telling,
                     struct nabla_error *err)
{
    enum nabla_code code = store_job_log(store, job, after, tell_entry, telling, err);
    return !code || telling->more;
}

static void tell_progress(const struct job *job, struct buffer *out)
{
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
}

static bool place_read(const char *place, uint64_t *ret)
{
    int64_t value = 0;
    if (place && *place && (!number_read_int(place, place + strlen(place), &value) || value < 0))
        return false;
    *ret = (uint64_t)value;
    return true;
}

// The job is read before its log: once it is final, the log is whole.
static bool fill_events(struct store *store, const char *id, const void *detail, const char *place,
                        struct stream_block *ret)
{
    (void)detail;
    uint64_t after = 0;
    struct job *job;
    if (!place_read(place, &after) || store_job_get(store, id, &job, NULL))
        return false;
    struct telling telling = {
        .out = &ret->text, .executor = job->executor, .last = after, .limit = EVENTS_DEFAULT};
    bool told = tell_log(store, id, after, &telling, NULL);
    if (told && !telling.more && job->revision > telling.last) {
        tell_progress(job, &ret->text);
        telling.last = job->revision;
    }
    snprintf(ret->place, sizeof ret->place, "%" PRIu64, telling.last);
    ret->revision = telling.last;
    ret->more = telling.more;
    ret->over = !telling.more && job_state_is_final(job->state);
    job_free(job);
    return told;
}

static const struct stream_kind events_kind = {.name = "events", .fill = fill_events};

static void write_list(const struct api_call *call, const struct job *job, const char *etag,
                       const struct telling *telling, struct api_answer *ret)
{
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    poll_headers(call, etag, ret);
    answer_header(ret, "Vary", "Accept");
    buffer_format(&ret->body,
                  "{\"job\":\"%s\",\"revision\":%" PRIu64 ",\"after\":\"%" PRIu64
                  "\",\"more\":%s,\"events\":[%s]}",
                  job->id, job->revision, telling->last, telling->more ? "true" : "false",
                  telling->out->data ? telling->out->data : "");
}

// For the next revision, or, with `after`, for the next event behind it.
static bool is_waiting(struct api_call *call, const struct job *job, const char *etag, bool is_empty,
                       struct api_answer *ret)
{
    if (call_query(call, "after") && !call_header(call, "If-None-Match"))
        return is_empty && !job_state_is_final(job->state) && poll_wait(call, job->id, job->revision, ret);
    return poll_wait_job(call, job, etag, ret);
}

static void answer_job(struct api_call *call, const struct job *job, uint64_t after, uint64_t limit,
                       struct api_answer *ret)
{
    char etag[ETAG_SIZE];
    struct nabla_error err = {0};
    struct buffer list = buffer_new(JOB_EVENTS_BYTES);
    struct telling telling = {
        .out = &list, .executor = job->executor, .last = after, .limit = (size_t)limit, .is_list = true};
    etag_make(etag, job->revision, "");
    if (!tell_log(call->api->options.store, job->id, after, &telling, &err)) {
        answer_error(ret, call, &err);
    } else if (!is_waiting(call, job, etag, list.size == 0, ret)) {
        if (etag_is_known(call, etag))
            poll_unchanged(call, etag, ret);
        else
            write_list(call, job, etag, &telling, ret);
    }
    buffer_free(&list);
}

static void answer_list(struct api_call *call, uint64_t after, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct job *job;
    uint64_t limit;
    if (!call_query_whole(call, "limit", EVENTS_DEFAULT, 1, EVENTS_MAX, &limit, ret) ||
        poll_if_unchanged(call, "", ret))
        return;
    if (store_job_get(call->api->options.store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_job(call, job, after, limit, ret);
    job_free(job);
}

static bool wants_list(const struct api_call *call, bool *ret_list, struct api_answer *ret)
{
    const char *format = call_query(call, "format");
    *ret_list = format ? strcmp(format, "json") == 0 : call->accept == MEDIA_JSON;
    if (!format || *ret_list || strcmp(format, "events") == 0)
        return true;
    answer_status(ret, call, 400, "format must be json or events, not \"%s\"", format);
    return false;
}

void handle_job_events(struct api_call *call, struct api_answer *ret)
{
    bool is_list;
    uint64_t after;
    const char *place = job_stream_place(call);
    if (!wants_list(call, &is_list, ret))
        return;
    if (!place_read(place, &after))
        answer_status(ret, call, 400, "Last-Event-ID, or after, must be the id of an event: a revision");
    else if (is_list)
        answer_list(call, after, ret);
    else
        job_stream_answer(call, &events_kind, NULL, place, ret);
}
