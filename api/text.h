// Text that comes from outside is checked to be UTF-8 before it is echoed in JSON.
#ifndef NABLA_API_TEXT_H
#define NABLA_API_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

bool text_is_utf8(const char *text);

// The text as a JSON string; what is not UTF-8 becomes U+FFFD.
void text_write_json(struct buffer *buffer, const char *text);

// Cuts a text that filled its `size` bytes where a character would be torn.
void text_trim(char *text, size_t size);

#endif
