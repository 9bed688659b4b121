// Numbers as JSON spells them (RFC 8259, section 6). Thread safety: pure functions.
#ifndef NABLA_BASE_JSON_NUMBER_H
#define NABLA_BASE_JSON_NUMBER_H

#include <stdbool.h>

// The end of the number at the start of [at, end), or NULL with *ret_wrong at the character that cannot stand
// there.
const char *json_number_end(const char *at, const char *end, const char **ret_wrong);

// The same, and its value, correctly rounded. A magnitude beyond a double's becomes an infinity with
// *ret_overflow set. NULL leaves everything but *ret_wrong alone.
const char *json_number_read(const char *at, const char *end, double *ret, bool *ret_overflow,
                             const char **ret_wrong);

#endif
