#include "api/history_reading.h"

#include "base/size.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;
enum { COLUMN_NAME_SIZE = HISTORY_NAME_MAX + 1 };

struct reading reading_new(struct api_call *call, bool layers)
{
    return (struct reading){.call = call,
                            .store = call->api->options.store,
                            .layers = layers,
                            .history = {.stats = layers ? layer_stats : network_stats,
                                        .stat_count = layers ? LAYER_STAT_COUNT : NETWORK_STAT_COUNT}};
}

void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->history.name_count; i++)
        free(reading->names[i]);
    free(reading->names);
    history_free(&reading->history);
    job_free(reading->job);
}

// ---- the query

static void list_columns(const struct reading *reading, struct buffer *ret)
{
    for (size_t i = 0; i < reading->history.stat_count; i++)
        buffer_format(ret, "%s%s", i ? ", " : "", reading->history.stats[i].name);
}

static bool refuse_column(const struct reading *reading, const char *name, int length, struct api_answer *ret)
{
    struct buffer known = buffer_new(2048);
    list_columns(reading, &known);
    answer_status(ret, reading->call, 400, "there is no column \"%.*s\"; there are %s", length, name,
                  known.data ? known.data : "none");
    buffer_free(&known);
    return false;
}

// Takes the next name of a comma list; false at its end, or when a name is longer than any.
static bool next_name(const char **at, char ret[COLUMN_NAME_SIZE])
{
    size_t length = strcspn(*at, ",");
    if (!**at || length >= COLUMN_NAME_SIZE)
        return false;
    memcpy(ret, *at, length);
    ret[length] = '\0';
    *at += length + ((*at)[length] == ',');
    return true;
}

// Of the network a name that is no statistic may be a metric that the client named: that shows with the job.
static bool query_columns(struct reading *reading, struct api_answer *ret)
{
    const char *at = call_query(reading->call, "column"), *from;
    struct history *history = &reading->history;
    char name[COLUMN_NAME_SIZE];
    for (from = at; at && next_name(&at, name); from = at) {
        int stat = stat_find(history->stats, history->stat_count, name);
        size_t used = strlen(history->wanted);
        if (stat >= 0)
            history->columns |= 1U << stat;
        else if (reading->layers || !*name || used + strlen(name) + 2 > sizeof history->wanted)
            return refuse_column(reading, name, (int)strlen(name), ret);
        else
            snprintf(history->wanted + used, sizeof history->wanted - used, "%s%s", used ? "," : "", name);
    }
    return !at || !*from || refuse_column(reading, from, HISTORY_NAME_MAX, ret);
}

static const struct {
    const char *name, *variant;
    enum route_media media;
} formats[FORMAT_COUNT] = {[FORMAT_JSON] = {"json", "", MEDIA_JSON},
                           [FORMAT_ROWS] = {"rows", "rows", MEDIA_JSON},
                           [FORMAT_CSV] = {"csv", "csv", MEDIA_CSV},
                           [FORMAT_TENSORS] = {"safetensors", "safetensors", MEDIA_SAFETENSORS},
                           [FORMAT_EVENTS] = {"events", "events", MEDIA_EVENT_STREAM}};

bool reading_query_format(struct reading *reading, struct api_answer *ret)
{
    const char *name = call_query(reading->call, "format");
    for (enum history_format format = 0; format < FORMAT_COUNT; format++)
        if (name ? strcmp(name, formats[format].name) == 0 : formats[format].media == reading->call->accept) {
            reading->format = format;
            if (!(reading->call->route->produces & (unsigned)formats[format].media))
                break;
            return true;
        }
    answer_status(ret, reading->call, 400,
                  "format must be json, rows, csv, safetensors or, of one job, events, not \"%s\"", name);
    return false;
}

const char *reading_variant(const struct reading *reading)
{
    return formats[reading->format].variant;
}

enum route_media reading_media(const struct reading *reading)
{
    return formats[reading->format].media;
}

