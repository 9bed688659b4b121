// Two threads: the trainer's puts records into a bounded queue, the sender takes them out in batches. The
// sender alone uses the HTTP client, except before it starts and after it has ended.
#include "server/reporter.h"

#include "api/api.h"
#include "base/clock.h"
#include "server/batch.h"
#include "server/line_client.h"
#include "server/message.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCH_MS = 100,  // between two batches
    LOOK_MS = 500,   // between two looks at what is asked, when there is nothing to send
    BACKOFF_MS = 50, // first wait before trying again; doubles
    BACKOFF_MOST_MS = 2000,
    BATCH_NUMBERS = 8192,      // in one batch
    QUEUE_NUMBERS = 256 << 10, // in the queue
    ANSWER_LIMIT = 64 << 20,   // the job's document may hold long lists
    BATCH_LIMIT = API_WORKER_BODY_BYTES,
    PATH_SIZE = 96,
};

// Something for the job's log, on its way.
struct queued_event {
    struct queued_event *next;
    char event[16], detail[256];
};

struct reporter {
    struct line_client *client;
    char job[64];
    unsigned attempt;
    struct train_progress progress; // of the newest record; the trainer's thread only
    pthread_mutex_t lock;           // of all below
    pthread_cond_t change;          // on the monotonic clock
    struct queued_record *first, *last;
    struct queued_record *sending; // taken off the queue, not acknowledged yet
    size_t numbers;                // in the queue
    struct queued_event *events;
    bool is_stopped; // reporter_stop
    bool is_closing; // nothing more will be queued
    enum reporter_request requested;
    enum nabla_code ended; // why nothing more will be sent; NABLA_OK while it goes on
    char problem[256];     // and its text
    bool is_running;
    pthread_t sender;
};

enum nabla_code reporter_new(const struct reporter_options *options, struct reporter **ret,
                             struct nabla_error *err)
{
    struct reporter *reporter = calloc(1, sizeof *reporter);
    if (!reporter)
        return nabla_fail_memory(err, "the reporter");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&reporter->lock, NULL);
    pthread_cond_init(&reporter->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    snprintf(reporter->job, sizeof reporter->job, "%s", options->job);
    reporter->attempt = options->attempt;
    const struct line_client_options client = {.line = options->line,
                                               .token = options->token,
                                               .traceparent = options->traceparent,
                                               .answer_limit = ANSWER_LIMIT};
    enum nabla_code code = line_client_new(&client, &reporter->client, err);
    if (code) {
        reporter_free(reporter);
        return code;
    }
    *ret = reporter;
    return NABLA_OK;
}

static void records_free(struct queued_record *first)
{
    while (first) {
        struct queued_record *next = first->next;
        free(first);
        first = next;
    }
}

static void events_free(struct queued_event *first)
{
    while (first) {
        struct queued_event *next = first->next;
        free(first);
        first = next;
    }
}

// Lets the sender end: after what is queued, or at once when `drop`.
static void sender_join(struct reporter *reporter, bool drop)
{
    if (!reporter->is_running)
        return;
    if (drop)
        reporter_stop(reporter);
    pthread_mutex_lock(&reporter->lock);
    reporter->is_closing = true;
    pthread_cond_broadcast(&reporter->change);
    pthread_mutex_unlock(&reporter->lock);
    pthread_join(reporter->sender, NULL);
    reporter->is_running = false;
}

void reporter_free(struct reporter *reporter)
{
    if (!reporter)
        return;
    sender_join(reporter, true);
    records_free(reporter->sending);
    records_free(reporter->first);
    events_free(reporter->events);
    line_client_free(reporter->client);
    pthread_cond_destroy(&reporter->change);
    pthread_mutex_destroy(&reporter->lock);
    free(reporter);
}

void reporter_stop(struct reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    reporter->is_stopped = true;
    pthread_cond_broadcast(&reporter->change);
    pthread_mutex_unlock(&reporter->lock);
    line_client_stop(reporter->client);
}

