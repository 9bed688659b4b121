// One thread sleeps on an epoll set that holds the sockets of all who wait, and nothing else than their ends:
// the HTTP library does not look at a connection while it is suspended, so that a client that has left would
// keep its place until it is written to. The events are taken with the lock held, under which sockets enter
// and leave the set: an event is always of someone who still waits.
#include "server/waiters.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ENDS_AT_ONCE = 64 };

struct waiters {
    pthread_mutex_t lock;
    struct waiter *first;
    bool stopping, has_thread;
    int64_t asleep_until_ms; // the thread, as far as it is for the clock
    int set;                 // epoll, of the sockets and of `wake`, which has no waiter
    int wake;                // eventfd
    pthread_t thread;
};

// The lock is held in all of these.

static void waiter_link(struct waiters *waiters, struct waiter *waiter)
{
    waiter->is_gone = false;
    waiter->previous = NULL;
    waiter->next = waiters->first;
    if (waiter->next)
        waiter->next->previous = waiter;
    waiters->first = waiter;
    struct epoll_event end = {.events = EPOLLRDHUP | EPOLLONESHOT, .data = {.ptr = waiter}};
    if (waiter->fd >= 0 && epoll_ctl(waiters->set, EPOLL_CTL_ADD, waiter->fd, &end))
        waiter->fd = -1; // no memory: its end is seen when it is written to
}

// Unlinked before it is resumed, because its memory and its socket may go right after.
static void waiter_resume(struct waiters *waiters, struct waiter *waiter)
{
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        waiters->first = waiter->next;
    if (waiter->fd >= 0)
        epoll_ctl(waiters->set, EPOLL_CTL_DEL, waiter->fd, NULL);
    waiter->resume(waiter->context);
}

static void resume_due(struct waiters *waiters, bool (*is_due)(const struct waiter *, const void *),
                       const void *detail)
{
    for (struct waiter *at = waiters->first, *next; at; at = next) {
        next = at->next;
        if (is_due(at, detail))
            waiter_resume(waiters, at);
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
    const struct api_watch *change = detail;
    const struct api_wait *wait = &waiter->wait;
    if (wait->revision < change->revision && strcmp(wait->job, change->job) == 0)
        return true;
    for (size_t i = 0; i < wait->other_count; i++)
        if (wait->others[i].revision < change->revision && strcmp(wait->others[i].job, change->job) == 0)
            return true;
    return false;
}

static int64_t earliest_deadline(const struct waiters *waiters)
{
    int64_t earliest = INT64_MAX;
    for (const struct waiter *at = waiters->first; at; at = at->next)
        if (at->wait.deadline_ms < earliest)
            earliest = at->wait.deadline_ms;
    return earliest;
}

static void quieten(const struct waiters *waiters)
{
    uint64_t times;
    while (read(waiters->wake, &times, sizeof times) < 0 && errno == EINTR)
        ;
}

static void resume_gone(struct waiters *waiters)
{
    struct epoll_event ends[ENDS_AT_ONCE];
    int count;
    while ((count = epoll_wait(waiters->set, ends, ENDS_AT_ONCE, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            struct waiter *waiter = ends[i].data.ptr;
            if (!waiter) {
                quieten(waiters);
                continue;
            }
            waiter->is_gone = true;
            waiter_resume(waiters, waiter);
        }
    }
}

static void wake(const struct waiters *waiters)
{
    const uint64_t once = 1;
    while (write(waiters->wake, &once, sizeof once) < 0 && errno == EINTR)
        ;
}

static int milliseconds_until(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_monotonic_ms();
    if (deadline_ms == INT64_MAX)
        return -1;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

// --- the thread

static void *watch(void *context)
{
    struct waiters *waiters = context;
    pthread_mutex_lock(&waiters->lock);
    while (!waiters->stopping) {
        resume_gone(waiters);
        int64_t now = clock_monotonic_ms();
        resume_due(waiters, is_past, &now);
        int64_t until = waiters->asleep_until_ms = earliest_deadline(waiters);
        pthread_mutex_unlock(&waiters->lock);
        struct pollfd news = {.fd = waiters->set, .events = POLLIN};
        poll(&news, 1, milliseconds_until(until));
        pthread_mutex_lock(&waiters->lock);
    }
    pthread_mutex_unlock(&waiters->lock);
    return NULL;
}

static bool open_set(struct waiters *waiters)
{
    struct epoll_event woken = {.events = EPOLLIN};
    waiters->set = epoll_create1(EPOLL_CLOEXEC);
    waiters->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return waiters->set >= 0 && waiters->wake >= 0 &&
           epoll_ctl(waiters->set, EPOLL_CTL_ADD, waiters->wake, &woken) == 0;
}

enum nabla_code waiters_new(struct waiters **ret, struct nabla_error *err)
{
    struct waiters *waiters = calloc(1, sizeof *waiters);
    if (!waiters)
        return nabla_fail_memory(err, "the table of waiters");
    pthread_mutex_init(&waiters->lock, NULL);
    enum nabla_code code = NABLA_OK;
    if (!open_set(waiters))
        code = nabla_fail(err, NABLA_IO, NULL, "cannot watch who waits: %s", strerror(errno));
    else if (!(waiters->has_thread = pthread_create(&waiters->thread, NULL, watch, waiters) == 0))
        code = nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the waiters' thread");
    if (code)
        waiters_free(waiters);
    else
        *ret = waiters;
    return code;
}

void waiters_free(struct waiters *waiters)
{
    if (!waiters)
        return;
    if (waiters->has_thread) {
        waiters_stop(waiters);
        pthread_join(waiters->thread, NULL);
    }
    if (waiters->wake >= 0)
        close(waiters->wake);
    if (waiters->set >= 0)
        close(waiters->set);
    pthread_mutex_destroy(&waiters->lock);
    free(waiters);
}

bool waiters_add(struct waiters *waiters, struct waiter *waiter)
{
    pthread_mutex_lock(&waiters->lock);
    bool taken = !waiters->stopping;
    if (taken) {
        int64_t deadline_ms = waiter->wait.deadline_ms;
        waiter_link(waiters, waiter);
        if (deadline_ms < waiters->asleep_until_ms)
            wake(waiters);
    }
    pthread_mutex_unlock(&waiters->lock);
    return taken;
}

void waiters_notify(struct waiters *waiters, const char *job_id, uint64_t revision)
{
    struct api_watch change = {.revision = revision};
    size_t length = strnlen(job_id, sizeof change.job - 1);
    memcpy(change.job, job_id, length);
    pthread_mutex_lock(&waiters->lock);
    resume_due(waiters, is_changed, &change);
    pthread_mutex_unlock(&waiters->lock);
}

void waiters_find_gone(struct waiters *waiters)
{
    pthread_mutex_lock(&waiters->lock);
    resume_gone(waiters);
    pthread_mutex_unlock(&waiters->lock);
}

void waiters_stop(struct waiters *waiters)
{
    pthread_mutex_lock(&waiters->lock);
    waiters->stopping = true;
    resume_due(waiters, is_any, NULL);
    wake(waiters);
    pthread_mutex_unlock(&waiters->lock);
}
