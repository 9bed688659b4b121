// Two threads: the trainer's puts records into a bounded queue, the sender takes them out in batches. The
// sender alone uses the HTTP client, except before it starts and after it has ended.
#include "server/reporter.h"

#include "base/clock.h"
#include "server/batch.h"
#include "server/client.h"
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
    BATCH_LIMIT = 16 << 20,
    PATH_SIZE = 96,
};

struct reporter {
    struct client *client;
    char job[64];
    unsigned attempt;
    pthread_mutex_t lock;  // of all below
    pthread_cond_t change; // on the monotonic clock
    struct queued_record *first, *last;
    size_t numbers;        // in the queue
    bool is_stopped;       // reporter_stop
    bool is_closing;       // nothing more will be queued
    bool is_cancelled;     // the user asked
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
    const struct client_options client = {.url = "http://worker",
                                          .unix_socket = options->socket,
                                          .token = options->token,
                                          .answer_limit = ANSWER_LIMIT};
    enum nabla_code code = client_new(&client, &reporter->client, err);
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
    records_free(reporter->first);
    client_free(reporter->client);
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
    client_stop(reporter->client);
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
static enum nabla_code judge(const struct client_answer *answer, struct nabla_error *err)
{
    int status = answer->status;
    if (status >= 200 && status < 300)
        return NABLA_OK;
    if (status == 429 || status == 507 || status >= 500)
        return nabla_fail(err, NABLA_BUSY, NULL, "the server answered %d", status);
    if (status == 401 || status == 403 || status == 404 || status == 409)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "the server wants no more of this attempt (%d)", status);
    return nabla_fail(err, NABLA_INVALID, NULL, "the server refused a report with %d: %.300s", status,
                      answer->body.data ? answer->body.data : "");
}

// Sends a request until it is answered one way or the other.
static enum nabla_code send_patiently(struct reporter *reporter, const struct client_request *request,
                                      struct client_answer *ret, struct nabla_error *err)
{
    int64_t wait_ms = BACKOFF_MS;
    for (;;) {
        enum nabla_code code = client_send(reporter->client, request, ret, err);
        if (!code)
            code = judge(ret, err);
        if (code != NABLA_BUSY)
            return code;
        client_answer_free(ret);
        if (!back_off(reporter, wait_ms))
            return nabla_fail(err, NABLA_CANCELLED, NULL, "the server is gone");
        wait_ms = wait_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : wait_ms * 2;
    }
}

static void take_request(struct reporter *reporter, const struct client_answer *answer)
{
    const struct message message = {answer->body.data, answer->body.size};
    char requested[16];
    if (!message.text || !message_text(message, "requested", requested, sizeof requested))
        return; // null: nothing is asked
    pthread_mutex_lock(&reporter->lock);
    reporter->is_cancelled = reporter->is_cancelled || strcmp(requested, "cancel") == 0;
    pthread_mutex_unlock(&reporter->lock);
}

static enum nabla_code post(struct reporter *reporter, const char *route, const struct buffer *body,
                            struct nabla_error *err)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/jobs/%s/%s", reporter->job, route);
    const struct client_request request = {.method = "POST",
                                           .path = path,
                                           .type = "application/json",
                                           .body = body->data,
                                           .body_size = body->size};
    struct client_answer answer;
    enum nabla_code code = send_patiently(reporter, &request, &answer, err);
    if (!code)
        take_request(reporter, &answer);
    client_answer_free(&answer);
    return code;
}

static enum nabla_code get_job(struct reporter *reporter, struct client_answer *ret, struct nabla_error *err)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/jobs/%s", reporter->job);
    const struct client_request request = {.method = "GET", .path = path};
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
    struct client_answer answer;
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
    client_answer_free(&answer);
    return code;
}