// What cannot be asked for together.
static bool query_check(const struct reading *reading, struct api_answer *ret)
{
    static const char *const apart[][2] = {{"max_points", "after"},
                                           {"max_points", "limit"},
                                           {"max_points", "newest"},
                                           {"newest", "after"},
                                           {"newest", "limit"}};
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (call_query(reading->call, apart[i][0]) && call_query(reading->call, apart[i][1])) {
            answer_status(ret, reading->call, 400, "the query parameters %s and %s exclude each other",
                          apart[i][0], apart[i][1]);
            return false;
        }
    if (reading->format == FORMAT_EVENTS && (reading->query.max_points || reading->query.newest)) {
        answer_status(ret, reading->call, 400, "a stream takes neither max_points nor newest");
        return false;
    }
    return true;
}

bool reading_query(struct reading *reading, struct api_answer *ret)
{
    const struct api_call *call = reading->call;
    struct history_query *query = &reading->query;
    uint64_t layer, limit, max_points, newest, most = call->api->options.limits.history_rows;
    query->has_layer = call_query(call, "layer") != NULL;
    if (!call_query_whole(call, "layer", 0, 0, INT_MAX, &layer, ret) ||
        !call_query_whole(call, "since_step", 0, 0, STEP_MAX, &query->since_step, ret) ||
        !call_query_whole(call, "until_step", UINT64_MAX, 0, STEP_MAX, &query->until_step, ret) ||
        !call_query_rows(call, "limit", most, &limit, ret) ||
        !call_query_rows(call, "max_points", 0, &max_points, ret) ||
        !call_query_rows(call, "newest", 0, &newest, ret) ||
        !call_query_nonfinite(call, &reading->history.nonfinite_as_null, ret))
        return false;
    query->layer = (unsigned)layer;
    query->limit = (size_t)limit + 1; // the row too much tells that there is more
    query->max_points = (size_t)max_points;
    query->newest = (size_t)newest;
    reading->history.limit = (size_t)limit;
    return query_columns(reading, ret) && reading_query_format(reading, ret) && query_check(reading, ret);
}

// ---- the rows

static int find_name(const struct reading *reading, const char *name)
{
    for (size_t i = 1; i < reading->history.name_count; i++)
        if (strcmp(reading->names[i], name) == 0)
            return (int)i;
    return -1;
}

// The numbers of the metrics wanted by name. A stream may wait for one that comes later.
static enum nabla_code find_named(struct reading *reading, unsigned numbers[], size_t most,
                                  struct nabla_error *err)
{
    const char *at = reading->history.wanted;
    char name[COLUMN_NAME_SIZE];
    while (next_name(&at, name) && reading->query.named_count < most) {
        int number = find_name(reading, name);
        if (number >= 0) {
            numbers[reading->query.named_count++] = (unsigned)number;
        } else if (reading->format != FORMAT_EVENTS) {
            struct buffer known = buffer_new(2048);
            list_columns(reading, &known);
            nabla_fail(err, NABLA_INVALID, NULL,
                       "there is no column \"%s\"; there are %s, and those that the job's client named", name,
                       known.data ? known.data : "none");
            buffer_free(&known);
            return NABLA_INVALID;
        }
    }
    return NABLA_OK;
}

