#include "base/json_string.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Where the reading stands. A step returns false with `wrong` set, at the fault.
struct scan {
    const char *at, *end;
    struct buffer *text;
    const char *wrong;
};

static bool fail(struct scan *scan, const char *what)
{
    scan->wrong = what;
    return false;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four hexadecimal digits, or -1.
static int32_t read_hex4(struct scan *scan)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = scan->at < scan->end ? hex_value(*scan->at) : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
        scan->at++;
    }
    return value;
}

// Behind "\u": one code point, which may take a second escape.
static bool read_unicode(struct scan *scan)
{
    int32_t unit = read_hex4(scan);
    if (unit < 0)
        return fail(scan, "expected four hexadecimal digits");
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return fail(scan, "a low surrogate stands alone");
    uint32_t code_point = (uint32_t)unit;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (scan->end - scan->at < 2 || memcmp(scan->at, "\\u", 2) != 0)
            return fail(scan, "a high surrogate stands alone");
        scan->at += 2;
        int32_t low = read_hex4(scan);
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(scan, "a high surrogate needs a low one behind it");
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
    }
    char bytes[4];
    buffer_append(scan->text, bytes, utf8_encode(bytes, code_point));
    return true;
}

// At a backslash.
static bool read_escape(struct scan *scan)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    scan->at++;
    if (scan->at < scan->end && *scan->at == 'u') {
        scan->at++;
        return read_unicode(scan);
    }
    const char *found = scan->at < scan->end ? memchr(from, *scan->at, sizeof from - 1) : NULL;
    if (!found)
        return fail(scan, "there is no such escape");
    buffer_char(scan->text, to[found - from]);
    scan->at++;
    return true;
}

// The characters up to the next quote, backslash or fault are appended as they are.
static bool read_plain(struct scan *scan)
{
    const char *from = scan->at;
    while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\') {
        if ((unsigned char)*scan->at < 0x20)
            return fail(scan, "a control character in a string must be escaped");
        size_t length = utf8_length(scan->at, scan->end);
        if (length == 0)
            return fail(scan, "the text is not UTF-8");
        scan->at += length;
    }
    buffer_append(scan->text, from, (size_t)(scan->at - from));
    return true;
}

const char *json_string_read(const char *at, const char *end, struct buffer *text,
                             struct json_fault *ret_fault)
{
    struct scan scan = {.at = at + 1, .end = end, .text = text};
    bool sound = true;
    while (sound && !text->failed && scan.at < end && *scan.at != '"')
        sound = *scan.at == '\\' ? read_escape(&scan) : read_plain(&scan);
    if (sound && !text->failed && scan.at < end)
        return scan.at + 1;
    *ret_fault = (struct json_fault){scan.at, sound ? "the string is open" : scan.wrong};
    return NULL;
}
