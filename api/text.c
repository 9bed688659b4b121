#include "api/text.h"

#include <string.h>

// Lead bytes by range: how many bytes follow, and the range of the first of them (Unicode, table 3-7).
static const struct {
    unsigned char first, last;
    unsigned char following;
    unsigned char least, most;
} leads[] = {
    {0x00, 0x7F, 0, 0x80, 0xBF}, {0xC2, 0xDF, 1, 0x80, 0xBF}, {0xE0, 0xE0, 2, 0xA0, 0xBF},
    {0xE1, 0xEC, 2, 0x80, 0xBF}, {0xED, 0xED, 2, 0x80, 0x9F}, {0xEE, 0xEF, 2, 0x80, 0xBF},
    {0xF0, 0xF0, 3, 0x90, 0xBF}, {0xF1, 0xF3, 3, 0x80, 0xBF}, {0xF4, 0xF4, 3, 0x80, 0x8F},
};

size_t character_length(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        if (bytes[0] < leads[i].first || bytes[0] > leads[i].last)
            continue;
        size_t following = leads[i].following;
        if (following > 0 && (bytes[1] < leads[i].least || bytes[1] > leads[i].most))
            return 0;
        for (size_t k = 2; k <= following; k++)
            if (bytes[k] < 0x80 || bytes[k] > 0xBF)
                return 0;
        return following + 1;
    }
    return 0;
}

bool text_is_utf8(const char *text)
{
    while (*text) {
        size_t length = character_length(text);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

void text_write_json(struct buffer *buffer, const char *text)
{
    if (text_is_utf8(text)) {
        buffer_json_string(buffer, text);
        return;
    }
    struct buffer clean = buffer_new(buffer->limit);
    while (*text) {
        size_t length = character_length(text);
        buffer_append(&clean, length ? text : "\xEF\xBF\xBD", length ? length : 3);
        text += length ? length : 1;
    }
    buffer_json_string(buffer, clean.data ? clean.data : "");
    buffer_free(&clean);
}

void text_trim(char *text, size_t size)
{
    size_t length = strlen(text);
    if (length + 1 < size)
        return;
    size_t back = 1;
    while (back < 4 && back < length && ((unsigned char)text[length - back] & 0xC0) == 0x80)
        back++;
    if (length > 0 && character_length(text + length - back) != back)
        text[length - back] = '\0';
}
