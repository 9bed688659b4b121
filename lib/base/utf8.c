#include "base/utf8.h"

#include <string.h>

// The forms of RFC 3629, section 4: the range of the first byte, that of the second, and the length. All
// further bytes are 80..BF.
static const struct {
    unsigned char first_low, first_high, second_low, second_high;
    size_t length;
} forms[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

static bool is_continued(const unsigned char *bytes, size_t length)
{
    for (size_t i = 2; i < length; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xBF)
            return false;
    return true;
}

size_t utf8_length(const char *text, const char *end)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t room = (size_t)(end - text);
    if (room == 0)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (bytes[0] >= forms[i].first_low && bytes[0] <= forms[i].first_high)
            return room >= forms[i].length && bytes[1] >= forms[i].second_low &&
                           bytes[1] <= forms[i].second_high && is_continued(bytes, forms[i].length)
                       ? forms[i].length
                       : 0;
    return 0;
}

bool utf8_valid(const char *text, size_t size)
{
    const char *end = text + size;
    while (text < end) {
        size_t length = utf8_length(text, end);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

size_t utf8_encode(char ret[4], uint32_t code_point)
{
    static const unsigned char heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t length = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code_point >>= 6)
        ret[i] = (char)(0x80 | (code_point & 0x3F));
    ret[0] = (char)(heads[length] | code_point);
    return length;
}

char *utf8_excerpt(char ret[UTF8_EXCERPT_SIZE], const char *text, size_t size)
{
    static const char cut[] = "…";
    const char *end = text + size;
    size_t used = 0;
    while (text < end && used < UTF8_EXCERPT_SIZE - sizeof cut - 3) {
        size_t length = utf8_length(text, end);
        bool shown = length > 1 || (length == 1 && (unsigned char)*text >= 0x20 && *text != 0x7f);
        size_t step = length ? length : 1;
        if (shown)
            memcpy(ret + used, text, step);
        else
            ret[used] = '?';
        used += shown ? step : 1;
        text += step;
    }
    memcpy(ret + used, cut, sizeof cut);
    if (text == end)
        ret[used] = '\0';
    return ret;
}
