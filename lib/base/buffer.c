#include "base/buffer.h"

#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

struct buffer buffer_new(size_t limit)
{
    return (struct buffer){.limit = limit};
}

void buffer_free(struct buffer *buffer)
{
    if (!buffer)
        return;
    free(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit};
}

// Doubling keeps appending linear in the whole; the limit caps the last doubling.
static size_t next_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < needed && size_mul(capacity, 2, &capacity))
        ;
    size_t most;
    if (size_add(buffer->limit, 1, &most) && capacity > most)
        capacity = most;
    return capacity < needed ? needed : capacity;
}

static char *reserve_failed(struct buffer *buffer, enum nabla_code code)
{
    buffer->failed = code;
    return NULL;
}

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t wanted, needed;
    if (buffer->failed)
        return NULL;
    if (!size_add(buffer->size, extra, &wanted) || wanted > buffer->limit || !size_add(wanted, 1, &needed))
        return reserve_failed(buffer, NABLA_LIMIT);
    if (needed > buffer->capacity) {
        size_t capacity = next_capacity(buffer, needed);
        char *grown = realloc(buffer->data, capacity);
        if (!grown)
            return reserve_failed(buffer, NABLA_NO_MEMORY);
        buffer->data = grown;
        buffer->data[buffer->size] = '\0';
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t count)
{
    char *end = buffer_reserve(buffer, count);
    if (!end)
        return false;
    if (count > 0)
        memcpy(end, bytes, count);
    end[count] = '\0';
    buffer->size += count;
    return true;
}

bool buffer_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

bool buffer_char(struct buffer *buffer, char c)
{
    return buffer_append(buffer, &c, 1);
}

// Formats into the room there is; what did not fit is formatted again once there is room for it.
bool buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list args, again;
    size_t room = buffer->failed ? 0 : buffer->capacity - buffer->size;
    va_start(args, format);
    va_copy(again, args);
    int wanted = vsnprintf(room ? buffer->data + buffer->size : NULL, room, format, args);
    va_end(args);
    char *end = wanted < 0 ? NULL : buffer_reserve(buffer, (size_t)wanted);
    if (end && (size_t)wanted >= room)
        vsnprintf(end, (size_t)wanted + 1, format, again);
    if (end)
        buffer->size += (size_t)wanted;
    else if (room && buffer->data)
        buffer->data[buffer->size] = '\0'; // as it was
    va_end(again);
    return end != NULL;
}

static bool append_escaped(struct buffer *buffer, unsigned char c)
{
    switch (c) {
    case '"':
        return buffer_text(buffer, "\\\"");
    case '\\':
        return buffer_text(buffer, "\\\\");
    case '\n':
        return buffer_text(buffer, "\\n");
    case '\r':
        return buffer_text(buffer, "\\r");
    case '\t':
        return buffer_text(buffer, "\\t");
    default:
        return c < 0x20 || c == 0x7f ? buffer_format(buffer, "\\u%04x", c) : buffer_char(buffer, (char)c);
    }
}

bool buffer_json_string(struct buffer *buffer, const char *text)
{
    buffer_char(buffer, '"');
    for (const char *c = text; *c; c++)
        append_escaped(buffer, (unsigned char)*c);
    return buffer_char(buffer, '"');
}

enum nabla_code buffer_status(const struct buffer *buffer, const char *what, struct nabla_error *err)
{
    if (buffer->failed == NABLA_NO_MEMORY)
        return nabla_fail_memory(err, what);
    if (buffer->failed)
        return nabla_fail(err, NABLA_LIMIT, NULL, "%s does not fit into its limit of %zu bytes", what,
                          buffer->limit);
    return NABLA_OK;
}

char *buffer_steal(struct buffer *buffer, size_t *ret_size)
{
    if (buffer->failed || !buffer->data)
        return NULL;
    char *data = buffer->data;
    if (ret_size)
        *ret_size = buffer->size;
    *buffer = buffer_new(buffer->limit);
    return data;
}
