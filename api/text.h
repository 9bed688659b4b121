// UTF-8 (RFC 3629): what comes from outside is checked before it is echoed in JSON.
#ifndef NABLA_API_TEXT_H
#define NABLA_API_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

// Bytes of the character at `text`, or 0 where the bytes are none (overlong, surrogate, cut off, too large).
size_t character_length(const char *text);
bool text_is_utf8(const char *text);

// The text as a JSON string; what is not UTF-8 becomes U+FFFD.
void text_write_json(struct buffer *buffer, const char *text);

// Cuts a text that filled its `size` bytes where a character would be torn.
void text_trim(char *text, size_t size);

#endif
