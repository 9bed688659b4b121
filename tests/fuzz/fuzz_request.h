// Mutation of requests in their written form (fuzz_service.h) by structure, for fuzz targets: the route, one
// of the query parameters that it knows, a header, or the body as the JSON document that it is.
#ifndef NABLA_TESTS_FUZZ_REQUEST_H
#define NABLA_TESTS_FUZZ_REQUEST_H

#include "api/router.h"
#include "tests/fuzz/fuzz_document.h"

enum { REQUEST_TEXT = 1 << 12 };

struct request_parts {
    const struct document_parts *document;
    const char *const *ids, *const *values, *const *headers; // of paths, of query parameters; with their LF
    size_t ids_count, values_count, headers_count;
};

// Writes `text` in the place of bytes[at], … bytes[at + old - 1]; the new size, 0 where it has no room.
static size_t request_splice(uint8_t *bytes, size_t size, size_t most, size_t at, size_t old,
                             const char *text)
{
    size_t length = strlen(text);
    if (size - old + length > most)
        return 0;
    memmove(bytes + at + length, bytes + at + old, size - at - old);
    memcpy(bytes + at, text, length);
    return size - old + length;
}

static const struct route *request_route(uint64_t *state)
{
    return &api_routes[document_draw(state, api_route_count)];
}

// Another route in the place of the request line's method and path.
static size_t request_change_route(const struct request_parts *parts, uint8_t *bytes, size_t size,
                                   size_t most, uint64_t *state)
{
    const struct route *route = request_route(state);
    const char *id = document_word(parts->ids, parts->ids_count, state), *at = strchr(route->pattern, '{');
    char text[REQUEST_TEXT];
    size_t old = 0;
    bool is_path = false;
    for (; old < size && bytes[old] != '\n' && bytes[old] != '?' && (bytes[old] != ' ' || !is_path); old++)
        is_path = is_path || bytes[old] == ' ';
    if (at)
        snprintf(text, sizeof text, "%s %.*s%s%s", route->method, (int)(at - route->pattern), route->pattern,
                 id, at + strcspn(at, "}") + 1);
    else
        snprintf(text, sizeof text, "%s %s", route->method, route->pattern);
    return request_splice(bytes, size, most, 0, old, text);
}

// One more parameter at the end of the request line.
static size_t request_add_parameter(const struct request_parts *parts, uint8_t *bytes, size_t size,
                                    size_t most, uint64_t *state)
{
    const struct route *route = request_route(state);
    const uint8_t *end = memchr(bytes, '\n', size);
    size_t length = end ? (size_t)(end - bytes) : size, count = 0;
    char text[REQUEST_TEXT];
    while (route->query && route->query[count])
        count++;
    if (count == 0)
        return 0;
    snprintf(text, sizeof text, "%c%s=%s", memchr(bytes, '?', length) ? '&' : '?',
             document_word(route->query, count, state),
             document_word(parts->values, parts->values_count, state));
    return request_splice(bytes, size, most, length, 0, text);
}

static size_t request_add_header(const struct request_parts *parts, uint8_t *bytes, size_t size, size_t most,
                                 uint64_t *state)
{
    const uint8_t *end = memchr(bytes, '\n', size);
    return end ? request_splice(bytes, size, most, (size_t)(end - bytes) + 1, 0,
                                document_word(parts->headers, parts->headers_count, state))
               : 0;
}

// Where the body begins; `size` where there is none.
static size_t request_head(const uint8_t *bytes, size_t size)
{
    const uint8_t *gap = memmem(bytes, size, "\n\n", 2);
    return gap ? (size_t)(gap - bytes) + 2 : size;
}

// 0 where the body is no document.
static size_t request_change_body(const struct request_parts *parts, uint8_t *bytes, size_t size, size_t most,
                                  unsigned seed)
{
    size_t head = request_head(bytes, size);
    size_t body = document_change(parts->document, bytes + head, size - head, most - head, seed);
    return body ? head + body : 0;
}

// The new size; 0 where nothing came of it.
static size_t request_mutate(const struct request_parts *parts, uint8_t *bytes, size_t size, size_t most,
                             unsigned seed)
{
    uint64_t state = seed;
    switch (document_draw(&state, 8)) {
    case 0:
        return request_change_route(parts, bytes, size, most, &state);
    case 1:
        return request_add_parameter(parts, bytes, size, most, &state);
    case 2:
        return request_add_header(parts, bytes, size, most, &state);
    case 3:
    case 4:
    case 5:
        return request_change_body(parts, bytes, size, most, seed);
    default:
        return 0;
    }
}

// One's head, and its body with parts of the other's; 0 where one of them is no document.
static size_t request_cross(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size,
                            uint8_t *ret, size_t most, unsigned seed)
{
    size_t head = request_head(one, one_size), other_head = request_head(other, other_size);
    if (head > most)
        return 0;
    memcpy(ret, one, head);
    size_t body = document_cross(one + head, one_size - head, other + other_head, other_size - other_head,
                                 ret + head, most - head, seed);
    return body ? head + body : 0;
}

#endif
