#include "api/history_encode.h"

#include "api/write.h"
#include "base/number.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- JSON, by columns

enum part { PART_MEAN, PART_MIN, PART_MAX, PART_NONFINITE, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"mean", "min", "max", "nonfinite"};

static void write_part(const struct frame_column *column, size_t row, enum part part, bool nonfinite_as_null,
                       struct buffer *ret)
{
    if (!column->recorded[row])
        buffer_append(ret, "null", 4);
    else if (part == PART_NONFINITE)
        buffer_format(ret, "%" PRIu64, column->folds[row].nonfinite);
    else if (part == PART_MEAN)
        write_double(ret, column->values[row], nonfinite_as_null);
    else
        write_double(ret, part == PART_MIN ? column->folds[row].min : column->folds[row].max,
                     nonfinite_as_null);
}

static void encode_part(const struct frame *frame, const struct frame_column *column, enum part part,
                        bool nonfinite_as_null, struct buffer *ret)
{
    buffer_char(ret, '[');
    for (size_t row = 0; row < frame->rows; row++) {
        if (row > 0)
            buffer_char(ret, ',');
        write_part(column, row, part, nonfinite_as_null, ret);
    }
    buffer_char(ret, ']');
}

static void encode_whole(const uint64_t *numbers, size_t count, struct buffer *ret)
{
    buffer_char(ret, '[');
    for (size_t i = 0; i < count; i++)
        buffer_format(ret, "%s%" PRIu64, i > 0 ? "," : "", numbers[i]);
    buffer_char(ret, ']');
}

static void encode_column(const struct frame *frame, const struct frame_column *column,
                          bool nonfinite_as_null, struct buffer *ret)
{
    buffer_json_string(ret, column->name);
    buffer_char(ret, ':');
    if (!frame->is_folded) {
        encode_part(frame, column, PART_MEAN, nonfinite_as_null, ret);
        return;
    }
    for (enum part part = 0; part < PART_COUNT; part++) {
        buffer_format(ret, "%s\"%s\":", part ? "," : "{", part_names[part]);
        encode_part(frame, column, part, nonfinite_as_null, ret);
    }
    buffer_char(ret, '}');
}

static void encode_frame(const struct frame *frame, bool nonfinite_as_null, struct buffer *ret)
{
    buffer_text(ret, ",\"steps\":");
    encode_whole(frame->steps, frame->rows, ret);
    if (frame->width)
        buffer_format(ret, ",\"width\":%" PRIu64, frame->width);
    if (frame->is_folded) {
        buffer_text(ret, ",\"counts\":");
        encode_whole(frame->counts, frame->rows, ret);
    }
    buffer_text(ret, ",\"columns\":{");
    for (size_t i = 0; i < frame->column_count; i++) {
        if (i > 0)
            buffer_char(ret, ',');
        encode_column(frame, &frame->columns[i], nonfinite_as_null, ret);
    }
    buffer_char(ret, '}');
}

void frames_encode(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret)
{
    if (!frames->layers) {
        encode_frame(&frames->frames[0], nonfinite_as_null, ret);
        return;
    }
    buffer_text(ret, ",\"layers\":[");
    for (size_t i = 0; i < frames->count; i++) {
        buffer_format(ret, "%s{\"index\":%u,\"name\":", i ? "," : "", frames->frames[i].index);
        buffer_json_string(ret, frames->frames[i].name);
        encode_frame(&frames->frames[i], nonfinite_as_null, ret);
        buffer_char(ret, '}');
    }
    buffer_char(ret, ']');
}

// ---- JSON, by rows: one flat object for each

static void encode_cells(const struct frame *frame, size_t row, bool nonfinite_as_null, struct buffer *ret)
{
    for (size_t i = 0; i < frame->column_count; i++) {
        const struct frame_column *column = &frame->columns[i];
        for (enum part part = 0; part < (frame->is_folded ? PART_COUNT : PART_MIN); part++) {
            buffer_char(ret, ',');
            buffer_json_string(ret, column->name);
            if (part != PART_MEAN) {
                ret->size -= !ret->failed; // into the name's quotes
                buffer_format(ret, "_%s\"", part_names[part]);
            }
            buffer_char(ret, ':');
            write_part(column, row, part, nonfinite_as_null, ret);
        }
    }
}

static void encode_row(const struct frames *frames, const struct frame *frame, size_t row,
                       bool nonfinite_as_null, struct buffer *ret)
{
    buffer_char(ret, '{');
    if (frame->job)
        buffer_format(ret, "\"job\":\"%s\",", frame->job);
    buffer_format(ret, "\"step\":%" PRIu64, frame->steps[row]);
    if (frames->layers) {
        buffer_format(ret, ",\"layer\":%u,\"name\":", frame->index);
        buffer_json_string(ret, frame->name);
    }
    if (frame->is_folded)
        buffer_format(ret, ",\"count\":%" PRIu64, frame->counts[row]);
    encode_cells(frame, row, nonfinite_as_null, ret);
    buffer_char(ret, '}');
}

