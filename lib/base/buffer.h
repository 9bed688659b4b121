// A growing byte buffer with a largest size. Appending past it fails and changes nothing, so no input can
// make it grow without end. The first failure sticks (`failed`), so a writer may append many times and check
// once. Ownership: the buffer owns `data`; buffer_free releases it, buffer_steal hands it to the caller.
// Thread safety: one thread at a time.
#ifndef NABLA_BASE_BUFFER_H
#define NABLA_BASE_BUFFER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;             // NUL-terminated at data[size] whenever it is not NULL
    size_t size;            // bytes in use
    size_t capacity;        // bytes allocated, the terminator included
    size_t limit;           // the largest `size` allowed
    enum nabla_code failed; // NABLA_LIMIT or NABLA_NO_MEMORY once an append failed: the content is incomplete
};

// An empty buffer that may hold up to `limit` bytes. Allocates nothing.
struct buffer buffer_new(size_t limit);
void buffer_free(struct buffer *buffer);

// Room for `extra` more bytes. Returns where they start, or NULL (and sets `failed`). `size` is not changed:
// add what was written. The pointer lives until the next call on the buffer.
char *buffer_reserve(struct buffer *buffer, size_t extra);

bool buffer_append(struct buffer *buffer, const void *bytes, size_t count);
bool buffer_text(struct buffer *buffer, const char *text);
bool buffer_char(struct buffer *buffer, char c);
bool buffer_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The text as a JSON string literal, quotes included: control characters, quotes and backslashes are escaped.
bool buffer_json_string(struct buffer *buffer, const char *text);

// NABLA_OK, or the error for a buffer that `failed`: NABLA_LIMIT when it met its limit, else NABLA_NO_MEMORY.
enum nabla_code buffer_status(const struct buffer *buffer, const char *what, struct nabla_error *err);

// The bytes, now the caller's to free(); the buffer is empty afterwards. NULL when it failed or is empty.
char *buffer_steal(struct buffer *buffer, size_t *ret_size);

#endif