// The lock is held.
static void wait_until(struct reporter *reporter, int64_t moment_ms)
{
    struct timespec at = {.tv_sec = moment_ms / 1000, .tv_nsec = moment_ms % 1000 * 1000000};
    pthread_cond_timedwait(&reporter->change, &reporter->lock, &at);
}

// False: stopped meanwhile.
static bool back_off(struct reporter *reporter, int64_t wait_ms)
{
    int64_t until = clock_monotonic_ms() + wait_ms;
    pthread_mutex_lock(&reporter->lock);
    while (!reporter->is_stopped && clock_monotonic_ms() < until)
        wait_until(reporter, until);
    bool going = !reporter->is_stopped;
    pthread_mutex_unlock(&reporter->lock);
    return going;
}

// What a status means for a worker: done, try again, or the end.
static enum nabla_code judge(const struct line_answer *answer, struct nabla_error *err)
{
    int status = answer->status;
    if (status >= 200 && status < 300)
        return NABLA_OK;
    if (status == 429 || status == 507 || status >= 500)
        return nabla_fail(err, NABLA_BUSY, NULL, "the server answered %d", status);
    if (status == 401 || status == 403 || status == 404 || status == 409)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "the server wants no more of this attempt (%d)", status);
    const struct message problem = {answer->body.data, answer->body.size};
    char detail[200] = "";
    if (problem.text)
        message_text(problem, "detail", detail, sizeof detail);
    return nabla_fail(err, NABLA_INVALID, NULL, "the server refused a report with %d: %s", status, detail);
}

// Sends a request until it is answered one way or the other.
static enum nabla_code send_patiently(struct reporter *reporter, const struct line_request *request,
                                      struct line_answer *ret, struct nabla_error *err)
{
    int64_t wait_ms = BACKOFF_MS;
    for (;;) {
        enum nabla_code code = line_client_send(reporter->client, request, ret, err);
        if (!code)
            code = judge(ret, err);
        if (code != NABLA_BUSY)
            return code;
        line_answer_free(ret);
        if (!back_off(reporter, wait_ms))
            return nabla_fail(err, NABLA_CANCELLED, NULL, "the server is gone");
        wait_ms = wait_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : wait_ms * 2;
    }
}

static void take_request(struct reporter *reporter, const struct line_answer *answer)
{
    const struct message message = {answer->body.data, answer->body.size};
    char requested[16];
    if (!message.text || !message_text(message, "requested", requested, sizeof requested))
        return; // null: nothing is asked
    pthread_mutex_lock(&reporter->lock);
    if (strcmp(requested, "cancel") == 0)
        reporter->requested = REPORTER_CANCEL;
    else if (strcmp(requested, "pause") == 0 && reporter->requested == REPORTER_NOTHING)
        reporter->requested = REPORTER_PAUSE;
    pthread_mutex_unlock(&reporter->lock);
}

static enum nabla_code post(struct reporter *reporter, const char *route, const struct buffer *body,
                            struct nabla_error *err)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/jobs/%s/%s", reporter->job, route);
    const struct line_request request = {.method = "POST", .path = path, .json = body};
    struct line_answer answer;
    enum nabla_code code = send_patiently(reporter, &request, &answer, err);
    if (!code)
        take_request(reporter, &answer);
    line_answer_free(&answer);
    return code;
}

static enum nabla_code get_job(struct reporter *reporter, struct line_answer *ret, struct nabla_error *err)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/jobs/%s", reporter->job);
    const struct line_request request = {.method = "GET", .path = path};
    return send_patiently(reporter, &request, ret, err);
}

// The job must still be this attempt's: a worker that outlived its server asks for a job that is another's.
static enum nabla_code check_attempt(const struct reporter *reporter, struct message job,
                                     struct nabla_error *err)
{
    uint64_t attempt;
    char state[16];
    if (!message_whole(job, "attempt", &attempt) || !message_text(job, "state", state, sizeof state))
        return nabla_fail(err, NABLA_INVALID, NULL, "the server's answer is no job");
    if (attempt != reporter->attempt || strcmp(state, "running") != 0)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "the job is %s in attempt %u", state, (unsigned)attempt);
    return NABLA_OK;
}