enum nabla_code reading_rows(struct reading *reading, struct nabla_error *err)
{
    enum { WANTED_MOST = sizeof reading->history.wanted / 2 };
    unsigned numbers[WANTED_MOST];
    struct store *store = reading->store;
    struct history *history = &reading->history;
    struct history_query *query = &reading->query;
    const char *id = reading->job->id;
    enum nabla_code (*read_names)(struct store *, const char *, char ***, size_t *, struct nabla_error *) =
        reading->layers ? store_history_layer_names : store_history_metric_names;
    enum nabla_code code = NABLA_OK;
    if (history->wanted[0])
        code = read_names(store, id, &reading->names, &history->name_count, err);
    query->columns = history->columns;
    query->is_selective = !reading->layers && (history->columns || history->wanted[0]);
    query->without_network = query->is_selective && !history->columns;
    query->named = numbers;
    query->named_count = 0;
    if (code == NABLA_OK)
        code = find_named(reading, numbers, WANTED_MOST, err);
    if (code == NABLA_OK)
        code = (reading->layers ? store_history_layers : store_history_metrics)(
            store, id, query, history_take, history, &reading->revision, err);
    if (code == NABLA_OK && !reading->names) // after the rows: what they need is there
        code = read_names(store, id, &reading->names, &history->name_count, err);
    history->names = reading->names;
    query->named = NULL;
    query->named_count = 0;
    if (code == NABLA_NO_MEMORY && err && !err->code)
        code = nabla_fail_memory(err, "a history");
    history_sort(history);
    return code;
}

// ---- the answer

enum nabla_code reading_frames(const struct reading *reading, struct frames *ret, struct nabla_error *err)
{
    uint32_t stated = 0;
    if (reading->format == FORMAT_CSV) // whose header tells what may come
        stated = reading->layers ? reading->job->layer_stats : reading->job->network_stats;
    return frames_build(&reading->history, reading->layers, stated, ret, err);
}

void reading_encode_head(const struct reading *reading, const struct frames *frames, struct buffer *ret)
{
    char after[CURSOR_TEXT_SIZE];
    cursor_write(&reading->history, reading->revision, after);
    buffer_format(ret, "{\"job\":\"%s\",\"revision\":%" PRIu64 ",\"after\":\"%s\",\"more\":%s",
                  reading->job->id, reading->revision, after, reading->history.more ? "true" : "false");
    if (reading->format != FORMAT_TENSORS || !frames->layers)
        return;
    for (size_t i = 0; i < frames->count; i++) {
        buffer_format(ret, "%s{\"index\":%u,\"name\":", i ? "," : ",\"layers\":[", frames->frames[i].index);
        buffer_json_string(ret, frames->frames[i].name);
        buffer_char(ret, '}');
    }
    buffer_text(ret, frames->count ? "]" : ",\"layers\":[]");
}

static enum nabla_code encode_tensors(const struct reading *reading, const struct frames *frames,
                                      struct buffer *ret, struct nabla_error *err)
{
    struct buffer head = buffer_new(SIZE_MAX - 1);
    reading_encode_head(reading, frames, &head);
    buffer_char(&head, '}');
    enum nabla_code code = frames_encode_tensors(frames, head.data ? head.data : "{}", ret, err);
    buffer_free(&head);
    return code;
}

static enum nabla_code encode_frames(const struct reading *reading, const struct frames *frames,
                                     struct buffer *ret, struct nabla_error *err)
{
    bool as_null = reading->history.nonfinite_as_null;
    if (reading->format == FORMAT_ROWS || reading->format == FORMAT_CSV) {
        enum nabla_code code = frames_check_names(frames, err);
        if (code)
            return code;
    }
    switch (reading->format) {
    case FORMAT_ROWS:
        frames_encode_rows(frames, as_null, ret);
        break;
    case FORMAT_CSV:
        frames_encode_csv(frames, as_null, ret);
        break;
    case FORMAT_TENSORS:
        return encode_tensors(reading, frames, ret, err);
    default:
        reading_encode_head(reading, frames, ret);
        frames_encode(frames, as_null, ret);
        buffer_char(ret, '}');
    }
    return NABLA_OK;
}

enum nabla_code reading_encode(const struct reading *reading, struct buffer *ret, struct nabla_error *err)
{
    struct frames frames;
    enum nabla_code code = reading_frames(reading, &frames, err);
    if (code == NABLA_OK)
        code = encode_frames(reading, &frames, ret, err);
    frames_free(&frames);
    return code;
}
