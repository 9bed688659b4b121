// The server's log: one line a message on standard error, as text or as a JSON object.
// Thread safety: any thread; a line is written by one write, so lines never mix.
#ifndef NABLA_SERVER_LOG_H
#define NABLA_SERVER_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };
enum log_format { LOG_TEXT, LOG_JSON, LOG_FORMAT_COUNT };

extern const char *const log_level_names[];  // NULL-terminated
extern const char *const log_format_names[]; // NULL-terminated

struct log {
    enum log_level level; // less important messages are left out
    enum log_format format;
};

// What a message is about, for programs that read the log: "key=value" behind the text, or members of the
// JSON object. Fields whose text is "" are left out. Names are plain words.
struct log_field {
    const char *name, *text;
};
void log_fields(const struct log *log, enum log_level level, const struct log_field *fields, size_t count,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