enum nabla_code reporter_spec(struct reporter *reporter, struct buffer *ret, struct nabla_error *err)
{
    struct line_answer answer;
    struct message spec;
    enum nabla_code code = get_job(reporter, &answer, err);
    if (!code) {
        const struct message job = {answer.body.data, answer.body.size};
        code = check_attempt(reporter, job, err);
        if (!code && !message_field(job, "spec", &spec))
            code = nabla_fail(err, NABLA_INVALID, NULL, "the server's job has no spec");
        if (!code && !buffer_append(ret, spec.text, spec.size))
            code = buffer_status(ret, "the job's document", err);
        take_request(reporter, &answer);
    }
    line_answer_free(&answer);
    return code;
}

static enum nabla_code look_at_job(struct reporter *reporter, struct nabla_error *err)
{
    struct line_answer answer;
    enum nabla_code code = get_job(reporter, &answer, err);
    if (!code)
        code = check_attempt(reporter, (struct message){answer.body.data, answer.body.size}, err);
    if (!code)
        take_request(reporter, &answer);
    line_answer_free(&answer);
    return code;
}

static enum nabla_code send_batch(struct reporter *reporter, const struct queued_record *first,
                                  struct nabla_error *err)
{
    struct buffer body = buffer_new(BATCH_LIMIT);
    batch_encode(reporter->attempt, first, &body);
    enum nabla_code code = buffer_status(&body, "a batch of records", err);
    if (!code)
        code = post(reporter, "metrics", &body, err);
    buffer_free(&body);
    return code;
}

// The records of a batch: at least one, then as many as fit. Returns the last.
static struct queued_record *batch_end(struct queued_record *first)
{
    struct queued_record *last = first;
    size_t numbers = queued_record_numbers(first);
    while (last->next && numbers + queued_record_numbers(last->next) <= BATCH_NUMBERS) {
        last = last->next;
        numbers += queued_record_numbers(last);
    }
    return last;
}

static size_t batch_numbers(const struct queued_record *first)
{
    size_t numbers = 0;
    for (; first; first = first->next)
        numbers += queued_record_numbers(first);
    return numbers;
}

// Takes a batch off the queue, to be sent. The lock is held.
static void batch_take(struct reporter *reporter)
{
    if (!reporter->first)
        return;
    struct queued_record *last = batch_end(reporter->first);
    reporter->sending = reporter->first;
    reporter->first = last->next;
    if (!reporter->first)
        reporter->last = NULL;
    last->next = NULL;
    reporter->numbers -= batch_numbers(reporter->sending);
    pthread_cond_broadcast(&reporter->change);
}

// What is to be done: a batch to be sent (reporter->sending), events (or NULL), without either a look at the
// job. False: it is time to end.
static bool await_work(struct reporter *reporter, int64_t sent_ms, struct queued_event **ret_events)
{
    pthread_mutex_lock(&reporter->lock);
    for (;;) {
        bool is_waiting = reporter->first || reporter->events;
        int64_t due = sent_ms + (is_waiting ? BATCH_MS : LOOK_MS);
        bool is_full = reporter->numbers >= BATCH_NUMBERS;
        bool is_now = is_full || reporter->is_closing || clock_monotonic_ms() >= due;
        if (reporter->is_stopped || is_now)
            break;
        wait_until(reporter, due);
    }
    bool going = !reporter->is_stopped && (reporter->first || reporter->events || !reporter->is_closing);
    if (going) {
        batch_take(reporter);
        *ret_events = reporter->events;
        reporter->events = NULL;
    }
    pthread_mutex_unlock(&reporter->lock);
    return going;
}

static void batch_acknowledged(struct reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    records_free(reporter->sending);
    reporter->sending = NULL;
    pthread_mutex_unlock(&reporter->lock);
}

