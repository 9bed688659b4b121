#include "base/clock.h"
#include "server/http_exchange_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAM_BLOCK = 16384 };

static struct MHD_Response *response_of(struct exchange *exchange)
{
    struct api_answer *answer = &exchange->answer;
    struct MHD_Response *response = NULL;
    size_t size;
    char *body;
    switch (answer->kind) {
    case API_COMPLETE:
        body = buffer_steal(&answer->body, &size);
        response = body ? MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE)
                        : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
        if (!response)
            free(body);
        break;
    case API_FILE:
        response = MHD_create_response_from_fd64(answer->size, answer->fd);
        if (response)
            answer->fd = -1; // the response closes it
        break;
    case API_STREAM:
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, exchange_stream_read,
                                                     exchange, NULL);
        // The library would end the chunks of a body that it does not send, amid what is the next answer's.
        if (response && strcmp(exchange->method, "HEAD") == 0)
            MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
        break;
    case API_WAIT:
        break;
    }
    return response;
}

// The library would compose its Date anew for each answer (RFC 9110, section 5.6.7); it leaves ours alone.
static const char *date_of_answer(void)
{
    static _Thread_local time_t second;
    static _Thread_local char text[32];
    time_t now = time(NULL);
    struct tm parts;
    if (now != second && gmtime_r(&now, &parts) && strftime(text, sizeof text, "%a, %d %b %Y %T GMT", &parts))
        second = now;
    return text;
}

static bool add_headers(struct exchange *exchange, struct MHD_Response *response)
{
    const struct api_answer *answer = &exchange->answer;
    bool added = true;
    // First: with it the library forgets that it was given a Date, and adds another one.
    if (exchange->must_close)
        added = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    added = added && MHD_add_response_header(response, MHD_HTTP_HEADER_DATE, date_of_answer()) == MHD_YES &&
            MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    for (size_t i = 0; i < answer->header_count; i++)
        added = added && MHD_add_response_header(response, answer->headers[i].name,
                                                 answer->headers[i].value) == MHD_YES;
    bool is_plain = answer->status == 200 || answer->status == 304;
    if (exchange->was_named || !is_plain)
        added = added && MHD_add_response_header(response, "X-Request-Id", exchange->request_id) == MHD_YES;
    return added;
}

static int64_t answer_deadline(const struct exchange *exchange, int64_t now_ms)
{
    const struct api_answer *answer = &exchange->answer;
    uint64_t size = answer->kind == API_FILE ? answer->size : answer->body.size;
    if (answer->kind == API_STREAM)
        return INT64_MAX;
    return exchange_due(exchange, now_ms, exchange_deadlines(exchange)->answer, size);
}

// A request is worth a line when somebody looks for it, or when the operator has something to mend.
static void log_answer(const struct exchange *exchange, int64_t ns)
{
    const struct log *log = exchange->http->options.log;
    const struct api_answer *answer = &exchange->answer;
    bool is_fault = answer->status == 500 || answer->status == 507;
    if (!is_fault && log->level < LOG_DEBUG)
        return;
    const char *why = is_fault && answer->body.data ? answer->body.data : "";
    const struct api_seen *seen = &exchange->seen;
    char trace[33];
    snprintf(trace, sizeof trace, "%.32s", seen->traceparent[0] ? seen->traceparent + 3 : "");
    const struct log_field fields[] = {
        {"request_id", exchange->request_id}, {"trace_id", trace}, {"token", seen->token}};
    log_fields(log, is_fault ? LOG_ERROR : LOG_DEBUG, fields, sizeof fields / sizeof *fields,
               "%s %s %d %.1f ms%s%.*s", exchange->method, exchange->target, answer->status, (double)ns / 1e6,
               *why ? ": " : "", (int)strcspn(why, "\n"), why);
}

// Changes, and what a token was not allowed to change. Requests without one are not noted: whoever reaches
// the port could fill the file with them.
static void audit_answer(const struct exchange *exchange)
{
    const struct http_options *options = &exchange->http->options;
    const struct api_seen *seen = &exchange->seen;
    if (!options->audit || !seen->is_change || exchange->answer.status == 401)
        return;
    const char *method = "", *route = "";
    api_route_at(seen->route, &method, &route);
    const struct audit_entry entry = {.token = seen->token,
                                      .token_id = seen->token_id,
                                      .method = method,
                                      .route = route,
                                      .target = exchange->target,
                                      .request_id = exchange->request_id,
                                      .status = exchange->answer.status};
    if (!audit_write(options->audit, &entry))
        log_write(options->log, LOG_ERROR, "the audit log cannot be written: %s %s %d by \"%s\"", method,
                  exchange->target, entry.status, seen->token);
}

void exchange_note(struct exchange *exchange, int64_t now_ns)
{
    exchange->is_done = false;
    const struct http_options *options = &exchange->http->options;
    int64_t ns = now_ns - exchange->opened_ns;
    bool is_timed = !exchange->has_waited && exchange->answer.kind != API_STREAM;
    if (options->metrics)
        metrics_request(options->metrics, exchange->seen.route, exchange->answer.status, is_timed ? ns : -1);
    log_answer(exchange, ns);
    audit_answer(exchange);
}

enum MHD_Result exchange_send_answer(struct exchange *exchange)
{
    const struct api_answer *answer = &exchange->answer;
    int64_t now_ns = clock_monotonic_ns();
    exchange_set_deadline(exchange, answer_deadline(exchange, now_ns / 1000000));
    exchange_note(exchange, now_ns);
    struct MHD_Response *response = response_of(exchange);
    if (!response)
        return MHD_NO;
    enum MHD_Result sent = add_headers(exchange, response)
                               ? MHD_queue_response(exchange->connection, (unsigned)answer->status, response)
                               : MHD_NO;
    MHD_destroy_response(response); // the connection holds it now
    exchange->phase = PHASE_SENT;
    return sent;
}
