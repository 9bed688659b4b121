// A request walks through phases, one call of exchange_advance after the other:
//
//     HEADERS → BODY → RUN → ANSWER → SENT
//        └──→ DRAIN (refused, but the body is still coming) ──↗
//
// RUN may suspend the connection: on the pool, which leads to ANSWER when it is done, or waiting for a job,
// which leads to RUN again, or to the connection's end when its client has hung up. Whoever resumes sets the
// phase first: the library's lock orders the two.
#include "server/http_exchange.h"

#include "base/clock.h"
#include "server/http_guard.h"
#include "server/request_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    HEADERS_KEPT = 64,
    STREAM_BLOCK = 16384,
    PLACE_GRACE_MS = 1000, // how long a place among streams and waits is waited for
    PLACE_AGAIN_MS = 20,
    SEEKERS_MOST = 64, // who look for a place again and again; more are refused at once
    LONG_BODY = 16384, // above it a request is long (api_call_is_long), whatever it asks
};

enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_DRAIN, PHASE_RUN, PHASE_ANSWER, PHASE_SENT };

struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    struct http_socket *socket;
    char *target;
    const char *target_place; // in the library's memory, while the head is read
    char method[24];
    enum phase phase;
    struct api_call *call;
    struct api_answer answer;
    bool must_close;   // the connection ends with the answer
    bool is_streaming; // counted among the http's streams
    bool is_waiting;   // counted among the http's waits
    bool is_seeking;   // counted among the http's seekers
    bool is_cut;       // nobody may wait any more
    bool is_done;      // it ran to an answer, which nobody has noted yet
    uint64_t received; // bytes of the body so far
    uint64_t drained;  // those of them that came after it was refused
    int64_t opened_ms, opened_ns;
    char request_id[REQUEST_ID_SIZE];
    bool was_named;       // by the client
    bool has_waited;      // for a job: the time says nothing
    int64_t place_due_ms; // while it is seeking: when it is refused
    struct api_seen seen;
    struct waiter waiter;
};

static struct http_socket *socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_deadline(struct exchange *exchange, int64_t deadline_ms)
{
    if (exchange->socket)
        socket_entry_set(exchange->socket->entry, deadline_ms);
}

// The deadlines of the server it came in by.
static const struct http_deadlines *deadlines_of(const struct exchange *exchange)
{
    return &exchange->http->options.deadlines;
}

// `seconds` from a moment on, and what `bytes` take at the least rate.
static int64_t due_at(const struct exchange *exchange, int64_t from_ms, unsigned seconds, uint64_t bytes)
{
    return from_ms + 1000 * (int64_t)seconds + (int64_t)(bytes * 1000 / deadlines_of(exchange)->least_rate);
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
    set_deadline(exchange, due_at(exchange, exchange->opened_ms, deadlines_of(exchange)->head, 0));
    atomic_fetch_add(&http->exchanges, 1);
    return exchange;
}

static void stop_waiting(struct exchange *exchange)
{
    if (exchange->is_waiting)
        atomic_fetch_sub(&exchange->http->waits, 1);
    exchange->is_waiting = false;
}

static void stop_seeking(struct exchange *exchange)
{
    if (exchange->is_seeking)
        atomic_fetch_sub(&exchange->http->seekers, 1);
    exchange->is_seeking = false;
}

static void leave_place(struct exchange *exchange)
{
    stop_seeking(exchange);
    if (exchange->is_streaming)
        atomic_fetch_sub(&exchange->http->streams, 1);
    exchange->is_streaming = false;
    stop_waiting(exchange);
}

