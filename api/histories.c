// GET …/metrics and …/gradients. Rows are always read in the order of writing (revision, layer, step), so the
// cursor that an answer ends with goes on exactly, whatever cut it and however batches came in; within an
// answer they are told in the order of layers and steps.
#include "api/handlers.h"
#include "api/history_encode.h"
#include "api/job_stream.h"
#include "api/jobs_poll.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;

// One reading on its way.
struct reading {
    struct api_call *call; // NULL for a stream's
    struct store *store;
    bool layers; // of the layers, not of the network
    bool csv, is_stream;
    struct history_query query;
    struct history history;
    struct job *job;
    uint64_t revision; // of the job, in the rows' own snapshot
    char **names;
};

static void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->history.name_count; i++)
        free(reading->names[i]);
    free(reading->names);
    history_free(&reading->history);
    job_free(reading->job);
}

static bool refuse_column(const struct reading *reading, const char *name, int length, struct api_answer *ret)
{
    struct buffer known = buffer_new(1024);
    for (size_t i = 0; i < reading->history.stat_count; i++)
        buffer_format(&known, "%s%s", i ? ", " : "", reading->history.stats[i].name);
    answer_status(ret, reading->call, 400, "there is no column \"%.*s\"; there are %s", length, name,
                  known.data ? known.data : "none");
    buffer_free(&known);
    return false;
}

// A comma list of statistics.
static bool query_columns(struct reading *reading, struct api_answer *ret)
{
    const char *at = call_query(reading->call, "column");
    struct history *history = &reading->history;
    while (at && *at) {
        char name[64] = "";
        size_t length = strcspn(at, ",");
        if (length < sizeof name)
            memcpy(name, at, length);
        int stat = stat_find(history->stats, history->stat_count, name);
        if (stat < 0)
            return refuse_column(reading, at, length < sizeof name ? (int)length : (int)sizeof name, ret);
        history->columns |= 1U << stat;
        at += length + (at[length] == ',');
    }
    return true;
}

static bool query_format(struct reading *reading, struct api_answer *ret)
{
    const char *format = call_query(reading->call, "format");
    reading->csv = format ? strcmp(format, "csv") == 0 : reading->call->accept == MEDIA_CSV;
    reading->is_stream = format ? strcmp(format, "events") == 0 : reading->call->accept == MEDIA_EVENT_STREAM;
    if (format && !reading->csv && !reading->is_stream && strcmp(format, "json") != 0) {
        answer_status(ret, reading->call, 400, "format must be json, csv or events, not \"%s\"", format);
        return false;
    }
    return true;
}

static bool query_after(struct reading *reading, struct api_answer *ret)
{
    const char *after = job_stream_place(reading->call);
    reading->query.has_after = true; // from the beginning, in the order of writing
    if (!after || cursor_read(after, &reading->query.after))
        return true;
    answer_status(ret, reading->call, 400,
                  "after, or Last-Event-ID, must be what an earlier answer ended with, not \"%s\"", after);
    return false;
}

static bool query_read(struct reading *reading, struct api_answer *ret)
{
    const struct api_call *call = reading->call;
    struct history_query *query = &reading->query;
    uint64_t layer, limit, most = call->api->options.limits.history_rows;
    query->has_layer = call_query(call, "layer") != NULL;
    if (!call_query_whole(call, "layer", 0, 0, INT_MAX, &layer, ret) ||
        !call_query_whole(call, "since_step", 0, 0, STEP_MAX, &query->since_step, ret) ||
        !call_query_whole(call, "until_step", UINT64_MAX, 0, STEP_MAX, &query->until_step, ret) ||
        !call_query_whole(call, "limit", most, 1, most, &limit, ret) ||
        !call_query_nonfinite(call, &reading->history.nonfinite_as_null, ret))
        return false;
    query->layer = (unsigned)layer;
    query->limit = (size_t)limit + 1; // the row too much tells that there is more
    reading->history.limit = (size_t)limit;
    return query_columns(reading, ret) && query_format(reading, ret) && query_after(reading, ret);
}

static const char *reading_variant(const struct reading *reading)
{
    return reading->csv ? "csv" : "";
}

bool peek_job_history(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = {.call = call};
    if (!call_header(call, "If-None-Match") || !query_format(&reading, ret) || reading.is_stream) {
        api_answer_free(ret); // the full read tells why
        return false;
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

static enum nabla_code read_rows(struct reading *reading, struct nabla_error *err)
{
    struct store *store = reading->store;
    const char *id = reading->job->id;
    enum nabla_code code;
    if (!reading->layers) {
        code = store_history_metrics(store, id, &reading->query, history_take, &reading->history,
                                     &reading->revision, err);
    } else {
        code = store_history_layers(store, id, &reading->query, history_take, &reading->history,
                                    &reading->revision, err);
        if (code == NABLA_OK)
            code = store_history_layer_names(store, id, &reading->names, &reading->history.name_count, err);
        reading->history.names = reading->names;
    }
    history_sort(&reading->history);
    return code;
}

static void write_json(const struct reading *reading, const char *after, struct buffer *ret)
{
    buffer_format(ret, "{\"job\":\"%s\",\"revision\":%" PRIu64 ",\"after\":\"%s\",\"more\":%s",
                  reading->job->id, reading->revision, after, reading->history.more ? "true" : "false");
    if (reading->layers)
        history_encode_layers(&reading->history, ret);
    else
        history_encode_network(&reading->history, ret);
    buffer_char(ret, '}');
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
    char etag[ETAG_SIZE], after[CURSOR_TEXT_SIZE];
    uint32_t stated = reading->layers ? reading->job->layer_stats : reading->job->network_stats;
    cursor_write(&reading->history, reading->revision, after);
    reading_etag(reading, reading->revision, etag);
    answer_begin(ret, 200, media_name(reading->csv ? MEDIA_CSV : MEDIA_JSON));
    poll_headers(reading->call, etag, ret);
    answer_header(ret, "Nabla-After", "%s", after);
    answer_header(ret, "Vary", "Accept");
    if (reading->history.more)
        next_link(reading, after, ret);
    if (reading->csv)
        history_encode_csv(&reading->history, reading->layers, stated, &ret->body);
    else
        write_json(reading, after, &ret->body);
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
    bool read = (!*place || cursor_read(place, &reading.query.after)) &&
                !store_job_get(store, job, &reading.job, NULL) && !read_rows(&reading, NULL);
    if (read) {
        cursor_write(&reading.history, reading.revision, ret->place);
        ret->revision = reading.revision;
        ret->more = reading.history.more;
        ret->over = !ret->more && job_state_is_final(reading.job->state);
    }
    if (read && reading.history.count > 0) {
        buffer_format(&ret->text, "id: %s\nevent: rows\ndata: ", ret->place);
        write_json(&reading, ret->place, &ret->text);
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
    struct store *store = reading->store = reading->call->api->options.store;
    if (!query_read(reading, ret))
        return;
    if (reading->is_stream) {
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
    if (read_rows(reading, &err)) {
        answer_error(ret, reading->call, &err);
        return;
    }
    if (!answer_if_waiting(reading, ret))
        answer_rows(reading, ret);
}

void handle_job_metrics_get(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = {.call = call,
                              .history = {.stats = network_stats, .stat_count = NETWORK_STAT_COUNT}};
    history_answer(&reading, ret);
    reading_free(&reading);
}

void handle_job_gradients(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = {
        .call = call, .layers = true, .history = {.stats = layer_stats, .stat_count = LAYER_STAT_COUNT}};
    history_answer(&reading, ret);
    reading_free(&reading);
}
