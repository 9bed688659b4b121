// Error answers: RFC 9457 problems, made in one place. The type is a URN of the status, so that a program can
// branch on either; detail is a sentence of its own; errors names each offending field. What failed inside
// may name paths of this machine: its text goes to the log.
#include "api/handler.h"
#include "api/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char problem_media[] = "application/problem+json";

static const int code_status[] = {
    [NABLA_OK] = 200,        [NABLA_MALFORMED] = 400, [NABLA_INVALID] = 422, [NABLA_LIMIT] = 413,
    [NABLA_NOT_FOUND] = 404, [NABLA_CONFLICT] = 409,  [NABLA_DENIED] = 403,  [NABLA_BUSY] = 503,
    [NABLA_NO_MEMORY] = 503, [NABLA_DISK_FULL] = 507, [NABLA_IO] = 500,      [NABLA_CANCELLED] = 503,
    [NABLA_DIVERGED] = 422,  [NABLA_INTERNAL] = 500,
};
_Static_assert(sizeof code_status / sizeof *code_status == NABLA_CODE_COUNT, "every code has a status");

// What the client is told instead of the cause, where that is no business of theirs.
static const char *const code_details[NABLA_CODE_COUNT] = {
    [NABLA_DISK_FULL] = "the disk that holds Nabla's data is full",
    [NABLA_IO] = "reading or writing Nabla's data failed; the server's log has the cause",
    [NABLA_INTERNAL] = "this is a defect in Nabla; the server's log has the cause",
};

static const struct status_title {
    int status;
    const char *name, *title;
} titles[] = {
    {400, "unreadable", "The request cannot be read"},
    {401, "unauthorized", "A bearer token is needed"},
    {403, "forbidden", "The token does not allow it"},
    {404, "not_found", "There is no such resource"},
    {405, "method_not_allowed", "The resource does not have this method"},
    {406, "not_acceptable", "None of the accepted media types can be produced"},
    {408, "timeout", "The request came too slowly"},
    {409, "conflict", "The resource's state does not allow it"},
    {412, "precondition_failed", "A precondition does not hold"},
    {413, "too_large", "A limit would be exceeded"},
    {414, "target_too_long", "The request's target is too long"},
    {415, "unsupported_media_type", "The body's media type is not taken"},
    {422, "invalid", "A value in the request is wrong"},
    {429, "too_many_requests", "Too many requests"},
    {431, "headers_too_large", "The headers are too large"},
    {500, "internal", "Something failed inside Nabla"},
    {501, "not_implemented", "This is not offered"},
    {503, "unavailable", "Try again later"},
    {507, "disk_full", "The disk is full"},
};

static const struct status_title *title_of(int status)
{
    static const struct status_title other = {0, "error", "The request failed"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return &titles[i];
    return &other;
}

static void write_member(struct buffer *body, const char *name, const char *text)
{
    buffer_format(body, ",\"%s\":", name);
    text_write_json(body, text);
}

static void write_errors(struct buffer *body, const struct problems *problems)
{
    buffer_text(body, ",\"errors\":[");
    for (size_t i = 0; i < problems->count; i++) {
        buffer_text(body, i > 0 ? ",{\"pointer\":" : "{\"pointer\":");
        text_write_json(body, problems->fields[i].pointer);
        write_member(body, "detail", problems->fields[i].detail);
        buffer_char(body, '}');
    }
    buffer_char(body, ']');
}

// `title` NULL: the status's own. `problems` NULL or empty: no errors member.
static void answer_problem(struct api_answer *ret, const struct api_call *call, int status, const char *title,
                           const char *detail, const struct problems *problems)
{
    const struct status_title *known = title_of(status);
    answer_begin(ret, status, problem_media);
    buffer_format(&ret->body, "{\"type\":\"urn:nabla:problem:%s\"", known->name);
    write_member(&ret->body, "title", title ? title : known->title);
    buffer_format(&ret->body, ",\"status\":%d", status);
    write_member(&ret->body, "detail", detail);
    if (call && call->path)
        write_member(&ret->body, "instance", call->path);
    if (problems && problems->count > 0)
        write_errors(&ret->body, problems);
    buffer_text(&ret->body, "}\n");
    if (status == 503 || status == 429)
        answer_header(ret, "Retry-After", "1");
}

void problems_add(struct problems *problems, const char *pointer, const char *format, ...)
{
    if (problems->count == PROBLEM_FIELDS_MAX)
        return;
    struct problem_field *field = &problems->fields[problems->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(field->detail, sizeof field->detail, format, args);
    va_end(args);
    snprintf(field->pointer, sizeof field->pointer, "%s", pointer);
    text_trim(field->pointer, sizeof field->pointer);
    text_trim(field->detail, sizeof field->detail);
}

void problems_add_error(struct problems *problems, const char *pointer, const struct nabla_error *err)
{
    if (code_status[err->code] >= 500)
        problems->failed = err->code;
    problems_add(problems, pointer, "%s", err->text);
}

// The failure is said without the field that it happened to be met at.
static void answer_failed(struct api_answer *ret, const struct api_call *call,
                          const struct problems *problems)
{
    struct nabla_error err;
    nabla_fail(&err, problems->failed, NULL, "%s", problems->fields[problems->count - 1].detail);
    answer_error(ret, call, &err);
}

void answer_problems(struct api_answer *ret, const struct api_call *call, const struct problems *problems)
{
    char detail[640];
    if (problems->failed) {
        answer_failed(ret, call, problems);
        return;
    }
    const struct problem_field *first = &problems->fields[0];
    const char *place = first->pointer[0] ? first->pointer : "the document";
    if (problems->count > 1)
        snprintf(detail, sizeof detail, "%s: %s (and %zu more, see errors)", place, first->detail,
                 problems->count - 1);
    else
        snprintf(detail, sizeof detail, "%s: %s", place, first->detail);
    answer_problem(ret, call, 422, NULL, detail, problems);
}

void call_failed(const struct api_call *call, const struct nabla_error *err)
{
    const struct api_options *options = call ? &call->api->options : NULL;
    if (options && options->failed)
        options->failed(options->context, call->request_id ? call->request_id : "", call->route->method,
                        call->path, err);
}

void answer_error(struct api_answer *ret, const struct api_call *call, const struct nabla_error *err)
{
    struct problems one = {0};
    enum nabla_code code = (unsigned)err->code < NABLA_CODE_COUNT ? err->code : NABLA_INTERNAL;
    const char *detail = code_details[code] ? code_details[code] : err->text;
    int status = code_status[code];
    if (code_details[code])
        call_failed(call, err);
    if (status == 422 || err->pointer[0])
        problems_add(&one, err->pointer, "%s", detail);
    answer_problem(ret, call, status, NULL, detail, &one);
}

void answer_status(struct api_answer *ret, const struct api_call *call, int status, const char *format, ...)
{
    char detail[512];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    text_trim(detail, sizeof detail);
    answer_problem(ret, call, status, NULL, detail, NULL);
}

void api_refuse(struct api_answer *ret_answer, int status, const char *title, const char *detail)
{
    answer_problem(ret_answer, NULL, status, title, detail, NULL);
}
