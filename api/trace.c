#include "api/trace.h"

#include <stdbool.h>
#include <string.h>

// Lengths of the parts behind the version.
enum { TRACE_ID = 32, PARENT_ID = 16, FLAGS = 2, LENGTH = 3 + TRACE_ID + 1 + PARENT_ID + 1 + FLAGS };

// `size` hexadecimal digits, not all of them 0 where that means "none".
static bool is_hex(const char *text, size_t size, bool may_be_zero)
{
    bool is_zero = true;
    for (size_t i = 0; i < size; i++) {
        if (!strchr("0123456789abcdef", text[i]))
            return false;
        is_zero = is_zero && text[i] == '0';
    }
    return may_be_zero || !is_zero;
}

void trace_parse(const char *given, char ret[TRACEPARENT_SIZE])
{
    _Static_assert((int)LENGTH < (int)TRACEPARENT_SIZE, "room for a traceparent");
    ret[0] = '\0';
    if (!given || strlen(given) != LENGTH || strncmp(given, "00-", 3) != 0)
        return;
    const char *parent = given + 3 + TRACE_ID + 1, *flags = parent + PARENT_ID + 1;
    if (is_hex(given + 3, TRACE_ID, false) && parent[-1] == '-' && is_hex(parent, PARENT_ID, false) &&
        flags[-1] == '-' && is_hex(flags, FLAGS, true))
        memcpy(ret, given, LENGTH + 1);
}
