#include "api/media.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    enum route_media media;
    const char *name;
} names[] = {
    {MEDIA_JSON, "application/json"},
    {MEDIA_CSV, "text/csv"},
    {MEDIA_SAFETENSORS, "application/safetensors"},
    {MEDIA_EVENT_STREAM, "text/event-stream"},
    {MEDIA_BYTES, "application/octet-stream"},
    {MEDIA_TEXT, "text/plain"},
    {MEDIA_NPY, "application/x-npy"}, // unregistered, but what others call it
    {MEDIA_HTML, "text/html"},
    {MEDIA_CSS, "text/css"},
    {MEDIA_SCRIPT, "text/javascript"},
    {MEDIA_ZIP, "application/zip"},
    {MEDIA_NPZ, "application/x-npz"},
};
enum { NAME_COUNT = sizeof names / sizeof *names };

const char *media_name(enum route_media media)
{
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (names[i].media == media)
            return names[i].name;
    return "application/octet-stream";
}

void media_list(char ret[MEDIA_LIST_SIZE], unsigned media)
{
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < NAME_COUNT; i++)
        if ((media & names[i].media) && length < MEDIA_LIST_SIZE)
            length += (size_t)snprintf(ret + length, MEDIA_LIST_SIZE - length, "%s%s", length ? ", " : "",
                                       names[i].name);
}

// A part of a header value.
struct span {
    const char *at;
    size_t size;
};

static struct span span_trim(const char *begin, const char *end)
{
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (begin < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct span){begin, (size_t)(end - begin)};
}

static bool span_is(struct span span, const char *text)
{
    return span.size == strlen(text) && strncasecmp(span.at, text, span.size) == 0;
}

// Takes the next part up to `separator`, trimmed; false when there is none left.
static bool span_next(const char **at, char separator, struct span *ret)
{
    if (!*at)
        return false;
    const char *begin = *at, *end = strchr(begin, separator);
    *at = end ? end + 1 : NULL;
    *ret = span_trim(begin, end ? end : begin + strlen(begin));
    return true;
}

static bool charset_is_foreign(struct span parameter)
{
    if (parameter.size < 8 || strncasecmp(parameter.at, "charset=", 8) != 0)
        return false;
    struct span value = {parameter.at + 8, parameter.size - 8};
    return !span_is(value, "utf-8") && !span_is(value, "\"utf-8\"");
}

enum route_media media_parse(const char *content_type)
{
    struct span type, parameter;
    if (!span_next(&content_type, ';', &type))
        return MEDIA_NONE;
    while (span_next(&content_type, ';', &parameter))
        if (charset_is_foreign(parameter))
            return MEDIA_NONE;
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (span_is(type, names[i].name))
            return names[i].media;
    return MEDIA_NONE;
}

// A weight in thousandths: "0.85" is 850. Whatever is no weight counts as 0.
static unsigned parse_quality(struct span value)
{
    unsigned quality = 0, scale = 1000;
    if (value.size == 0 || value.size > 5 || (value.at[0] != '0' && value.at[0] != '1') ||
        (value.size > 1 && value.at[1] != '.'))
        return 0;
    quality = (unsigned)(value.at[0] - '0') * 1000;
    for (size_t i = 2; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 0;
        scale /= 10;
        quality += (unsigned)(value.at[i] - '0') * scale;
    }
    return quality > 1000 ? 0 : quality;
}

// How closely a range names a type: 3 exactly, 2 by "type/*", 1 by "*/*", 0 not at all.
static unsigned range_match(struct span range, const char *name)
{
    size_t major = (size_t)(strchr(name, '/') - name) + 1;
    if (span_is(range, name))
        return 3;
    if (range.size == major + 1 && range.at[major] == '*' && strncasecmp(range.at, name, major) == 0)
        return 2;
    return span_is(range, "*/*") ? 1 : 0;
}

struct preference {
    unsigned closeness, quality;
};

// The parts of "text/csv;q=0.5": what is named, and its weight.
static struct span entry_read(struct span entry, unsigned *ret_quality)
{
    const char *end = entry.at + entry.size, *semicolon = memchr(entry.at, ';', entry.size);
    struct span name = span_trim(entry.at, semicolon ? semicolon : end);
    *ret_quality = 1000;
    while (semicolon) {
        const char *begin = semicolon + 1;
        semicolon = memchr(begin, ';', (size_t)(end - begin));
        struct span parameter = span_trim(begin, semicolon ? semicolon : end);
        if (parameter.size > 2 && strncasecmp(parameter.at, "q=", 2) == 0)
            *ret_quality = parse_quality((struct span){parameter.at + 2, parameter.size - 2});
    }
    return name;
}

// The closest range decides a type's quality, whatever its place in the list.
static void accept_read(const char *accept, const char *name, struct preference *best)
{
    struct span entry;
    while (span_next(&accept, ',', &entry)) {
        unsigned quality;
        struct span range = entry_read(entry, &quality);
        unsigned closeness = range_match(range, name);
        if (closeness > best->closeness)
            *best = (struct preference){closeness, quality};
    }
}

enum route_media media_choose(const struct api_call *call, unsigned produces, enum route_media prefers)
{
    enum route_media chosen = MEDIA_NONE;
    unsigned chosen_quality = 0;
    bool any = call_header(call, "Accept") == NULL;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        struct preference best = {0, any ? 1000 : 0};
        if (!(produces & names[i].media))
            continue;
        for (size_t k = 0; k < call->header_count; k++)
            if (strcasecmp(call->headers[k].name, "Accept") == 0)
                accept_read(call->headers[k].value, names[i].name, &best);
        bool is_better = best.quality > chosen_quality;
        if (is_better ||
            (best.quality == chosen_quality && chosen_quality > 0 && names[i].media == prefers)) {
            chosen = names[i].media;
            chosen_quality = best.quality;
        }
    }
    return chosen;
}

// A coding that is named is closer than "*".
static void encoding_read(const char *accept, const char *name, struct preference *best)
{
    struct span entry;
    while (span_next(&accept, ',', &entry)) {
        unsigned quality;
        struct span coding = entry_read(entry, &quality);
        unsigned closeness = span_is(coding, name) ? 2 : span_is(coding, "*") ? 1 : 0;
        if (closeness > best->closeness)
            *best = (struct preference){closeness, quality};
    }
}

bool media_takes_gzip(const struct api_call *call)
{
    struct preference gzip = {0, 0}, identity = {0, 0};
    for (size_t i = 0; i < call->header_count; i++) {
        if (strcasecmp(call->headers[i].name, "Accept-Encoding") != 0)
            continue;
        encoding_read(call->headers[i].value, "gzip", &gzip);
        encoding_read(call->headers[i].value, "x-gzip", &gzip);
        encoding_read(call->headers[i].value, "identity", &identity);
    }
    return gzip.quality > 0 && gzip.quality >= identity.quality;
}
