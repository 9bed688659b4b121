// RFC 9112 (message syntax), section 6.3 and 11.2 (request smuggling); RFC 9110, section 5.6.2 (tokens).
#include "server/http_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (const char *c = text; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (!letter && !strchr(marks, *c))
            return false;
    }
    return *text != '\0';
}

static bool is_digits(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static bool has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c < ' ' && *c != '\t') || *c == 0x7f)
            return true;
    return false;
}

// Most names differ in their first letter.
static bool is_named(const struct api_header *header, const char *name)
{
    return ((header->name[0] ^ name[0]) & 0xdf) == 0 && strcasecmp(header->name, name) == 0;
}

static size_t header_times(const struct http_head *head, const char *name)
{
    size_t times = 0;
    for (size_t i = 0; i < head->header_count; i++)
        times += is_named(&head->headers[i], name);
    return times;
}

const char *http_guard_header(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if (is_named(&head->headers[i], name))
            return head->headers[i].value;
    return NULL;
}

static const char *check_target(const char *target)
{
    for (const unsigned char *c = (const unsigned char *)target; *c; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return "The request target holds a character that must be percent-encoded.";
    if (strstr(target, "%00"))
        return "The request target holds an encoded NUL.";
    return NULL;
}

static const char *check_headers(const struct http_head *head)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (!is_token(head->headers[i].name))
            return "A header name holds a character that is not allowed there.";
        if (has_control(head->headers[i].value))
            return "A header value holds a control character.";
    }
    static const char *const once[] = {"Content-Length", "Transfer-Encoding", "Content-Type",
                                       "Authorization",  "Idempotency-Key",   "Content-Encoding"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        if (header_times(head, once[i]) > 1)
            return "A header that may stand once stands more than once.";
    return NULL;
}

static const char *check_framing(const struct http_head *head)
{
    const char *length = http_guard_header(head, "Content-Length");
    const char *encoding = http_guard_header(head, "Transfer-Encoding");
    bool is_old = strcmp(head->version, "HTTP/1.1") != 0;
    size_t hosts = header_times(head, "Host");
    if (hosts > 1 || (hosts == 0 && !is_old))
        return "There must be exactly one Host header.";
    if (length && encoding)
        return "Content-Length and Transfer-Encoding exclude each other.";
    if (length && !is_digits(length))
        return "Content-Length must be a whole number.";
    if (encoding && (is_old || strcasecmp(encoding, "chunked") != 0))
        return "The only Transfer-Encoding is chunked, in HTTP/1.1.";
    return NULL;
}

const char *http_guard_check(const struct http_head *head)
{
    if (strncmp(head->version, "HTTP/1.", 7) != 0)
        return "The protocol must be HTTP/1.1.";
    if (!is_token(head->method))
        return "The method is not a token.";
    const char *wrong = check_target(head->target);
    if (!wrong)
        wrong = check_headers(head);
    if (!wrong)
        wrong = check_framing(head);
    return wrong;
}

static bool is_same(const char *text, size_t length, const char *name, size_t name_length)
{
    return length == name_length && strncasecmp(text, name, length) == 0;
}

// Without the dot at the end that a whole name may have (RFC 1034, section 3.1).
static size_t name_size(const char *name, size_t length)
{
    return length > 1 && name[length - 1] == '.' ? length - 1 : length;
}

static bool is_listed(const char *host, size_t length, const char *names)
{
    for (const char *at = names + strspn(names, ", "); *at; at += strspn(at, ", ")) {
        size_t name_length = strcspn(at, ", ");
        if (is_same(host, length, at, name_size(at, name_length)))
            return true;
        at += name_length;
    }
    return false;
}

bool http_guard_host(const char *host, const char *names)
{
    static const char below[] = ".localhost";
    const size_t suffix = sizeof below - 1;
    if (!host || host[0] == '[') // IPv6
        return true;
    size_t length = name_size(host, strcspn(host, ":"));
    if (!memchr(host, '.', length) || strspn(host, "0123456789.") >= length)
        return true;
    if (length > suffix && is_same(host + length - suffix, suffix, below, suffix))
        return true;
    return is_listed(host, length, names);
}

static bool is_whole(const struct api_header *header)
{
    const char *value = header->name + strlen(header->name) + 1;
    value += strspn(value, " \t");
    return value == header->value;
}

const char *http_guard_layout(const struct api_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_whole(&headers[i]))
            return "A header is folded.";
        const char *end = headers[i].value + strlen(headers[i].value);
        bool is_last = i + 1 == count;
        if (end[1] || (is_last ? end[2] || end[3] : headers[i + 1].name != end + 2))
            return "A header holds a NUL, is folded, or does not end in CR LF.";
    }
    return NULL;
}

const char *http_guard_line(const char *method, const char *target, size_t length, const char *version)
{
    const char *blanks = method + strlen(method) + 1;
    if (blanks + strspn(blanks, " ") != target || target + length + 1 != version)
        return "The request line holds a NUL.";
    return NULL;
}

struct http_body http_guard_body(const struct http_head *head)
{
    const char *length = http_guard_header(head, "Content-Length");
    struct http_body body = {.is_chunked = http_guard_header(head, "Transfer-Encoding") != NULL};
    if (length) {
        errno = 0;
        body.length = strtoull(length, NULL, 10);
        if (errno)
            body.length = UINT64_MAX;
    }
    body.is_present = body.is_chunked || body.length > 0;
    return body;
}

const char *http_guard_path(const char *target)
{
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    const char *path = target + 7 + strcspn(target + 7, "/?");
    return *path == '/' ? path : "/";
}
