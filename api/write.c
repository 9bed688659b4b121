#include "api/write.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

// A number, its two quotes and a comma.
enum { ENTRY_SIZE = NUMBER_TEXT_SIZE + 3 };

static size_t put_text(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return length;
}

static size_t put_nonfinite(char *at, double value, bool as_null)
{
    if (as_null)
        return put_text(at, "null", 4);
    if (isnan(value))
        return put_text(at, "\"NaN\"", 5);
    return value > 0 ? put_text(at, "\"Infinity\"", 10) : put_text(at, "\"-Infinity\"", 11);
}

static size_t put_double(char *at, double value, bool as_null)
{
    return isfinite(value) ? number_write_double(at, value) : put_nonfinite(at, value, as_null);
}

static size_t put_float(char *at, float value, bool as_null)
{
    return isfinite(value) ? number_write_float(at, value) : put_nonfinite(at, (double)value, as_null);
}

static void took(struct buffer *buffer, size_t length)
{
    buffer->size += length;
    buffer->data[buffer->size] = '\0';
}

void write_double(struct buffer *buffer, double value, bool nonfinite_as_null)
{
    char *at = buffer_reserve(buffer, ENTRY_SIZE);
    if (at)
        took(buffer, put_double(at, value, nonfinite_as_null));
}

void write_float(struct buffer *buffer, float value, bool nonfinite_as_null)
{
    char *at = buffer_reserve(buffer, ENTRY_SIZE);
    if (at)
        took(buffer, put_float(at, value, nonfinite_as_null));
}

void write_whole(struct buffer *buffer, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits; // 2^64 has as many
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    buffer_append(buffer, at, (size_t)(digits + sizeof digits - at));
}

// Room is asked for in blocks: a bound for the whole list would be several times what it takes.
enum { BLOCK = 256 };

void write_doubles(struct buffer *buffer, const double *values, size_t count, bool nonfinite_as_null)
{
    buffer_char(buffer, '[');
    for (size_t i = 0; i < count;) {
        size_t end = count - i < BLOCK ? count : i + BLOCK;
        char *begin = buffer_reserve(buffer, (end - i) * ENTRY_SIZE), *at = begin;
        if (!begin)
            return;
        for (; i < end; i++) {
            if (i > 0)
                *at++ = ',';
            at += put_double(at, values[i], nonfinite_as_null);
        }
        took(buffer, (size_t)(at - begin));
    }
    buffer_char(buffer, ']');
}

void write_floats(struct buffer *buffer, const float *values, size_t count, bool nonfinite_as_null)
{
    buffer_char(buffer, '[');
    for (size_t i = 0; i < count;) {
        size_t end = count - i < BLOCK ? count : i + BLOCK;
        char *begin = buffer_reserve(buffer, (end - i) * ENTRY_SIZE), *at = begin;
        if (!begin)
            return;
        for (; i < end; i++) {
            if (i > 0)
                *at++ = ',';
            at += put_float(at, values[i], nonfinite_as_null);
        }
        took(buffer, (size_t)(at - begin));
    }
    buffer_char(buffer, ']');
}
