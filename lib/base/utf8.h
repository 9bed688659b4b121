// UTF-8 (RFC 3629): overlong forms, surrogates and what lies beyond U+10FFFF are not characters.
// Thread safety: pure functions.
#ifndef NABLA_BASE_UTF8_H
#define NABLA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes of the character at the start of [text, end), 1 to 4; 0 where there is none or it is not UTF-8.
size_t utf8_length(const char *text, const char *end);

// Whether [text, text+size) is UTF-8 throughout.
bool utf8_valid(const char *text, size_t size);

// Writes a code point that is no surrogate and at most 0x10FFFF; returns its bytes, 1 to 4.
size_t utf8_encode(char ret[4], uint32_t code_point);

enum { UTF8_EXCERPT_SIZE = 64 };

// Foreign bytes as an error text can show them: control characters and what is not UTF-8 become '?', and "…"
// stands for what has no room. Returns `ret`.
char *utf8_excerpt(char ret[UTF8_EXCERPT_SIZE], const char *text, size_t size);

#endif
