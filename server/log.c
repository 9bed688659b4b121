#include "server/log.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024, LINE_SIZE = 8192 };

const char *const log_level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};
const char *const log_format_names[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
_Static_assert(sizeof log_level_names / sizeof *log_level_names == LOG_LEVEL_COUNT + 1, "a name each");
_Static_assert(sizeof log_format_names / sizeof *log_format_names == LOG_FORMAT_COUNT + 1, "a name each");

static void compose(struct buffer *line, enum log_format format, enum log_level level, const char *message)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(time, clock_wall_ms());
    if (format == LOG_TEXT) {
        buffer_format(line, "%s %s: %s\n", time, log_level_names[level], message);
        return;
    }
    buffer_format(line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time, log_level_names[level]);
    buffer_json_string(line, message);
    buffer_text(line, "}\n");
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (level > log->level)
        return;
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    // A message may quote a request: one message stays one line.
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    struct buffer line = buffer_new(LINE_SIZE);
    compose(&line, log->format, level, message);
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0) {
        // Nowhere is left to say it.
    }
    buffer_free(&line);
}
