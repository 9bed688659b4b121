// GET …/metrics and …/gradients. Without `after`, rows are read in the order of layers and steps; a cursor on
// the way there holds the revision that the first answer stood at, and the last answer ends with that. From a
// revision on, rows are read in the order of writing (revision, layer, step). So whoever goes on from the
// cursor of each answer misses nothing, whatever cut it and however batches came in.
#include "api/handlers.h"
#include "api/history_reading.h"
#include "api/job_stream.h"
#include "api/jobs_poll.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool query_after(struct reading *reading, struct api_answer *ret)
{
    const char *after = job_stream_place(reading->call);
    struct history_query *query = &reading->query;
    bool by_step = !after;
    if (!after || cursor_read(after, &query->after, &by_step)) {
        query->has_place = after && by_step;
        query->has_after = reading->format == FORMAT_EVENTS || !by_step;
        reading->history.by_step = !query->has_after;
        reading->history.from_revision = query->has_place ? query->after.revision : 0;
        return true;
    }
    answer_status(ret, reading->call, 400,
                  "after, or Last-Event-ID, must be what an earlier answer ended with, not \"%s\"", after);
    return false;
}

bool peek_job_history(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = {.call = call};
    if (!reading_query_format(&reading, ret)) {
        api_answer_free(ret); // the full read tells why
        return false;
    }
    if (reading.format == FORMAT_EVENTS) {
        call->route->handle(call, ret);
        return true;
    }
    return poll_if_unchanged(call, reading_variant(&reading), ret);
}

static void reading_etag(const struct reading *reading, uint64_t revision, char ret[ETAG_SIZE])
{
    etag_make(ret, revision, reading_variant(reading));
}

// What the client knows already is not read again: 304, or waiting for what comes.
static bool answer_if_known(struct reading *reading, struct api_answer *ret)
{
    struct nabla_error err = {0};
    char etag[ETAG_SIZE];
    uint64_t revision;
    if (!call_header(reading->call, "If-None-Match") ||
        store_job_revision(reading->call->api->options.store, reading->call->params[0], &revision, &err))
        return false; // the full read tells why
    reading_etag(reading, revision, etag);
    if (!etag_is_known(reading->call, etag))
        return false;
    bool over = reading->job && job_state_is_final(reading->job->state);
    if (over || !poll_wait(reading->call, reading->call->params[0], revision, ret))
        poll_unchanged(reading->call, etag, ret);
    return true;
}

// The same request, going on: its own query with another `after`.
static void next_link(const struct reading *reading, const char *after, struct api_answer *ret)
{
    struct buffer target = buffer_new(8192);
    const struct api_call *call = reading->call;
    for (size_t i = 0; i < call->query_count; i++)
        if (strcmp(call->query[i].name, "after") != 0)
            buffer_format(&target, "%s=%s&", call->query[i].name, call->query[i].value);
    answer_header(ret, "Link", "<%s?%safter=%s>; rel=\"next\"", call->path, target.data ? target.data : "",
                  after);
    buffer_free(&target);
}

static void answer_rows(const struct reading *reading, struct api_answer *ret)
{
    struct nabla_error err = {0};
    char etag[ETAG_SIZE], after[CURSOR_TEXT_SIZE];
    cursor_write(&reading->history, reading->revision, after);
    reading_etag(reading, reading->revision, etag);
    answer_begin(ret, 200, media_name(reading_media(reading)));
    poll_headers(reading->call, etag, ret);
    answer_header(ret, "Nabla-After", "%s", after);
    answer_header(ret, "Vary", "Accept");
    if (reading->history.more)
        next_link(reading, after, ret);
    if (reading_encode(reading, &ret->body, &err)) {
        api_answer_free(ret);
        answer_error(ret, reading->call, &err);
    }
}

// Nothing new yet, and the client has time.
static bool answer_if_waiting(struct reading *reading, struct api_answer *ret)
{
    return reading->history.count == 0 && !job_state_is_final(reading->job->state) &&
           poll_wait(reading->call, reading->job->id, reading->revision, ret);
}

// --- as a stream

enum { STREAM_ROWS = 500 }; // in one event

// One event with the rows that follow. The state is read before the rows: of a finished job they are all
// there.
static bool fill_rows(struct store *store, const char *job, const void *detail, const char *place,
                      struct stream_block *ret)
{
    struct reading reading = *(const struct reading *)detail;
    reading.store = store;
    bool by_step = false;
    reading.format = FORMAT_JSON; // of the data of an event
    bool read = (!*place || cursor_read(place, &reading.query.after, &by_step)) &&
                !store_job_get(store, job, &reading.job, NULL) && !reading_rows(&reading, NULL);
    if (read) {
        cursor_write(&reading.history, reading.revision, ret->place);
        ret->revision = reading.revision;
        ret->more = reading.history.more;
        ret->over = !ret->more && job_state_is_final(reading.job->state);
    }
    if (read && reading.history.count > 0) {
        buffer_format(&ret->text, "id: %s\nevent: rows\ndata: ", ret->place);
        read = !reading_encode(&reading, &ret->text, NULL);
        buffer_text(&ret->text, "\n\n");
    }
    reading_free(&reading);
    return read;
}

static void answer_stream(struct reading *reading, struct api_answer *ret)
{
    static const struct stream_kind network = {"metrics", fill_rows, free},
                                    layers = {"gradients", fill_rows, free};
    struct reading *kept = malloc(sizeof *kept);
    if (!kept) {
        answer_status(ret, reading->call, 503, "cannot allocate a stream");
        return;
    }
    *kept = *reading;
    kept->call = NULL;
    if (kept->history.limit > STREAM_ROWS)
        kept->history.limit = STREAM_ROWS;
    kept->query.limit = kept->history.limit + 1;
    job_stream_answer(reading->call, reading->layers ? &layers : &network, kept,
                      job_stream_place(reading->call), ret);
}

static void history_answer(struct reading *reading, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct store *store = reading->store;
    enum nabla_code code;
    if (!reading_query(reading, ret) || !query_after(reading, ret))
        return;
    if (reading->format == FORMAT_EVENTS) {
        answer_stream(reading, ret);
        return;
    }
    if (poll_if_unchanged(reading->call, reading_variant(reading), ret))
        return;
    // The state is read before the rows: of a finished job they are all there.
    if (store_job_get(store, reading->call->params[0], &reading->job, &err)) {
        answer_error(ret, reading->call, &err);
        return;
    }
    if (answer_if_known(reading, ret))
        return;
    if ((code = reading_rows(reading, &err))) {
        if (code == NABLA_INVALID)
            answer_status(ret, reading->call, 400, "%s", err.text);
        else
            answer_error(ret, reading->call, &err);
        return;
    }
    if (!answer_if_waiting(reading, ret))
        answer_rows(reading, ret);
}

void handle_job_metrics_get(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = reading_new(call, false);
    history_answer(&reading, ret);
    reading_free(&reading);
}

void handle_job_gradients(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = reading_new(call, true);
    history_answer(&reading, ret);
    reading_free(&reading);
}
