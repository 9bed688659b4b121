#include "base/clock.h"
#include "server/http_exchange_parts.h"

#include <string.h>

enum {
    PLACE_GRACE_MS = 1000, // how long a place among streams and waits is waited for
    PLACE_AGAIN_MS = 20,
    SEEKERS_MOST = 64, // who look for a place again and again; more are refused at once
};

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

void exchange_leave_place(struct exchange *exchange)
{
    stop_seeking(exchange);
    if (exchange->is_streaming)
        atomic_fetch_sub(&exchange->http->streams, 1);
    exchange->is_streaming = false;
    stop_waiting(exchange);
}

static void resume(void *context)
{
    struct exchange *exchange = context;
    if (exchange->waiter.is_gone)
        exchange_leave_place(
            exchange); // who comes in its stead need not wait until the library has closed it
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
    exchange_set_deadline(exchange, INT64_MAX);
    MHD_suspend_connection(exchange->connection);
    if (!waiters_add(http->options.waiters, &exchange->waiter)) {
        exchange->is_cut = true;
        MHD_resume_connection(exchange->connection);
        return true; // comes back at once, to be ended
    }
    tell_changes(http, &watched);
    return true;
}

ssize_t exchange_stream_read(void *context, uint64_t position, char *bytes, size_t size)
{
    (void)position;
    struct exchange *exchange = context;
    struct api_stream *stream = &exchange->answer.stream;
    struct api_wait wait = {.other_count = 0};
    if (exchange->waiter.is_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR; // closes the connection
    if (exchange_is_over(exchange))
        return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t count = stream->pull(stream->context, bytes, size, &wait);
    if (count == API_STREAM_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (count != API_STREAM_WAIT)
        return count;
    return suspend_until(exchange, &wait) ? 0 : MHD_CONTENT_READER_END_OF_STREAM;
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
        exchange_refuse(exchange, 503, "Too many streams", "As many streams as max-streams allows are open.");
    else
        exchange_refuse(exchange, 503, "Too many waiting requests",
                        "As many requests as max-streams allows are waiting already.");
    return exchange_send_answer(exchange);
}

static enum MHD_Result wait_in(struct exchange *exchange, enum phase next, const struct api_wait *wait)
{
    exchange->has_waited = true;
    exchange->phase = next;
    if (suspend_until(exchange, wait))
        return MHD_YES;
    exchange_refuse_stopping(exchange);
    return exchange_send_answer(exchange);
}

// A client that comes back as soon as it was cut off may be here before the connection that it had is done
// with what it was being sent: it is not refused for that.
static enum MHD_Result await_place(struct exchange *exchange)
{
    int64_t now_ms = clock_monotonic_ms();
    const struct api_wait again = {.revision = UINT64_MAX, .deadline_ms = now_ms + PLACE_AGAIN_MS};
    if (exchange_is_over(exchange)) {
        exchange_refuse_stopping(exchange);
        return exchange_send_answer(exchange);
    }
    if (!exchange->is_seeking) {
        exchange->is_seeking = take_place(&exchange->http->seekers, SEEKERS_MOST);
        exchange->place_due_ms = now_ms + PLACE_GRACE_MS;
    }
    if (!exchange->is_seeking || now_ms >= exchange->place_due_ms)
        return refuse_place(exchange);
    return wait_in(exchange, PHASE_ANSWER, &again);
}

enum MHD_Result exchange_give_answer(struct exchange *exchange)
{
    if (exchange->waiter.is_gone)
        return MHD_NO; // closes the connection
    if (!has_place(exchange))
        return await_place(exchange);
    stop_seeking(exchange);
    if (exchange->answer.kind == API_WAIT)
        return wait_in(exchange, PHASE_RUN, &exchange->answer.wait);
    stop_waiting(exchange);
    return exchange_send_answer(exchange);
}
