#include "api/router.h"

#include "api/text.h"

#include <stdlib.h>
#include <string.h>

enum { SEGMENTS_MAX = 8, TARGET_MAX = 8192 };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Decodes in place. `plus_is_space`: in a query, as HTML forms write it. False for a bad escape, for bytes
// that are not UTF-8, for NUL, and in a path for an encoded slash: it would mean another path to whoever
// decodes again.
static bool percent_decode(char *text, bool in_query)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '%') {
            int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            from += 2;
            if (c == '\0' || (c == '/' && !in_query))
                return false;
        } else if (c == '+' && in_query) {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return text_is_utf8(text);
}

// The path and query of a target: its absolute form ("http://host/path") is for proxies, but servers must
// take it (RFC 9112, section 3.2.2).
static const char *target_path(const char *target)
{
    if (strncmp(target, "http://", 7) != 0 && strncmp(target, "https://", 8) != 0)
        return target;
    const char *path = strchr(strstr(target, "://") + 3, '/');
    return path ? path : "/";
}

static bool target_is_sound(const char *target)
{
    for (const char *c = target; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return target[0] == '/';
}

// Cuts the target's path at its slashes. -1: more segments than any route has; -2: one cannot be decoded.
static int split_path(char *path, char *segments[SEGMENTS_MAX])
{
    int count = 0;
    if (strcmp(path, "/") == 0)
        return 0;
    while (path) {
        char *segment = path + 1;
        if (count == SEGMENTS_MAX)
            return -1;
        path = strchr(segment, '/');
        if (path)
            *path = '\0';
        if (!percent_decode(segment, false))
            return -2;
        segments[count++] = segment;
    }
    return count;
}

static bool segment_matches(const char *pattern, size_t length, const char *segment)
{
    if (pattern[0] == '{')
        return segment[0] != '\0';
    return strlen(segment) == length && memcmp(pattern, segment, length) == 0;
}

static bool pattern_matches(const char *pattern, char *const segments[], int count)
{
    int i = 0;
    while (*pattern == '/' && pattern[1]) {
        size_t length = strcspn(++pattern, "/");
        if (i == count || !segment_matches(pattern, length, segments[i]))
            return false;
        pattern += length;
        i++;
    }
    return i == count;
}

static void take_params(struct api_call *call, char *const segments[])
{
    size_t param = 0;
    int i = 0;
    for (const char *at = call->route->pattern; *at == '/' && at[1]; i++) {
        if (*++at == '{' && param < ROUTE_PARAMS_MAX)
            call->params[param++] = segments[i];
        at += strcspn(at, "/");
    }
}

// 405 names the methods that the path has; a GET brings HEAD.
static void refuse_method(struct api_call *call, char *const segments[], int count, struct api_answer *ret)
{
    struct buffer allow = buffer_new(256);
    for (size_t i = 0; i < api_route_count; i++) {
        if (!pattern_matches(api_routes[i].pattern, segments, count))
            continue;
        buffer_text(&allow, allow.size ? ", " : "");
        buffer_text(&allow, api_routes[i].method);
        if (strcmp(api_routes[i].method, "GET") == 0)
            buffer_text(&allow, ", HEAD");
    }
    if (!allow.size) {
        answer_status(ret, call, 404, "there is nothing at %s; GET / lists what there is", call->path);
    } else {
        answer_status(ret, call, 405, "%s has the methods %s", call->path, allow.data);
        answer_header(ret, "Allow", "%s", allow.data);
    }
    buffer_free(&allow);
}

static bool copy_target(struct api_call *call, const char *target)
{
    target = target_path(target);
    call->target = strdup(target);
    call->path = strndup(target, strcspn(target, "?"));
    return call->target && call->path;
}

bool router_find(struct api_call *call, const char *method, const char *target, struct api_answer *ret)
{
    char *segments[SEGMENTS_MAX] = {0};
    if (strnlen(target, TARGET_MAX + 1) > TARGET_MAX) {
        answer_status(ret, call, 414, "the request's target is longer than %d bytes", TARGET_MAX);
        return false;
    }
    if (!target_is_sound(target_path(target))) {
        answer_status(ret, call, 400,
                      "the request's target must be a path of printable ASCII, percent-encoded");
        return false;
    }
    if (!copy_target(call, target)) {
        answer_status(ret, call, 503, "cannot allocate the request's target");
        return false;
    }
    char *question = strchr(call->target, '?');
    if (question)
        *question = '\0';
    call->query_text = question ? question + 1 : NULL;
    int count = split_path(call->target, segments);
    if (count == -2) {
        answer_status(ret, call, 400,
                      "the path holds an escape that is not allowed: %%00, %%2F, or no UTF-8");
        return false;
    }
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < api_route_count && count >= 0; i++) {
        if (strcmp(api_routes[i].method, method) != 0 ||
            !pattern_matches(api_routes[i].pattern, segments, count))
            continue;
        call->route = &api_routes[i];
        take_params(call, segments);
        return true;
    }
    refuse_method(call, segments, count, ret);
    return false;
}

static void refuse_parameter(struct api_call *call, const char *name, struct api_answer *ret)
{
    struct buffer known = buffer_new(1024);
    for (const char *const *at = call->route->query; at && *at; at++) {
        buffer_text(&known, known.size ? ", " : "");
        buffer_text(&known, *at);
    }
    if (known.size)
        answer_status(ret, call, 400, "there is no query parameter \"%s\" here; there are %s", name,
                      known.data);
    else
        answer_status(ret, call, 400, "there is no query parameter \"%s\" here, nor any other", name);
    buffer_free(&known);
}

static bool parameter_is_known(const struct api_call *call, const char *name)
{
    for (const char *const *at = call->route->query; at && *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static bool add_parameter(struct api_call *call, char *text, struct api_answer *ret)
{
    char *equals = strchr(text, '=');
    char *value = equals ? equals + 1 : text + strlen(text);
    if (equals)
        *equals = '\0';
    if (!percent_decode(text, true) || (equals && !percent_decode(value, true))) {
        answer_status(ret, call, 400, "the query holds a bad escape, %%00, or text that is not UTF-8");
        return false;
    }
    if (!parameter_is_known(call, text)) {
        refuse_parameter(call, text, ret);
        return false;
    }
    bool is_list = strcmp(text, "job") == 0; // several jobs to compare
    if ((call_query(call, text) && !is_list) || call->query_count == QUERY_MAX) {
        answer_status(ret, call, 400, "the query parameter \"%s\" is given twice", text);
        return false;
    }
    call->query[call->query_count++] = (struct query_parameter){text, value};
    return true;
}

bool router_query(struct api_call *call, struct api_answer *ret)
{
    char *rest = call->query_text;
    while (rest) {
        char *text = rest, *end = strchr(text, '&');
        rest = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        if (*text && !add_parameter(call, text, ret))
            return false;
    }
    return true;
}
