// A request walks through phases, one call of exchange_advance after the other:
//
//     HEADERS → BODY → RUN → ANSWER → SENT
//        └──→ DRAIN (refused, but the body is still coming) ──↗
//
// RUN may suspend the connection: on the pool, which leads to ANSWER when it is done, or waiting for a job,
// which leads to RUN again, or to the connection's end when its client has hung up. Whoever resumes sets the
// phase first: the library's lock orders the two.
#include "server/http_exchange_parts.h"

#include "base/clock.h"
#include "server/http_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADERS_KEPT = 64,
    LONG_BODY = 16384, // above it a request is long (api_call_is_long), whatever it asks
};

static struct http_socket *socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void exchange_set_deadline(struct exchange *exchange, int64_t deadline_ms)
{
    if (exchange->socket)
        socket_entry_set(exchange->socket->entry, deadline_ms);
}

const struct http_deadlines *exchange_deadlines(const struct exchange *exchange)
{
    return &exchange->http->options.deadlines;
}

int64_t exchange_due(const struct exchange *exchange, int64_t from_ms, unsigned seconds, uint64_t bytes)
{
    return from_ms + 1000 * (int64_t)seconds +
           (int64_t)(bytes * 1000 / exchange_deadlines(exchange)->least_rate);
}

struct exchange *exchange_new(struct http *http, struct MHD_Connection *connection, const char *target)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    char *copy = strdup(target);
    if (!exchange || !copy) {
        free(exchange);
        free(copy);
        return NULL;
    }
    int64_t now_ns = clock_monotonic_ns();
    *exchange = (struct exchange){.http = http,
                                  .connection = connection,
                                  .socket = socket_of(connection),
                                  .target = copy,
                                  .target_place = target,
                                  .answer = {.fd = -1},
                                  .opened_ms = now_ns / 1000000,
                                  .opened_ns = now_ns,
                                  .seen = {.route = SIZE_MAX}};
    exchange_set_deadline(exchange,
                          exchange_due(exchange, exchange->opened_ms, exchange_deadlines(exchange)->head, 0));
    atomic_fetch_add(&http->exchanges, 1);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    struct http *http = exchange->http;
    if (exchange->is_done) // and its client has left: what it changed is changed all the same
        exchange_note(exchange, clock_monotonic_ns());
    const int64_t now_ms = clock_monotonic_ms();
    if (exchange->socket)
        socket_entry_rest(exchange->socket->entry, now_ms,
                          exchange_due(exchange, now_ms, exchange_deadlines(exchange)->idle, 0));
    exchange_leave_place(exchange);
    api_answer_free(&exchange->answer);
    api_close(exchange->call);
    free(exchange->target);
    free(exchange);
    // Who stops says so first and counts then: one of the two sees the other.
    atomic_fetch_sub(&http->exchanges, 1);
    if (!atomic_load(&http->stopping))
        return;
    pthread_mutex_lock(&http->lock);
    pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

void exchange_refuse(struct exchange *exchange, int status, const char *title, const char *detail)
{
    struct api_answer *answer = &exchange->answer;
    api_answer_free(answer);
    api_refuse(answer, status, title, detail);
    if (status == 503)
        atomic_fetch_add(&exchange->http->refused, 1);
    if (status != 503 || answer->header_count >= API_HEADERS_MAX)
        return;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", RETRY_AFTER_SECONDS);
    char *value = strdup(seconds);
    if (!value)
        return;
    answer->headers[answer->header_count].name = "Retry-After";
    answer->headers[answer->header_count++].value = value;
}

void exchange_refuse_stopping(struct exchange *exchange)
{
    exchange->must_close = true;
    exchange_refuse(exchange, 503, "Stopping", "The server is stopping.");
}

bool exchange_is_over(const struct exchange *exchange)
{
    return exchange->is_cut || atomic_load(&exchange->http->stopping);
}

