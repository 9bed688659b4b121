#include "api/history_encode.h"

#include "api/write.h"
#include "base/number.h"
#include "base/size.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;

void history_free(struct history *history)
{
    if (!history)
        return;
    free(history->points);
    free(history->values);
    history->points = NULL;
    history->values = NULL;
    history->count = history->capacity = 0;
}

static bool history_grow(struct history *history)
{
    size_t capacity = history->capacity ? history->capacity * 2 : 256, points, row, values;
    if (!size_mul(capacity, sizeof *history->points, &points) ||
        !size_mul(history->stat_count, sizeof *history->values, &row) || !size_mul(capacity, row, &values))
        return false;
    struct history_point *grown_points = realloc(history->points, points);
    if (!grown_points)
        return false;
    history->points = grown_points;
    double *grown_values = realloc(history->values, values);
    if (!grown_values)
        return false;
    history->values = grown_values;
    history->capacity = capacity;
    return true;
}

enum nabla_code history_take(void *context, const struct history_row *row)
{
    struct history *history = context;
    if (history->count == history->limit) {
        history->more = true;
        return NABLA_OK;
    }
    if (history->count == history->capacity && !history_grow(history))
        return NABLA_NO_MEMORY;
    size_t at = history->count * history->stat_count;
    history->points[history->count++] = (struct history_point){
        .step = row->step, .layer = row->layer, .recorded = row->recorded, .values = at};
    memcpy(history->values + at, row->values, history->stat_count * sizeof *history->values);
    history->last =
        (struct history_cursor){.revision = row->revision, .layer = row->layer, .step = row->step};
    return NABLA_OK;
}

static int point_compare(const void *a, const void *b)
{
    const struct history_point *left = a, *right = b;
    if (left->layer != right->layer)
        return left->layer < right->layer ? -1 : 1;
    return left->step < right->step ? -1 : left->step > right->step;
}

void history_sort(struct history *history)
{
    if (history->count > 1)
        qsort(history->points, history->count, sizeof *history->points, point_compare);
}

void cursor_write(const struct history *history, uint64_t revision, char ret[CURSOR_TEXT_SIZE])
{
    if (history->more)
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64 "-%u-%" PRIu64, history->last.revision,
                 history->last.layer, history->last.step);
    else
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64, revision);
}

static bool read_part(const char **text, uint64_t most, uint64_t *ret)
{
    size_t length = strspn(*text, "0123456789");
    int64_t value;
    if (!number_read_int(*text, *text + length, &value) || (uint64_t)value > most)
        return false;
    *ret = (uint64_t)value;
    *text += length;
    return true;
}

bool cursor_read(const char *text, struct history_cursor *ret)
{
    uint64_t revision, layer = INT_MAX, step = STEP_MAX;
    if (!read_part(&text, STEP_MAX, &revision))
        return false;
    if (*text && (*text++ != '-' || !read_part(&text, INT_MAX, &layer) || *text++ != '-' ||
                  !read_part(&text, STEP_MAX, &step) || *text))
        return false;
    *ret = (struct history_cursor){.revision = revision, .layer = (unsigned)layer, .step = step};
    return true;
}

// The statistics to tell of points [from, to).
static uint32_t columns_of(const struct history *history, size_t from, size_t to)
{
    uint32_t recorded = 0;
    if (history->columns)
        return history->columns;
    for (size_t i = from; i < to; i++)
        recorded |= history->points[i].recorded;
    return recorded;
}

static void encode_column(const struct history *history, size_t from, size_t to, size_t stat,
                          struct buffer *ret)
{
    for (size_t i = from; i < to; i++) {
        const struct history_point *point = &history->points[i];
        if (i > from)
            buffer_char(ret, ',');
        if (point->recorded & (1U << stat))
            write_double(ret, history->values[point->values + stat], history->nonfinite_as_null);
        else
            buffer_append(ret, "null", 4);
    }
}

static void encode_table(const struct history *history, size_t from, size_t to, struct buffer *ret)
{
    uint32_t columns = columns_of(history, from, to);
    const char *between = "";
    buffer_text(ret, ",\"steps\":[");
    for (size_t i = from; i < to; i++)
        buffer_format(ret, "%s%" PRIu64, i > from ? "," : "", history->points[i].step);
    buffer_text(ret, "],\"columns\":{");
    for (size_t stat = 0; stat < history->stat_count; stat++) {
        if (!(columns & (1U << stat)))
            continue;
        buffer_format(ret, "%s\"%s\":[", between, history->stats[stat].name);
        encode_column(history, from, to, stat, ret);
        buffer_char(ret, ']');
        between = ",";
    }
    buffer_char(ret, '}');
}

void history_encode_network(const struct history *history, struct buffer *ret)
{
    encode_table(history, 0, history->count, ret);
}

static const char *layer_name(const struct history *history, unsigned layer)
{
    return layer < history->name_count && history->names[layer] ? history->names[layer] : "";
}

void history_encode_layers(const struct history *history, struct buffer *ret)
{
    buffer_text(ret, ",\"layers\":[");
    for (size_t from = 0, to; from < history->count; from = to) {
        unsigned layer = history->points[from].layer;
        for (to = from; to < history->count && history->points[to].layer == layer;)
            to++;
        buffer_format(ret, "%s{\"index\":%u,\"name\":", from ? "," : "", layer);
        buffer_json_string(ret, layer_name(history, layer));
        encode_table(history, from, to, ret);
        buffer_char(ret, '}');
    }
    buffer_char(ret, ']');
}

// RFC 4180: quoted where it must be.
static void csv_text(const char *text, struct buffer *ret)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buffer_text(ret, text);
        return;
    }
    buffer_char(ret, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            buffer_char(ret, '"');
        buffer_char(ret, *c);
    }
    buffer_char(ret, '"');
}

static void csv_number(double value, bool nonfinite_as_null, struct buffer *ret)
{
    char *end = buffer_reserve(ret, NUMBER_TEXT_SIZE);
    if (end && (isfinite(value) || !nonfinite_as_null))
        ret->size += number_write_double(end, value);
}

static void csv_row(const struct history *history, const struct history_point *point, bool layers,
                    uint32_t columns, struct buffer *ret)
{
    buffer_format(ret, "%" PRIu64, point->step);
    if (layers) {
        buffer_format(ret, ",%u,", point->layer);
        csv_text(layer_name(history, point->layer), ret);
    }
    for (size_t stat = 0; stat < history->stat_count; stat++) {
        if (!(columns & (1U << stat)))
            continue;
        buffer_char(ret, ',');
        if (point->recorded & (1U << stat))
            csv_number(history->values[point->values + stat], history->nonfinite_as_null, ret);
    }
    buffer_append(ret, "\r\n", 2);
}

void history_encode_csv(const struct history *history, bool layers, uint32_t stated, struct buffer *ret)
{
    uint32_t columns = columns_of(history, 0, history->count);
    if (!history->columns)
        columns |= stated;
    buffer_text(ret, layers ? "step,layer,name" : "step");
    for (size_t stat = 0; stat < history->stat_count; stat++)
        if (columns & (1U << stat))
            buffer_format(ret, ",%s", history->stats[stat].name);
    buffer_append(ret, "\r\n", 2);
    for (size_t i = 0; i < history->count; i++)
        csv_row(history, &history->points[i], layers, columns, ret);
}
