#include "api/text.h"

#include "base/utf8.h"

#include <string.h>

bool text_is_utf8(const char *text)
{
    return utf8_valid(text, strlen(text));
}

void text_write_json(struct buffer *buffer, const char *text)
{
    const char *end = text + strlen(text);
    if (text_is_utf8(text)) {
        buffer_json_string(buffer, text);
        return;
    }
    struct buffer clean = buffer_new(buffer->limit);
    while (text < end) {
        size_t length = utf8_length(text, end);
        buffer_append(&clean, length ? text : "\xEF\xBF\xBD", length ? length : 3);
        text += length ? length : 1;
    }
    buffer_json_string(buffer, clean.data ? clean.data : "");
    buffer_free(&clean);
}

void text_trim(char *text, size_t size)
{
    size_t length = strlen(text), back = 1;
    if (length + 1 < size)
        return;
    while (back < 4 && back < length && ((unsigned char)text[length - back] & 0xC0) == 0x80)
        back++;
    if (length > 0 && utf8_length(text + length - back, text + length) != back)
        text[length - back] = '\0';
}
