#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
#define CODE_NAME(code, name, meaning) [code] = (name),
    NABLA_CODES(CODE_NAME)
#undef CODE_NAME
};
_Static_assert(sizeof code_names / sizeof *code_names == NABLA_CODE_COUNT, "every code has a name");

const char *nabla_code_name(enum nabla_code code)
{
    return (unsigned)code < NABLA_CODE_COUNT ? code_names[code] : "unknown";
}

// A cut at a full buffer may leave the head of a multi-byte character: step back to its start.
static void cut_at_character(char *text, size_t size, int wanted)
{
    if (wanted < 0 || (size_t)wanted < size)
        return;
    size_t end = size - 1;
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0)
        end--;
    else
        end = size - 1;
    text[end] = '\0';
}

enum nabla_code nabla_fail(struct nabla_error *err, enum nabla_code code, const char *pointer,
                           const char *format, ...)
{
    if (!err)
        return code;
    err->code = code;
    int wanted = snprintf(err->pointer, sizeof err->pointer, "%s", pointer ? pointer : "");
    cut_at_character(err->pointer, sizeof err->pointer, wanted);
    va_list args;
    va_start(args, format);
    wanted = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    cut_at_character(err->text, sizeof err->text, wanted);
    return code;
}

enum nabla_code nabla_fail_memory(struct nabla_error *err, const char *what)
{
    return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot allocate %s", what);
}

static enum nabla_code code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return NABLA_DISK_FULL;
    case ENOMEM:
        return NABLA_NO_MEMORY;
    default:
        return NABLA_IO;
    }
}

enum nabla_code nabla_fail_errno(struct nabla_error *err, const char *action, const char *path)
{
    int number = errno;
    char room[128];
    const char *reason = strerror_r(number, room, sizeof room); // GNU's: the text need not lie in `room`
    return nabla_fail(err, code_of_errno(number), NULL, "cannot %s %s: %s", action, path, reason);
}