static enum nabla_code send_events(struct reporter *reporter, const struct queued_event *first,
                                   struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (const struct queued_event *at = first; at && !code; at = at->next) {
        struct buffer body = buffer_new(BATCH_LIMIT);
        buffer_format(&body, "{\"attempt\":%u,\"event\":\"%s\",\"detail\":", reporter->attempt, at->event);
        buffer_json_string(&body, at->detail);
        buffer_char(&body, '}');
        code = buffer_status(&body, "an event", err);
        if (!code)
            code = post(reporter, "events", &body, err);
        buffer_free(&body);
    }
    return code;
}

static void sender_end(struct reporter *reporter, enum nabla_code code, const struct nabla_error *err)
{
    pthread_mutex_lock(&reporter->lock);
    reporter->ended = code;
    snprintf(reporter->problem, sizeof reporter->problem, "%.255s", err->text);
    pthread_cond_broadcast(&reporter->change);
    pthread_mutex_unlock(&reporter->lock);
}

static void *sender_main(void *context)
{
    struct reporter *reporter = context;
    struct nabla_error err;
    struct queued_event *events = NULL;
    enum nabla_code code = NABLA_OK;
    int64_t sent_ms = clock_monotonic_ms();
    while (!code && await_work(reporter, sent_ms, &events)) {
        sent_ms = clock_monotonic_ms();
        if (reporter->sending)
            code = send_batch(reporter, reporter->sending, &err);
        if (!code)
            batch_acknowledged(reporter);
        if (!code)
            code = events ? send_events(reporter, events, &err) : look_at_job(reporter, &err);
        events_free(events);
    }
    if (code)
        sender_end(reporter, code, &err);
    return NULL;
}

enum nabla_code reporter_start(struct reporter *reporter, struct nabla_error *err)
{
    if (pthread_create(&reporter->sender, NULL, sender_main, reporter))
        return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the reporter's thread");
    reporter->is_running = true;
    return NABLA_OK;
}

// The lock is held.
static enum nabla_code standing(const struct reporter *reporter, struct nabla_error *err)
{
    if (reporter->ended)
        return nabla_fail(err, reporter->ended, NULL, "%s", reporter->problem);
    if (reporter->requested)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "the job is to be %s",
                          reporter->requested == REPORTER_PAUSE ? "paused" : "cancelled");
    if (reporter->is_stopped)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "the server is gone");
    return NABLA_OK;
}

enum nabla_code reporter_poll(struct reporter *reporter, struct nabla_error *err)
{
    pthread_mutex_lock(&reporter->lock);
    enum nabla_code code = standing(reporter, err);
    pthread_mutex_unlock(&reporter->lock);
    return code;
}

enum nabla_code reporter_pause(struct reporter *reporter, int64_t milliseconds, struct nabla_error *err)
{
    back_off(reporter, milliseconds);
    return reporter_poll(reporter, err);
}

enum reporter_request reporter_requested(struct reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    enum reporter_request requested = reporter->requested;
    pthread_mutex_unlock(&reporter->lock);
    return requested;
}

static void enqueue(struct reporter *reporter, struct queued_record *queued)
{
    pthread_mutex_lock(&reporter->lock);
    while (!standing(reporter, NULL) && reporter->numbers >= QUEUE_NUMBERS)
        pthread_cond_wait(&reporter->change, &reporter->lock);
    *(reporter->last ? &reporter->last->next : &reporter->first) = queued;
    reporter->last = queued;
    reporter->numbers += queued_record_numbers(queued);
    pthread_cond_broadcast(&reporter->change);
    pthread_mutex_unlock(&reporter->lock);
}

enum nabla_code reporter_record(struct reporter *reporter, const struct step_record *record,
                                const struct train_progress *progress, struct nabla_error *err)
{
    struct queued_record *queued = NULL;
    enum nabla_code code = queued_record_new(record, progress, &queued, err);
    if (code)
        return code;
    reporter->progress = *progress;
    enqueue(reporter, queued);
    return NABLA_OK;
}

