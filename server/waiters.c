#include "server/waiters.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct waiters {
    pthread_mutex_t lock;
    pthread_cond_t change; // on the monotonic clock
    struct waiter *first;
    bool stopping;
    pthread_t timer;
    bool has_timer;
};

// Resumes those that `is_due` picks; the lock is held. A waiter is unlinked before it is resumed, because its
// memory may go right after.
static void resume_due(struct waiters *waiters, bool (*is_due)(const struct waiter *, const void *),
                       const void *detail)
{
    for (struct waiter **at = &waiters->first; *at;) {
        struct waiter *waiter = *at;
        if (!is_due(waiter, detail)) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->resume(waiter->context);
    }
}

static bool is_past(const struct waiter *waiter, const void *now)
{
    return waiter->wait.deadline_ms <= *(const int64_t *)now;
}

static bool is_any(const struct waiter *waiter, const void *nothing)
{
    (void)waiter, (void)nothing;
    return true;
}

static bool is_changed(const struct waiter *waiter, const void *detail)
{
    const struct api_wait *change = detail;
    return waiter->wait.revision < change->revision && strcmp(waiter->wait.job, change->job) == 0;
}

static int64_t earliest_deadline(const struct waiters *waiters)
{
    int64_t earliest = INT64_MAX;
    for (const struct waiter *at = waiters->first; at; at = at->next)
        if (at->wait.deadline_ms < earliest)
            earliest = at->wait.deadline_ms;
    return earliest;
}

static void *timer_main(void *context)
{
    struct waiters *waiters = context;
    pthread_mutex_lock(&waiters->lock);
    while (!waiters->stopping) {
        int64_t now = clock_monotonic_ms();
        resume_due(waiters, is_past, &now);
        int64_t deadline = earliest_deadline(waiters);
        if (deadline == INT64_MAX) {
            pthread_cond_wait(&waiters->change, &waiters->lock);
        } else {
            struct timespec at = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
            pthread_cond_timedwait(&waiters->change, &waiters->lock, &at);
        }
    }
    pthread_mutex_unlock(&waiters->lock);
    return NULL;
}

enum nabla_code waiters_new(struct waiters **ret, struct nabla_error *err)
{
    struct waiters *waiters = calloc(1, sizeof *waiters);
    if (!waiters)
        return nabla_fail_memory(err, "the table of waiters");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&waiters->lock, NULL);
    pthread_cond_init(&waiters->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    waiters->has_timer = pthread_create(&waiters->timer, NULL, timer_main, waiters) == 0;
    if (!waiters->has_timer) {
        waiters_free(waiters);
        return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the waiters' timer thread");
    }
    *ret = waiters;
    return NABLA_OK;
}

void waiters_free(struct waiters *waiters)
{
    if (!waiters)
        return;
    waiters_stop(waiters);
    if (waiters->has_timer)
        pthread_join(waiters->timer, NULL);
    pthread_cond_destroy(&waiters->change);
    pthread_mutex_destroy(&waiters->lock);
    free(waiters);
}

bool waiters_add(struct waiters *waiters, struct waiter *waiter)
{
    pthread_mutex_lock(&waiters->lock);
    bool taken = !waiters->stopping;
    if (taken) {
        waiter->next = waiters->first;
        waiters->first = waiter;
        pthread_cond_signal(&waiters->change);
    }
    pthread_mutex_unlock(&waiters->lock);
    return taken;
}

void waiters_notify(struct waiters *waiters, const char *job_id, uint64_t revision)
{
    struct api_wait change = {.revision = revision};
    size_t length = strnlen(job_id, sizeof change.job - 1);
    memcpy(change.job, job_id, length);
    pthread_mutex_lock(&waiters->lock);
    resume_due(waiters, is_changed, &change);
    pthread_mutex_unlock(&waiters->lock);
}

void waiters_stop(struct waiters *waiters)
{
    pthread_mutex_lock(&waiters->lock);
    waiters->stopping = true;
    resume_due(waiters, is_any, NULL);
    pthread_cond_signal(&waiters->change);
    pthread_mutex_unlock(&waiters->lock);
}
