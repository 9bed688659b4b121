#include "base/number.h"
#include "data/csv.h"

#include <string.h>

// A cell that the reader would not take as it is needs quotes: separators, quotes, line ends, blanks at its
// ends, a byte order mark in front.
static bool needs_quotes(const char *text)
{
    size_t length = strlen(text);
    return length == 0 || strpbrk(text, ",\"\r\n") || strchr(" \t", text[0]) ||
           strchr(" \t", text[length - 1]) || strncmp(text, "\xef\xbb\xbf", 3) == 0;
}

static void write_text(struct buffer *buffer, const char *text)
{
    if (!needs_quotes(text)) {
        buffer_text(buffer, text);
        return;
    }
    buffer_char(buffer, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            buffer_char(buffer, '"');
        buffer_char(buffer, *c);
    }
    buffer_char(buffer, '"');
}

// How many names stand in a text with commas between.
static size_t count_names(const char *names)
{
    size_t count = 1;
    for (; *names; names++)
        count += *names == ',';
    return count;
}

// The targets of several outputs have a name each, or share the label's: price_0, price_1.
static void write_target_names(struct buffer *buffer, const char *names, size_t outputs)
{
    const bool own = count_names(names) == outputs;
    struct buffer name = buffer_new(buffer->limit);
    for (size_t j = 0; j < outputs && !buffer->failed; j++) {
        const size_t size = own ? strcspn(names, ",") : strlen(names);
        name.size = 0;
        buffer_append(&name, names, size);
        if (!own)
            buffer_format(&name, "_%zu", j);
        buffer_text(buffer, j ? "," : "");
        write_text(buffer, name.data ? name.data : "");
        names += own && j + 1 < outputs ? size + 1 : 0;
    }
    if (name.failed)
        buffer->failed = name.failed;
    buffer_free(&name);
}

static void write_header(struct buffer *buffer, const struct dataset *dataset)
{
    for (size_t j = 0; j < dataset->columns; j++) {
        write_text(buffer, dataset->feature_names[j]);
        buffer_char(buffer, ',');
    }
    const char *name = dataset->label_name && *dataset->label_name ? dataset->label_name : "label";
    if (dataset->outputs < 2)
        write_text(buffer, name);
    else
        write_target_names(buffer, name, dataset->outputs);
    buffer_char(buffer, '\n');
}

static void write_numbers(struct buffer *buffer, const float *values, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        char *to = buffer_reserve(buffer, NUMBER_TEXT_SIZE + 1);
        if (!to)
            return;
        size_t length = number_write_float(to, values[j]);
        to[length] = ',';
        buffer->size += length + 1;
    }
}

static void write_row(struct buffer *buffer, const struct dataset *dataset, size_t row)
{
    write_numbers(buffer, dataset->features + row * dataset->columns, dataset->columns);
    if (dataset->classes > 0)
        write_text(buffer, dataset->class_names[dataset->ids[row]]);
    else
        write_numbers(buffer, dataset->targets + row * dataset->outputs, dataset->outputs);
    if (dataset->classes == 0 && buffer->size > 0)
        buffer->size--; // the last comma
    buffer_char(buffer, '\n');
}

enum nabla_code csv_write(const struct dataset *dataset, struct buffer *ret, struct nabla_error *err)
{
    write_header(ret, dataset);
    for (size_t i = 0; i < dataset->rows && !ret->failed; i++)
        write_row(ret, dataset, i);
    return buffer_status(ret, "the CSV text", err);
}