void frames_encode_rows(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret)
{
    const char *between = "";
    buffer_char(ret, '[');
    for (size_t i = 0; i < frames->count; i++)
        for (size_t row = 0; row < frames->frames[i].rows; row++) {
            buffer_text(ret, between);
            encode_row(frames, &frames->frames[i], row, nonfinite_as_null, ret);
            between = ",";
        }
    buffer_char(ret, ']');
}

// ---- CSV

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

// Columns are those of the first frame that has the name, for all: layers may record different statistics.
struct csv_columns {
    const char **names; // NULL: no memory
    size_t count;
    bool is_folded, of_jobs;
};

static void csv_collect(const struct frames *frames, struct csv_columns *ret)
{
    size_t most = 1;
    for (size_t i = 0; i < frames->count; i++)
        most += frames->frames[i].column_count;
    ret->names = size_alloc(most, 1, sizeof *ret->names);
    if (!ret->names)
        return;
    for (size_t i = 0; i < frames->count; i++) {
        const struct frame *frame = &frames->frames[i];
        ret->is_folded |= frame->is_folded;
        ret->of_jobs |= frame->job != NULL;
        for (size_t c = 0; c < frame->column_count; c++) {
            size_t at = 0;
            while (at < ret->count && strcmp(ret->names[at], frame->columns[c].name) != 0)
                at++;
            if (at == ret->count)
                ret->names[ret->count++] = frame->columns[c].name;
        }
    }
}

static const struct frame_column *find_column(const struct frame *frame, const char *name)
{
    for (size_t i = 0; i < frame->column_count; i++)
        if (strcmp(frame->columns[i].name, name) == 0)
            return &frame->columns[i];
    return NULL;
}

// A column with its folds, those of a single step where the frame has none.
static void csv_cell(const struct frame *frame, const char *name, size_t row, bool is_folded,
                     bool nonfinite_as_null, struct buffer *ret)
{
    const struct frame_column *column = find_column(frame, name);
    bool recorded = column && column->recorded[row];
    double value = recorded ? column->values[row] : 0;
    buffer_char(ret, ',');
    if (recorded)
        csv_number(value, nonfinite_as_null, ret);
    if (!is_folded)
        return;
    bool finite = isfinite(value);
    const struct history_fold single = {.nonfinite = finite ? 0U : 1U,
                                        .min = finite ? value : (double)NAN,
                                        .max = finite ? value : (double)NAN};
    const struct history_fold *fold = recorded && column->folds ? &column->folds[row] : &single;
    buffer_char(ret, ',');
    if (recorded)
        csv_number(fold->min, nonfinite_as_null, ret);
    buffer_char(ret, ',');
    if (recorded)
        csv_number(fold->max, nonfinite_as_null, ret);
    buffer_char(ret, ',');
    if (recorded)
        buffer_format(ret, "%" PRIu64, fold->nonfinite);
}

static void csv_row(const struct frames *frames, const struct frame *frame, size_t row,
                    const struct csv_columns *columns, bool nonfinite_as_null, struct buffer *ret)
{
    if (columns->of_jobs)
        buffer_format(ret, "%s,", frame->job);
    buffer_format(ret, "%" PRIu64, frame->steps[row]);
    if (frames->layers) {
        buffer_format(ret, ",%u,", frame->index);
        csv_text(frame->name, ret);
    }
    if (columns->is_folded)
        buffer_format(ret, ",%" PRIu64, frame->counts[row]);
    for (size_t i = 0; i < columns->count; i++)
        csv_cell(frame, columns->names[i], row, columns->is_folded, nonfinite_as_null, ret);
    buffer_append(ret, "\r\n", 2);
}

void frames_encode_csv(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret)
{
    struct csv_columns columns = {.count = 0};
    csv_collect(frames, &columns);
    if (!columns.names) {
        ret->failed = NABLA_NO_MEMORY;
        return;
    }
    buffer_text(ret, columns.of_jobs ? "job," : "");
    buffer_text(ret, frames->layers ? "step,layer,name" : "step");
    if (columns.is_folded)
        buffer_text(ret, ",count");
    for (size_t i = 0; i < columns.count; i++)
        for (enum part part = 0; part < (columns.is_folded ? PART_COUNT : PART_MIN); part++)
            buffer_format(ret, part ? ",%s_%s" : ",%s", columns.names[i], part_names[part]);
    buffer_append(ret, "\r\n", 2);
    for (size_t i = 0; i < frames->count; i++)
        for (size_t row = 0; row < frames->frames[i].rows; row++)
            csv_row(frames, &frames->frames[i], row, &columns, nonfinite_as_null, ret);
    free(columns.names);
}
