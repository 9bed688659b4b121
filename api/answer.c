#include "api/handler.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct api_answer empty_answer = {.fd = -1};

void api_answer_free(struct api_answer *answer)
{
    if (!answer)
        return;
    for (size_t i = 0; i < answer->header_count; i++)
        free(answer->headers[i].value);
    buffer_free(&answer->body);
    if (answer->kind == API_FILE && answer->fd >= 0)
        close(answer->fd);
    if (answer->kind == API_STREAM && answer->stream.close)
        answer->stream.close(answer->stream.context);
    *answer = empty_answer;
}

// Adds a header whose value is the answer's from now on; NULL: there was no memory for it.
static void header_take(struct api_answer *ret, const char *name, char *value)
{
    if (value && ret->header_count < API_HEADERS_MAX) {
        ret->headers[ret->header_count].name = name;
        ret->headers[ret->header_count++].value = value;
        return;
    }
    ret->body.failed = value ? NABLA_LIMIT : NABLA_NO_MEMORY;
    free(value);
}

void answer_begin(struct api_answer *ret, int status, const char *content_type)
{
    *ret = empty_answer;
    ret->kind = API_COMPLETE;
    ret->status = status;
    ret->body = buffer_new(SSIZE_MAX - 1);
    if (content_type)
        header_take(ret, "Content-Type", strdup(content_type));
}

void answer_header(struct api_answer *ret, const char *name, const char *format, ...)
{
    char *value;
    va_list args;
    if (!strchr(format, '%')) {
        header_take(ret, name, strdup(format));
        return;
    }
    va_start(args, format);
    int length = vasprintf(&value, format, args);
    va_end(args);
    header_take(ret, name, length < 0 ? NULL : value);
}

void answer_json(struct api_answer *ret, int status, const char *format, ...)
{
    char *text;
    va_list args;
    answer_begin(ret, status, "application/json");
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        ret->body.failed = NABLA_NO_MEMORY;
        return;
    }
    buffer_append(&ret->body, text, (size_t)length);
    free(text);
}