enum nabla_code reporter_histograms(struct reporter *reporter, const struct histogram_record *record,
                                    struct nabla_error *err)
{
    struct queued_record *queued = NULL;
    enum nabla_code code = queued_histograms_new(record, &reporter->progress, &queued, err);
    if (!code)
        enqueue(reporter, queued);
    return code;
}

static void encode_line(const struct queued_record *first, struct buffer *ret)
{
    batch_encode_rest(first, ret);
    buffer_char(ret, '\n');
}

// The queue in pieces of a batch each; it is cut for the moment of writing.
static void encode_queue(struct queued_record *first, struct buffer *ret)
{
    while (first) {
        struct queued_record *last = batch_end(first), *next = last->next;
        last->next = NULL;
        encode_line(first, ret);
        last->next = next;
        first = next;
    }
}

enum nabla_code reporter_unsent(struct reporter *reporter, struct buffer *ret, struct nabla_error *err)
{
    pthread_mutex_lock(&reporter->lock);
    if (reporter->sending)
        encode_line(reporter->sending, ret);
    encode_queue(reporter->first, ret);
    pthread_mutex_unlock(&reporter->lock);
    return buffer_status(ret, "what was not sent yet", err);
}

enum nabla_code reporter_resend(struct reporter *reporter, const char *lines, size_t size,
                                struct nabla_error *err)
{
    const char *at = lines, *end = lines + size;
    enum nabla_code code = NABLA_OK;
    while (!code && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = stop ? (size_t)(stop - at) : (size_t)(end - at);
        struct buffer body = buffer_new(BATCH_LIMIT);
        batch_encode_attempt(reporter->attempt, &body);
        buffer_append(&body, at, length);
        code = buffer_status(&body, "a batch of records", err);
        if (!code)
            code = post(reporter, "metrics", &body, err);
        buffer_free(&body);
        at += length + 1;
    }
    return code;
}

// Told late where memory is short: never, which costs a line of the log.
void reporter_event(struct reporter *reporter, const char *event, const char *detail)
{
    struct queued_event *queued = calloc(1, sizeof *queued);
    if (!queued)
        return;
    snprintf(queued->event, sizeof queued->event, "%s", event);
    snprintf(queued->detail, sizeof queued->detail, "%s", detail);
    pthread_mutex_lock(&reporter->lock);
    struct queued_event **end = &reporter->events;
    while (*end)
        end = &(*end)->next;
    *end = queued;
    pthread_cond_broadcast(&reporter->change);
    pthread_mutex_unlock(&reporter->lock);
}

static void encode_end(unsigned attempt, const struct reporter_end *end, struct buffer *ret)
{
    buffer_format(ret, "{\"attempt\":%u,\"state\":\"%s\"", attempt, end->state);
    if (end->result)
        buffer_format(ret, ",\"result\":%s", end->result);
    if (end->error)
        buffer_format(ret, ",\"error\":%s", end->error);
    if (end->detail) {
        buffer_text(ret, ",\"detail\":");
        buffer_json_string(ret, end->detail);
    }
    buffer_char(ret, '}');
}

enum nabla_code reporter_finish(struct reporter *reporter, const struct reporter_end *end,
                                struct nabla_error *err)
{
    sender_join(reporter, false);
    // A report that was refused or could not be made is a reason to tell; a server that is gone, or wants no
    // more of this attempt, is not.
    const bool is_unwanted = reporter->ended == NABLA_CONFLICT || reporter->ended == NABLA_CANCELLED;
    if (is_unwanted || (reporter->ended && !end->error))
        return nabla_fail(err, reporter->ended, NULL, "%s", reporter->problem);
    struct buffer body = buffer_new(BATCH_LIMIT);
    encode_end(reporter->attempt, end, &body);
    enum nabla_code code = buffer_status(&body, "the final state", err);
    if (!code)
        code = post(reporter, "state", &body, err);
    buffer_free(&body);
    return code;
}
