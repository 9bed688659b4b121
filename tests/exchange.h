// One request to the api and its answer, without sockets. For tests of routes and handlers.
#ifndef NABLA_TESTS_EXCHANGE_H
#define NABLA_TESTS_EXCHANGE_H

#include "tests/exchange_log.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

struct exchange {
    const char *method, *target;
    struct api_header headers[6]; // up to the first without a name
    const char *body;             // NULL for none
    size_t size;                  // of the body; 0: its length as text
};

static inline const char *answer_value(const struct api_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcasecmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return "";
}

static inline const char *exchange_header(const struct exchange *exchange, const char *name)
{
    for (size_t i = 0; i < 6 && exchange->headers[i].name; i++)
        if (strcasecmp(exchange->headers[i].name, name) == 0)
            return exchange->headers[i].value;
    return NULL;
}

// Fills *ret, which the caller frees with api_answer_free.
static inline void exchange_run(struct api *api, const struct exchange *exchange, struct api_answer *ret)
{
    struct api_request request = {
        .method = exchange->method, .target = exchange->target, .headers = exchange->headers};
    struct api_call *call;
    size_t size = exchange->size ? exchange->size : exchange->body ? strlen(exchange->body) : 0;
    while (request.header_count < 6 && exchange->headers[request.header_count].name)
        request.header_count++;
    api_open(api, &request, &call, ret);
    if (call && (size == 0 || api_body(call, exchange->body, size, ret)))
        api_handle(call, ret);
    api_close(call);
    exchange_log(exchange->method, exchange->target, exchange_header(exchange, "Content-Type"),
                 exchange->body, size, ret);
}

// The pointers of a problem's errors, in order, with a blank between: "/labels/0 /dtype".
static inline void answer_pointers(const struct api_answer *answer, char *ret, size_t size)
{
    json_t *root = json_loadb(answer->body.data ? answer->body.data : "", answer->body.size, 0, NULL);
    json_t *errors = json_object_get(root, "errors");
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < json_array_size(errors) && length < size; i++) {
        const char *pointer = json_string_value(json_object_get(json_array_get(errors, i), "pointer"));
        length +=
            (size_t)snprintf(ret + length, size - length, "%s%s", i ? " " : "", pointer ? pointer : "?");
    }
    json_decref(root);
}

#endif
