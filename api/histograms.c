// GET /v1/jobs/{id}/histograms: how gradients, weights and activations were distributed, over time. Rows are
// read in the order of writing and told by layer and kind, as those of the histories are.
#include "api/handlers.h"
#include "api/history_encode.h"
#include "api/job_stream.h"
#include "api/jobs_poll.h"
#include "api/write.h"
#include "store/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTOGRAMS_DEFAULT = 1000, HISTOGRAMS_MAX = 10000, STREAM_HISTOGRAMS = 100, ANY_KIND = -1 };
static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;

struct point {
    uint64_t step;
    unsigned place; // layer · HISTOGRAM_KIND_COUNT + kind
    struct histogram histogram;
};

// One reading on its way.
struct histograms {
    struct histogram_query query;
    bool is_stream;
    struct buffer points; // struct point
    size_t count, limit;
    uint64_t last_revision, last_step; // of the newest row taken
    unsigned last_place;
    bool more;
    struct job *job;
    uint64_t revision;
    char **names;
    size_t name_count;
};

static void histograms_free(struct histograms *histograms)
{
    for (size_t i = 0; i < histograms->name_count; i++)
        free(histograms->names[i]);
    free(histograms->names);
    buffer_free(&histograms->points);
    job_free(histograms->job);
}

static enum nabla_code take(void *context, const struct histogram_row *row)
{
    struct histograms *histograms = context;
    if (histograms->count == histograms->limit) {
        histograms->more = true;
        return NABLA_OK;
    }
    const struct point point = {.step = row->step,
                                .place = row->layer * HISTOGRAM_KIND_COUNT + (unsigned)row->kind,
                                .histogram = *row->histogram};
    histograms->last_revision = row->revision;
    histograms->last_step = row->step;
    histograms->last_place = point.place;
    histograms->count++;
    return buffer_append(&histograms->points, &point, sizeof point) ? NABLA_OK : NABLA_NO_MEMORY;
}

static int point_compare(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return a->step < b->step ? -1 : a->step > b->step;
}

// The job is read before its rows: of a finished one they are all there.
static enum nabla_code read_all(struct store *store, const char *job, struct histograms *ret,
                                struct nabla_error *err)
{
    ret->points = buffer_new(SIZE_MAX - 1);
    ret->query.limit = ret->limit + 1; // the row too much tells that there is more
    enum nabla_code code = store_job_get(store, job, &ret->job, err);
    if (code == NABLA_OK)
        code = store_histograms(store, job, &ret->query, take, ret, &ret->revision, err);
    if (code == NABLA_OK)
        code = store_history_layer_names(store, job, &ret->names, &ret->name_count, err);
    if (code == NABLA_OK && ret->count > 1)
        qsort(ret->points.data, ret->count, sizeof(struct point), point_compare);
    return code == NABLA_NO_MEMORY ? nabla_fail_memory(err, "histograms") : code;
}

// --- as JSON

static const struct point *points_of(const struct histograms *histograms)
{
    return (const struct point *)(const void *)histograms->points.data;
}

static void write_counts(const struct histogram *histogram, struct buffer *ret)
{
    for (size_t i = 0; i < HISTOGRAM_BINS; i++)
        buffer_format(ret, "%s%" PRIu64, i ? "," : "[", histogram->counts[i]);
    buffer_char(ret, ']');
}

// The points [from, to), which are of one layer and kind.
static void write_group(const struct histograms *histograms, size_t from, size_t to, struct buffer *ret)
{
    const struct point *points = points_of(histograms);
    unsigned layer = points[from].place / HISTOGRAM_KIND_COUNT;
    buffer_format(ret, "{\"index\":%u,\"name\":", layer);
    buffer_json_string(ret, layer < histograms->name_count ? histograms->names[layer] : "");
    buffer_format(ret, ",\"kind\":\"%s\",\"steps\":[",
                  histogram_kind_names[points[from].place % HISTOGRAM_KIND_COUNT]);
    for (size_t i = from; i < to; i++)
        buffer_format(ret, "%s%" PRIu64, i > from ? "," : "", points[i].step);
    buffer_text(ret, "],\"counts\":[");
    for (size_t i = from; i < to; i++) {
        buffer_text(ret, i > from ? "," : "");
        write_counts(&points[i].histogram, ret);
    }
    buffer_text(ret, "],\"nonfinite\":[");
    for (size_t i = from; i < to; i++)
        buffer_format(ret, "%s%" PRIu64, i > from ? "," : "", points[i].histogram.nonfinite);
    buffer_text(ret, "]}");
}

static void write_cursor(const struct histograms *histograms, char ret[CURSOR_TEXT_SIZE])
{
    if (histograms->more)
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64 "-%u-%" PRIu64, histograms->last_revision,
                 histograms->last_place, histograms->last_step);
    else
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64, histograms->revision);
}

static void write_edges(struct buffer *ret)
{
    double edges[HISTOGRAM_BINS - 1];
    histogram_edges(edges);
    buffer_text(ret, ",\"edges\":[");
    for (size_t i = 0; i < HISTOGRAM_BINS - 1; i++) {
        buffer_text(ret, i ? "," : "");
        write_double(ret, edges[i], false);
    }
    buffer_text(ret, "],\"histograms\":[");
}

static void write_json(const struct histograms *histograms, struct buffer *ret)
{
    char after[CURSOR_TEXT_SIZE];
    const struct point *points = points_of(histograms);
    write_cursor(histograms, after);
    buffer_format(ret, "{\"job\":\"%s\",\"revision\":%" PRIu64 ",\"after\":\"%s\",\"more\":%s",
                  histograms->job->id, histograms->revision, after, histograms->more ? "true" : "false");
    write_edges(ret);
    for (size_t from = 0, to; from < histograms->count; from = to) {
        for (to = from; to < histograms->count && points[to].place == points[from].place;)
            to++;
        buffer_text(ret, from ? "," : "");
        write_group(histograms, from, to, ret);
    }
    buffer_text(ret, "]}");
}

