// Strings as JSON spells them (RFC 8259, section 7). Thread safety: pure functions.
#ifndef NABLA_BASE_JSON_STRING_H
#define NABLA_BASE_JSON_STRING_H

#include "base/buffer.h"

struct json_fault {
    const char *at;   // the character that cannot stand there, or the end of the text
    const char *what; // static
};

// Appends the string whose opening quote stands at `at` < `end`: escapes resolved, UTF-8 checked. Returns the
// place behind the closing quote; NULL for a fault, and also when `text` has failed, which is to be asked
// first.
const char *json_string_read(const char *at, const char *end, struct buffer *text,
                             struct json_fault *ret_fault);

#endif
