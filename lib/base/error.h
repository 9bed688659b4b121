// The one error type: a code that callers branch on, and a text made where the cause is known.
//
// Every function that can fail returns an `enum nabla_code` (NABLA_OK is 0) and takes a `struct nabla_error
// *` as its last argument, which it fills on failure and leaves alone on success. The library never logs and
// never exits. Thread safety: an error belongs to its caller; nothing is shared.
#ifndef NABLA_BASE_ERROR_H
#define NABLA_BASE_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NABLA_API __attribute__((visibility("default")))
#else
#define NABLA_API
#endif

// code, name, meaning. The HTTP status of each stands in one table of the api layer.
#define NABLA_CODES(X)                                                                                       \
    X(NABLA_OK, "ok", "success")                                                                             \
    X(NABLA_MALFORMED, "malformed", "the input cannot be read")                                              \
    X(NABLA_INVALID, "invalid", "the input can be read, but a value in it is wrong")                         \
    X(NABLA_LIMIT, "limit", "a configured limit would be exceeded")                                          \
    X(NABLA_NOT_FOUND, "not_found", "there is no such thing")                                                \
    X(NABLA_CONFLICT, "conflict", "the state does not allow it")                                             \
    X(NABLA_DENIED, "denied", "the caller may not do this")                                                  \
    X(NABLA_BUSY, "busy", "try again later")                                                                 \
    X(NABLA_NO_MEMORY, "no_memory", "memory could not be had")                                               \
    X(NABLA_DISK_FULL, "disk_full", "the disk is full")                                                      \
    X(NABLA_IO, "io", "reading or writing a file failed")                                                    \
    X(NABLA_CANCELLED, "cancelled", "the caller asked to stop")                                              \
    X(NABLA_DIVERGED, "diverged", "training met a loss that is no finite number")                            \
    X(NABLA_INTERNAL, "internal", "a defect in Nabla")

enum nabla_code {
#define NABLA_CODE_ENUM(code, name, meaning) code,
    NABLA_CODES(NABLA_CODE_ENUM)
#undef NABLA_CODE_ENUM
        NABLA_CODE_COUNT
};

struct nabla_error {
    enum nabla_code code;
    char pointer[160]; // the offending place as a JSON pointer ("/labels/3"), or "" where there is none
    char text[512];    // a full sentence for a human, without a trailing newline
};

// The snake_case name of a code ("not_found"); "unknown" for a number that is no code.
NABLA_API const char *nabla_code_name(enum nabla_code code);

// Fills *err (unless NULL) and returns `code`, so that `return nabla_fail(...)` reads as one line.
// `pointer` may be NULL for "no place". Texts that are too long are cut at a UTF-8 boundary, never
// overflowed.
NABLA_API enum nabla_code nabla_fail(struct nabla_error *err, enum nabla_code code, const char *pointer,
                                     const char *format, ...) __attribute__((format(printf, 4, 5)));

// nabla_fail for a failed allocation: NABLA_NO_MEMORY, "cannot allocate <what>".
NABLA_API enum nabla_code nabla_fail_memory(struct nabla_error *err, const char *what);

// nabla_fail for a failed system call: reads errno (ENOSPC and EDQUOT become NABLA_DISK_FULL, ENOMEM
// NABLA_NO_MEMORY, anything else NABLA_IO); "cannot <action> <path>: <reason>".
NABLA_API enum nabla_code nabla_fail_errno(struct nabla_error *err, const char *action, const char *path);

#ifdef __cplusplus
}
#endif

#endif