// --- the query

static bool cursor_take(const char *text, struct histogram_query *ret)
{
    struct history_cursor cursor;
    bool by_step;
    if (!cursor_read(text, &cursor, &by_step) || by_step)
        return false;
    ret->after_revision = cursor.revision;
    ret->after_place = cursor.layer;
    ret->after_step = cursor.step;
    return true;
}

static bool query_kind(const struct api_call *call, struct histogram_query *query, struct api_answer *ret)
{
    const char *kind = call_query(call, "kind");
    query->kind = ANY_KIND;
    for (int i = 0; kind && i < HISTOGRAM_KIND_COUNT; i++)
        if (strcmp(kind, histogram_kind_names[i]) == 0)
            query->kind = i;
    if (!kind || query->kind != ANY_KIND)
        return true;
    answer_status(ret, call, 400, "kind must be gradients, weights or activations, not \"%s\"", kind);
    return false;
}

static bool query_format(const struct api_call *call, bool *ret_stream, struct api_answer *ret)
{
    const char *format = call_query(call, "format");
    *ret_stream = format ? strcmp(format, "events") == 0 : call->accept == MEDIA_EVENT_STREAM;
    if (!format || *ret_stream || strcmp(format, "json") == 0)
        return true;
    answer_status(ret, call, 400, "format must be json or events, not \"%s\"", format);
    return false;
}

static bool query_read(const struct api_call *call, struct histograms *ret, struct api_answer *ret_answer)
{
    struct histogram_query *query = &ret->query;
    uint64_t layer, limit;
    const char *after = job_stream_place(call);
    query->has_layer = call_query(call, "layer") != NULL;
    if (!call_query_whole(call, "layer", 0, 0, HISTORY_LAYER_MAX, &layer, ret_answer) ||
        !call_query_whole(call, "since_step", 0, 0, STEP_MAX, &query->since_step, ret_answer) ||
        !call_query_whole(call, "until_step", UINT64_MAX, 0, STEP_MAX, &query->until_step, ret_answer) ||
        !call_query_whole(call, "limit", HISTOGRAMS_DEFAULT, 1, HISTOGRAMS_MAX, &limit, ret_answer) ||
        !query_kind(call, query, ret_answer) || !query_format(call, &ret->is_stream, ret_answer))
        return false;
    query->layer = (unsigned)layer;
    ret->limit = (size_t)limit;
    if (!after || cursor_take(after, query))
        return true;
    answer_status(ret_answer, call, 400,
                  "after, or Last-Event-ID, must be what an earlier answer ended with, not \"%s\"", after);
    return false;
}

// --- the answer

static bool fill_rows(struct store *store, const char *job, const void *detail, const char *place,
                      struct stream_block *ret)
{
    struct histograms histograms = *(const struct histograms *)detail;
    bool read =
        (!*place || cursor_take(place, &histograms.query)) && !read_all(store, job, &histograms, NULL);
    if (read) {
        write_cursor(&histograms, ret->place);
        ret->revision = histograms.revision;
        ret->more = histograms.more;
        ret->over = !ret->more && job_state_is_final(histograms.job->state);
    }
    if (read && histograms.count > 0) {
        buffer_format(&ret->text, "id: %s\nevent: histograms\ndata: ", ret->place);
        write_json(&histograms, &ret->text);
        buffer_text(&ret->text, "\n\n");
    }
    histograms_free(&histograms);
    return read;
}

static void answer_stream(const struct api_call *call, const struct histograms *histograms,
                          struct api_answer *ret)
{
    static const struct stream_kind kind = {"histograms", fill_rows, free};
    struct histograms *kept = malloc(sizeof *kept);
    if (!kept) {
        answer_status(ret, call, 503, "cannot allocate a stream");
        return;
    }
    *kept = *histograms;
    if (kept->limit > STREAM_HISTOGRAMS)
        kept->limit = STREAM_HISTOGRAMS;
    job_stream_answer(call, &kind, kept, job_stream_place(call), ret);
}

static void answer_rows(struct api_call *call, struct histograms *histograms, struct api_answer *ret)
{
    char etag[ETAG_SIZE];
    struct nabla_error err = {0};
    if (read_all(call->api->options.store, call->params[0], histograms, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    etag_make(etag, histograms->revision, "");
    bool is_known = etag_is_known(call, etag);
    if ((histograms->count == 0 || is_known) && !job_state_is_final(histograms->job->state) &&
        poll_wait(call, histograms->job->id, histograms->revision, ret))
        return;
    if (is_known) {
        poll_unchanged(call, etag, ret);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    poll_headers(call, etag, ret);
    answer_header(ret, "Vary", "Accept");
    write_json(histograms, &ret->body);
}

bool peek_job_histograms(struct api_call *call, struct api_answer *ret)
{
    const char *format = call_query(call, "format");
    bool is_stream = format ? strcmp(format, "events") == 0 : call->accept == MEDIA_EVENT_STREAM;
    if (!is_stream)
        return (!format || strcmp(format, "json") == 0) && poll_if_unchanged(call, "", ret);
    handle_job_histograms(call, ret);
    return true;
}

void handle_job_histograms(struct api_call *call, struct api_answer *ret)
{
    struct histograms histograms = {.count = 0};
    if (!query_read(call, &histograms, ret))
        return;
    if (histograms.is_stream)
        answer_stream(call, &histograms, ret);
    else
        answer_rows(call, &histograms, ret);
    histograms_free(&histograms);
}
