#include "server/log.h"

#include "api/text.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024, LINE_SIZE = 8192 };

const char *const log_level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};
const char *const log_format_names[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
_Static_assert(sizeof log_level_names / sizeof *log_level_names == LOG_LEVEL_COUNT + 1, "a name each");
_Static_assert(sizeof log_format_names / sizeof *log_format_names == LOG_FORMAT_COUNT + 1, "a name each");

struct message {
    char text[MESSAGE_SIZE];
    const struct log_field *fields;
    size_t count;
};

// Control characters, those above ASCII among them (U+0080 to U+009F).
static bool is_control(const char *text, size_t length)
{
    const unsigned char *c = (const unsigned char *)text;
    return *c < ' ' || *c == 0x7f || (length == 2 && c[0] == 0xc2 && c[1] < 0xa0);
}

// What a message quotes may come from anybody: one message stays one line, and tells no terminal what to do.
static void clean(struct buffer *line)
{
    const char *end = line->data ? line->data + line->size : NULL;
    for (char *at = line->data; at < end;) {
        size_t length = utf8_length(at, end);
        if (length == 0 || is_control(at, length))
            memset(at, length ? ' ' : '?', length ? length : 1);
        at += length ? length : 1;
    }
}

static void compose_text(struct buffer *line, const struct message *message)
{
    buffer_text(line, message->text);
    for (size_t i = 0; i < message->count; i++)
        if (message->fields[i].text[0])
            buffer_format(line, " %s=%s", message->fields[i].name, message->fields[i].text);
    clean(line);
}

static void compose_json(struct buffer *line, const struct message *message)
{
    text_write_json(line, message->text);
    for (size_t i = 0; i < message->count; i++) {
        if (!message->fields[i].text[0])
            continue;
        buffer_format(line, ",\"%s\":", message->fields[i].name);
        text_write_json(line, message->fields[i].text);
    }
}

static void write_message(const struct log *log, enum log_level level, const struct message *message)
{
    char time[CLOCK_TEXT_SIZE];
    struct buffer line = buffer_new(LINE_SIZE);
    clock_format(time, clock_wall_ms());
    if (log->format == LOG_TEXT) {
        buffer_format(&line, "%s %s: ", time, log_level_names[level]);
        compose_text(&line, message);
        buffer_char(&line, '\n');
    } else {
        buffer_format(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time, log_level_names[level]);
        compose_json(&line, message);
        buffer_text(&line, "}\n");
    }
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0) {
        // Nowhere is left to say it.
    }
    buffer_free(&line);
}

void log_fields(const struct log *log, enum log_level level, const struct log_field *fields, size_t count,
                const char *format, ...)
{
    if (level > log->level)
        return;
    struct message message = {.fields = fields, .count = count};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof message.text, format, arguments);
    text_trim(message.text, sizeof message.text);
    va_end(arguments);
    write_message(log, level, &message);
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (level > log->level)
        return;
    struct message message = {.count = 0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof message.text, format, arguments);
    text_trim(message.text, sizeof message.text);
    va_end(arguments);
    write_message(log, level, &message);
}