static enum nabla_code look_at_job(struct reporter *reporter, struct nabla_error *err)
{
    struct client_answer answer;
    enum nabla_code code = get_job(reporter, &answer, err);
    if (!code)
        code = check_attempt(reporter, (struct message){answer.body.data, answer.body.size}, err);
    if (!code)
        take_request(reporter, &answer);
    client_answer_free(&answer);
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

// Takes a batch off the queue: at least one record, then as many as fit. The lock is held.
static struct queued_record *batch_take(struct reporter *reporter)
{
    struct queued_record *first = reporter->first, *last = first;
    size_t numbers = first ? queued_record_numbers(first) : 0;
    if (!first)
        return NULL;
    while (last->next && numbers + queued_record_numbers(last->next) <= BATCH_NUMBERS) {
        last = last->next;
        numbers += queued_record_numbers(last);
    }
    reporter->first = last->next;
    if (!reporter->first)
        reporter->last = NULL;
    last->next = NULL;
    reporter->numbers -= numbers;
    pthread_cond_broadcast(&reporter->change);
    return first;
}

// Waits until something is to be sent (*ret_batch) or to be looked at (NULL). False: it is time to end.
static bool await_work(struct reporter *reporter, int64_t sent_ms, struct queued_record **ret_batch)
{
    pthread_mutex_lock(&reporter->lock);
    for (;;) {
        int64_t due = sent_ms + (reporter->first ? BATCH_MS : LOOK_MS);
        bool is_full = reporter->numbers >= BATCH_NUMBERS;
        bool is_now = is_full || reporter->is_closing || clock_monotonic_ms() >= due;
        if (reporter->is_stopped || is_now)
            break;
        wait_until(reporter, due);
    }
    bool going = !reporter->is_stopped && (reporter->first || !reporter->is_closing);
    if (going)
        *ret_batch = batch_take(reporter);
    pthread_mutex_unlock(&reporter->lock);
    return going;
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
    struct queued_record *batch = NULL;
    enum nabla_code code = NABLA_OK;
    int64_t sent_ms = clock_monotonic_ms();
    while (!code && await_work(reporter, sent_ms, &batch)) {
        sent_ms = clock_monotonic_ms();
        code = batch ? send_batch(reporter, batch, &err) : look_at_job(reporter, &err);
        records_free(batch);
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
    if (reporter->is_cancelled)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "the job is to be cancelled");
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

bool reporter_is_cancelled(struct reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    bool is_cancelled = reporter->is_cancelled;
    pthread_mutex_unlock(&reporter->lock);
    return is_cancelled;
}

enum nabla_code reporter_record(struct reporter *reporter, const struct step_record *record,
                                const struct train_progress *progress, struct nabla_error *err)
{
    struct queued_record *queued = NULL;
    enum nabla_code code = queued_record_new(record, progress, &queued, err);
    if (code)
        return code;
    pthread_mutex_lock(&reporter->lock);
    while (!(code = standing(reporter, err)) && reporter->numbers >= QUEUE_NUMBERS)
        pthread_cond_wait(&reporter->change, &reporter->lock);
    if (!code) {
        *(reporter->last ? &reporter->last->next : &reporter->first) = queued;
        reporter->last = queued;
        reporter->numbers += queued_record_numbers(queued);
        pthread_cond_broadcast(&reporter->change);
        queued = NULL;
    }
    pthread_mutex_unlock(&reporter->lock);
    free(queued);
    return code;
}

enum nabla_code reporter_finish(struct reporter *reporter, const char *state, const char *result,
                                const char *error, struct nabla_error *err)
{
    sender_join(reporter, false);
    if (reporter->ended)
        return nabla_fail(err, reporter->ended, NULL, "%s", reporter->problem);
    struct buffer body = buffer_new(BATCH_LIMIT);
    buffer_format(&body, "{\"attempt\":%u,\"state\":\"%s\"", reporter->attempt, state);
    if (result)
        buffer_format(&body, ",\"result\":%s", result);
    if (error)
        buffer_format(&body, ",\"error\":%s", error);
    buffer_char(&body, '}');
    enum nabla_code code = buffer_status(&body, "the final state", err);
    if (!code)
        code = post(reporter, "state", &body, err);
    buffer_free(&body);
    return code;
}