// Whether nothing can come any more. The library is told of the end of a connection once: where it came along
// with a request, it has read that alone, and would wait for another.
static bool has_hung_up(const struct exchange *exchange)
{
    char byte;
    return exchange->socket && recv(exchange->socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void note_answer(struct exchange *exchange, int64_t now_ns);

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    struct http *http = exchange->http;
    if (exchange->is_done) // and its client has left: what it changed is changed all the same
        note_answer(exchange, clock_monotonic_ns());
    // A second, because the library may have read the next request already.
    const unsigned rest = has_hung_up(exchange) ? 1 : deadlines_of(exchange)->idle;
    set_deadline(exchange, due_at(exchange, clock_monotonic_ms(), rest, 0));
    leave_place(exchange);
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

// Makes the answer a refusal of the server itself.
static void refuse(struct exchange *exchange, int status, const char *title, const char *detail)
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

static void refuse_stopping(struct exchange *exchange)
{
    exchange->must_close = true;
    refuse(exchange, 503, "Stopping", "The server is stopping.");
}

static bool is_over(const struct exchange *exchange)
{
    return exchange->is_cut || atomic_load(&exchange->http->stopping);
}

static void resume(void *context)
{
    struct exchange *exchange = context;
    if (exchange->waiter.is_gone)
        leave_place(exchange); // who comes in its stead need not wait until the library has closed it
    MHD_resume_connection(exchange->connection);
}

// Jobs and the revisions that were seen of them, apart from whoever waits for them.
struct watched {
    struct api_watch jobs[API_WATCHES_MAX + 1];
    size_t count;
};

static void watched_copy(const struct api_wait *wait, struct watched *ret)
{
    ret->jobs[0].revision = wait->revision;
    memcpy(ret->jobs[0].job, wait->job, sizeof wait->job);
    ret->count = 1;
    for (size_t i = 0; i < wait->other_count && ret->count <= API_WATCHES_MAX; i++)
        ret->jobs[ret->count++] = wait->others[i];
}

// What changed between the handler's look and ours would never be told.
static void tell_changes(const struct http *http, const struct watched *watched)
{
    for (size_t i = 0; i < watched->count; i++) {
        const struct api_watch *seen = &watched->jobs[i];
        uint64_t revision = http->options.revision(http->options.context, seen->job);
        if (revision > seen->revision)
            waiters_notify(http->options.waiters, seen->job, revision);
    }
}

// Suspends the connection until a job's revision is above the one seen, the deadline has come, or the client
// has hung up. False: the server is stopping, and nothing was suspended.
static bool suspend_until(struct exchange *exchange, const struct api_wait *wait)
{
    struct http *http = exchange->http;
    struct watched watched; // the exchange may be gone as soon as it waits
    int fd = exchange->socket ? exchange->socket->fd : -1;
    watched_copy(wait, &watched);
    exchange->waiter = (struct waiter){.wait = *wait, .resume = resume, .context = exchange, .fd = fd};
    if (atomic_load(&http->stopping))
        return false;
    set_deadline(exchange, INT64_MAX);
    MHD_suspend_connection(exchange->connection);
    if (!waiters_add(http->options.waiters, &exchange->waiter)) {
        exchange->is_cut = true;
        MHD_resume_connection(exchange->connection);
        return true; // comes back at once, to be ended
    }
    tell_changes(http, &watched);
    return true;
}

static ssize_t stream_read(void *context, uint64_t position, char *bytes, size_t size)
{
    (void)position;
    struct exchange *exchange = context;
    struct api_stream *stream = &exchange->answer.stream;
    struct api_wait wait = {.other_count = 0};
    if (exchange->waiter.is_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR; // closes the connection
    if (is_over(exchange))
        return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t count = stream->pull(stream->context, bytes, size, &wait);
    if (count == API_STREAM_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (count != API_STREAM_WAIT)
        return count;
    return suspend_until(exchange, &wait) ? 0 : MHD_CONTENT_READER_END_OF_STREAM;
}

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
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, exchange, NULL);
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
    bool added = MHD_add_response_header(response, MHD_HTTP_HEADER_DATE, date_of_answer()) == MHD_YES &&
                 MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    for (size_t i = 0; i < answer->header_count; i++)
        added = added && MHD_add_response_header(response, answer->headers[i].name,
                                                 answer->headers[i].value) == MHD_YES;
    bool is_plain = answer->status == 200 || answer->status == 304;
    if (exchange->was_named || !is_plain)
        added = added && MHD_add_response_header(response, "X-Request-Id", exchange->request_id) == MHD_YES;
    if (exchange->must_close)
        added = added && MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return added;
}

static int64_t answer_deadline(const struct exchange *exchange, int64_t now_ms)
{
    const struct api_answer *answer = &exchange->answer;
    uint64_t size = answer->kind == API_FILE ? answer->size : answer->body.size;
    if (answer->kind == API_STREAM)
        return INT64_MAX;
    return due_at(exchange, now_ms, deadlines_of(exchange)->answer, size);
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

static void note_answer(struct exchange *exchange, int64_t now_ns)
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

static enum MHD_Result send_answer(struct exchange *exchange)
{
    const struct api_answer *answer = &exchange->answer;
    int64_t now_ns = clock_monotonic_ns();
    set_deadline(exchange, answer_deadline(exchange, now_ns / 1000000));
    note_answer(exchange, now_ns);
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

static bool take_place(atomic_uint *count, unsigned most)
{
    if (atomic_fetch_add(count, 1) < most)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

// Streams and waits are counted, so that their clients cannot shut out all others.
static bool admit(const struct http *http, atomic_uint *count)
{
    if (take_place(count, http->options.streams))
        return true;
    waiters_find_gone(
        http->options.waiters); // a client that reconnects may have been quicker than our notice
    return take_place(count, http->options.streams);
}

// True when the answer needs no place, or has one.
static bool has_place(struct exchange *exchange)
{
    struct http *http = exchange->http;
    switch (exchange->answer.kind) {
    case API_WAIT:
        return exchange->is_waiting = exchange->is_waiting || admit(http, &http->waits);
    case API_STREAM:
        return exchange->is_streaming = exchange->is_streaming || admit(http, &http->streams);
    case API_COMPLETE:
    case API_FILE:
        break;
    }
    return true;
}

static enum MHD_Result refuse_place(struct exchange *exchange)
{
    stop_seeking(exchange);
    if (exchange->answer.kind == API_STREAM)
        refuse(exchange, 503, "Too many streams", "As many streams as max-streams allows are open.");
    else
        refuse(exchange, 503, "Too many waiting requests",
               "As many requests as max-streams allows are waiting already.");
    return send_answer(exchange);
}

static enum MHD_Result wait_in(struct exchange *exchange, enum phase next, const struct api_wait *wait)
{
    exchange->has_waited = true;
    exchange->phase = next;
    if (suspend_until(exchange, wait))
        return MHD_YES;
    refuse_stopping(exchange);
    return send_answer(exchange);
}

// A client that comes back as soon as it was cut off may be here before the connection that it had is done
// with what it was being sent: it is not refused for that.
static enum MHD_Result await_place(struct exchange *exchange)
{
    int64_t now_ms = clock_monotonic_ms();
    const struct api_wait again = {.revision = UINT64_MAX, .deadline_ms = now_ms + PLACE_AGAIN_MS};
    if (is_over(exchange)) {
        refuse_stopping(exchange);
        return send_answer(exchange);
    }
    if (!exchange->is_seeking) {
        exchange->is_seeking = take_place(&exchange->http->seekers, SEEKERS_MOST);
        exchange->place_due_ms = now_ms + PLACE_GRACE_MS;
    }
    if (!exchange->is_seeking || now_ms >= exchange->place_due_ms)
        return refuse_place(exchange);
    return wait_in(exchange, PHASE_ANSWER, &again);
}

static enum MHD_Result give_answer(struct exchange *exchange)
{
    if (exchange->waiter.is_gone)
        return MHD_NO; // closes the connection
    if (!has_place(exchange))
        return await_place(exchange);
    stop_seeking(exchange);
    if (exchange->answer.kind == API_WAIT)
        return wait_in(exchange, PHASE_RUN, &exchange->answer.wait);
    stop_waiting(exchange);
    return send_answer(exchange);
}

// On a thread of the pool.
static void run_pooled(void *context)
{
    struct exchange *exchange = context;
    struct http *http = exchange->http;
    api_answer_free(&exchange->answer);
    if (atomic_load(&http->stopping)) { // a queue of long requests would outlast the time that the end has
        refuse_stopping(exchange);
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
    refuse(exchange, 503, "Overloaded", "As many long requests as compute-queue allows are waiting already.");
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
    set_deadline(exchange, INT64_MAX);
    if (exchange->waiter.is_gone)
        return MHD_NO; // closes the connection
    if (is_over(exchange)) {
        refuse_stopping(exchange);
        return send_answer(exchange);
    }
    api_answer_free(&exchange->answer);
    bool is_long = api_call_is_long(exchange->call);
    if (is_long && !api_peek(exchange->call, &exchange->answer))
        return run_on_pool(exchange);
    if (!is_long)
        api_handle(exchange->call, &exchange->answer);
    return give_answer(exchange);
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *size)
{
    exchange->received += *size;
    if (exchange->phase == PHASE_DRAIN)
        exchange->drained += *size;
    else if (!api_body(exchange->call, bytes, *size, &exchange->answer))
        exchange->phase = PHASE_DRAIN;
    if (exchange->drained > DRAIN_BYTES)
        return MHD_NO; // closes the connection: the library can answer only when the body is read
    const unsigned grace = deadlines_of(exchange)->body;
    set_deadline(exchange, due_at(exchange, exchange->opened_ms, grace, exchange->received));
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
    refuse(exchange, status, title, detail);
    return send_answer(exchange);
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
    set_deadline(exchange, due_at(exchange, clock_monotonic_ms(), deadlines_of(exchange)->body, 0));
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
    return send_answer(exchange);
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
        return exchange->phase == PHASE_BODY ? run(exchange) : give_answer(exchange);
    case PHASE_RUN:
        return run(exchange);
    case PHASE_ANSWER:
        return give_answer(exchange);
    case PHASE_SENT:
        break;
    }
    return MHD_NO;
}