// On a thread of the pool.
static void run_pooled(void *context)
{
    struct exchange *exchange = context;
    struct http *http = exchange->http;
    api_answer_free(&exchange->answer);
    if (atomic_load(&http->stopping)) { // a queue of long requests would outlast the time that the end has
        exchange_refuse_stopping(exchange);
    } else {
        api_handle(exchange->call, &exchange->answer);
        exchange->is_done = exchange->answer.kind != API_WAIT;
    }
    MHD_resume_connection(exchange->connection); // from here on the exchange may be gone
    pthread_mutex_lock(&http->lock);
    http->pooled--;
    pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

static void pool_count(struct http *http, int by)
{
    pthread_mutex_lock(&http->lock);
    http->pooled = (unsigned)((int)http->pooled + by);
    pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

static void refuse_full(struct exchange *exchange)
{
    exchange_refuse(exchange, 503, "Overloaded",
                    "As many long requests as compute-queue allows are waiting already.");
}

static enum MHD_Result run_on_pool(struct exchange *exchange)
{
    struct http *http = exchange->http;
    exchange->phase = PHASE_ANSWER;
    pool_count(http, 1);
    MHD_suspend_connection(exchange->connection);
    if (compute_pool_submit(http->options.pool, run_pooled, exchange))
        return MHD_YES;
    refuse_full(exchange);
    pool_count(http, -1);
    MHD_resume_connection(exchange->connection);
    return MHD_YES;
}

static enum MHD_Result run(struct exchange *exchange)
{
    exchange_set_deadline(exchange, INT64_MAX);
    if (exchange->waiter.is_gone)
        return MHD_NO; // closes the connection
    if (exchange_is_over(exchange)) {
        exchange_refuse_stopping(exchange);
        return exchange_send_answer(exchange);
    }
    api_answer_free(&exchange->answer);
    bool is_long = api_call_is_long(exchange->call);
    if (is_long && !api_peek(exchange->call, &exchange->answer))
        return run_on_pool(exchange);
    if (!is_long)
        api_handle(exchange->call, &exchange->answer);
    return exchange_give_answer(exchange);
}

// Each byte buys the time that it takes at the least rate, but what came fast is no store for hours of a byte
// now and then: nobody has more than three times what a body has at first.
static void prolong(struct exchange *exchange, size_t bytes)
{
    enum { MOST_TIMES = 3, SECOND_NS = 1000000000 };
    const struct http_deadlines *deadlines = exchange_deadlines(exchange);
    const int64_t most_ns = clock_monotonic_ns() + (int64_t)deadlines->body * MOST_TIMES * SECOND_NS;
    exchange->body_due_ns += (int64_t)((double)bytes / deadlines->least_rate * SECOND_NS);
    if (exchange->body_due_ns > most_ns)
        exchange->body_due_ns = most_ns;
    exchange_set_deadline(exchange, exchange->body_due_ns / (SECOND_NS / 1000));
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *size)
{
    const size_t received = *size;
    if (exchange->phase == PHASE_DRAIN)
        exchange->drained += *size;
    else if (!api_body(exchange->call, bytes, *size, &exchange->answer))
        exchange->phase = PHASE_DRAIN;
    if (exchange->drained > DRAIN_BYTES)
        return MHD_NO; // closes the connection: the library can answer only when the body is read
    prolong(exchange, received);
    *size = 0;
    return MHD_YES;
}

struct header_list {
    struct api_header headers[HEADERS_KEPT];
    size_t count;
    bool is_sound; // not too many, no NUL inside
};

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct header_list *list = context;
    value = value ? value : "";
    if (list->count >= HEADERS_KEPT || strlen(name) != name_size || strlen(value) != value_size) {
        list->is_sound = false;
        return MHD_NO;
    }
    list->headers[list->count++] = (struct api_header){name, value};
    return MHD_YES;
}

// Refuses before anything else is read.
static enum MHD_Result refuse_head(struct exchange *exchange, int status, const char *title,
                                   const char *detail)
{
    exchange->must_close = true;
    exchange_refuse(exchange, status, title, detail);
    return exchange_send_answer(exchange);
}

static enum MHD_Result open_call(struct exchange *exchange, const struct http_head *head)
{
    struct http *http = exchange->http;
    const struct api_request request = {.method = head->method,
                                        .target = http_guard_path(head->target),
                                        .headers = head->headers,
                                        .header_count = head->header_count,
                                        .listener = http->options.listener,
                                        .request_id = exchange->request_id,
                                        .seen = &exchange->seen};
    const struct http_body body = http_guard_body(head);
    exchange->body_due_ns = clock_monotonic_ns() + (int64_t)exchange_deadlines(exchange)->body * 1000000000;
    exchange_set_deadline(exchange, exchange->body_due_ns / 1000000);
    api_open(http->options.api, &request, &exchange->call, &exchange->answer);
    bool is_long = exchange->call && (api_call_is_long(exchange->call) || body.length > LONG_BODY);
    if (is_long && compute_pool_is_full(http->options.pool)) { // before its body costs anything
        api_close(exchange->call);
        exchange->call = NULL;
        refuse_full(exchange);
    }
    if (exchange->call) {
        exchange->phase = PHASE_BODY;
        return MHD_YES;
    }
    // A refused body of moderate size is read all the same: closing on a client that still sends would
    // reset the connection before it has seen why.
    exchange->phase = PHASE_DRAIN;
    bool is_drained = !body.is_present || (body.is_chunked || body.length <= DRAIN_BYTES);
    if (is_drained && !(body.is_present && http_guard_header(head, "Expect")))
        return MHD_YES;
    exchange->must_close = true;
    return exchange_send_answer(exchange);
}

static void name_request(struct exchange *exchange, const struct http_head *head)
{
    const char *given = http_guard_header(head, "X-Request-Id");
    request_id_make(given, atomic_fetch_add(&exchange->http->numbers, 1), exchange->request_id);
    exchange->was_named = given != NULL;
}

static enum MHD_Result read_head(struct exchange *exchange, const char *method, const char *version)
{
    struct header_list list __attribute__((uninitialized)); // large, and mostly empty
    list.count = 0;
    list.is_sound = true;
    MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, collect_header, &list);
    const struct http_head head = {.method = method,
                                   .version = version,
                                   .target = exchange->target,
                                   .headers = list.headers,
                                   .header_count = list.count};
    memcpy(exchange->method, method, strnlen(method, sizeof exchange->method - 1)); // zeroed behind
    name_request(exchange, &head);
    if (!list.is_sound)
        return refuse_head(exchange, 400, "Bad request", "There are too many headers, or one holds a NUL.");
    const char *wrong = http_guard_check(&head);
    if (!wrong && MHD_VERSION < 0x01000000)
        wrong = http_guard_line(method, exchange->target_place, strlen(exchange->target), version);
    if (!wrong && MHD_VERSION < 0x01000000)
        wrong = http_guard_layout(list.headers, list.count);
    if (wrong)
        return refuse_head(exchange, 400, "Bad request", wrong);
    if (atomic_load(&exchange->http->stopping))
        return refuse_head(exchange, 503, "Stopping", "The server is stopping.");
    if (exchange->socket && exchange->socket->is_excess)
        return refuse_head(exchange, 503, "Too many connections",
                           "The server has nearly as many connections as max-connections allows.");
    const char *names = exchange->http->options.hosts;
    if (names && !http_guard_host(http_guard_header(&head, "Host"), names))
        return refuse_head(
            exchange, 421, "Not this server",
            "The Host is not this machine's: the option host-names allows it, or access tokens.");
    return open_call(exchange, &head);
}

enum MHD_Result exchange_advance(struct exchange *exchange, const char *method, const char *version,
                                 const char *bytes, size_t *size)
{
    switch (exchange->phase) {
    case PHASE_HEADERS:
        return read_head(exchange, method, version);
    case PHASE_BODY:
    case PHASE_DRAIN:
        if (*size > 0)
            return take_body(exchange, bytes, size);
        return exchange->phase == PHASE_BODY ? run(exchange) : exchange_give_answer(exchange);
    case PHASE_RUN:
        return run(exchange);
    case PHASE_ANSWER:
        return exchange_give_answer(exchange);
    case PHASE_SENT:
        break;
    }
    return MHD_NO;
}
