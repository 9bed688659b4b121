// Exchanges as a log for tests/contract.py, which holds them against the contract: one JSON object a line is
// added to the file $NABLA_EXCHANGE_LOG, where that is set.
#ifndef NABLA_TESTS_EXCHANGE_LOG_H
#define NABLA_TESTS_EXCHANGE_LOG_H

#include "api/api.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Text as JSON text; null for NULL and for what is not UTF-8.
static inline json_t *log_text(const char *text, size_t size)
{
    json_t *made = text ? json_stringn(text, size) : NULL;
    return made ? made : json_null();
}

static inline json_t *log_headers(const struct api_answer *answer)
{
    json_t *headers = json_object();
    for (size_t i = 0; i < answer->header_count; i++)
        json_object_set_new(headers, answer->headers[i].name, json_string(answer->headers[i].value));
    return headers;
}

static inline bool log_is_compressed(const struct api_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, "Content-Encoding") == 0)
            return true;
    return false;
}

// Compressed answers are left out: their tests hold them against the plain ones. `type` is the request's
// Content-Type or NULL. Bodies of files and streams are left out.
static inline void exchange_log(const char *method, const char *target, const char *type, const char *body,
                                size_t size, const struct api_answer *answer)
{
    const char *path = getenv("NABLA_EXCHANGE_LOG");
    FILE *out = path && answer->kind != API_WAIT && !log_is_compressed(answer) ? fopen(path, "a") : NULL;
    if (!out)
        return;
    json_t *line = json_object(), *headers = log_headers(answer);
    json_object_set_new(line, "method", json_string(method));
    json_object_set_new(line, "path", log_text(target, strlen(target)));
    json_object_set_new(line, "request_content_type", log_text(type, type ? strlen(type) : 0));
    json_object_set_new(line, "request_body", log_text(body, size));
    json_object_set_new(line, "status", json_integer(answer->status));
    json_object_set(line, "response_content_type", json_object_get(headers, "Content-Type"));
    json_object_set_new(line, "response_headers", headers);
    json_object_set_new(line, "response_body", log_text(answer->body.data, answer->body.size));
    json_dumpf(line, out, JSON_COMPACT);
    fputc('\n', out);
    fclose(out);
    json_decref(line);
}

#endif
