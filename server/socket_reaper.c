#include "server/socket_reaper.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum {
    ROUND_MS = 500, // how late a deadline may be noticed
    REST_MS = 1000, // the library may have read the next request already
};

struct socket_entry {
    int fd;
    atomic_int_fast64_t deadline_ms; // set with each request, so without the lock
    atomic_int_fast64_t look_ms;     // from when on nothing but an end is awaited; INT64_MAX: it is busy
    struct socket_entry *previous, *next;
};

struct socket_reaper {
    pthread_mutex_t lock;
    pthread_cond_t stop; // on the monotonic clock
    struct socket_entry *first;
    unsigned count;
    bool stopping, has_thread;
    pthread_t thread;
};

static bool has_hung_up(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// Makes the library look again. It may still answer a request that has come at this very moment.
static void look(struct socket_entry *at, int64_t now)
{
    if (atomic_load_explicit(&at->look_ms, memory_order_relaxed) > now || !has_hung_up(at->fd))
        return;
    shutdown(at->fd, SHUT_RD);
    atomic_store_explicit(&at->look_ms, INT64_MAX, memory_order_relaxed);
}

static void reap(struct socket_reaper *reaper, int64_t now)
{
    for (struct socket_entry *at = reaper->first; at; at = at->next) {
        if (atomic_load_explicit(&at->deadline_ms, memory_order_relaxed) > now) {
            look(at, now);
            continue;
        }
        shutdown(at->fd, SHUT_RDWR); // the HTTP library then sees it closed, and closes it
        atomic_store_explicit(&at->deadline_ms, INT64_MAX, memory_order_relaxed);
    }
}

static void *reaper_main(void *context)
{
    struct socket_reaper *reaper = context;
    pthread_mutex_lock(&reaper->lock);
    while (!reaper->stopping) {
        int64_t next = clock_monotonic_ms() + ROUND_MS;
        struct timespec at = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000};
        pthread_cond_timedwait(&reaper->stop, &reaper->lock, &at);
        reap(reaper, clock_monotonic_ms());
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

enum nabla_code socket_reaper_new(struct socket_reaper **ret, struct nabla_error *err)
{
    struct socket_reaper *reaper = calloc(1, sizeof *reaper);
    if (!reaper)
        return nabla_fail_memory(err, "the socket reaper");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_cond_init(&reaper->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    reaper->has_thread = pthread_create(&reaper->thread, NULL, reaper_main, reaper) == 0;
    if (!reaper->has_thread) {
        socket_reaper_free(reaper);
        return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the socket reaper's thread");
    }
    *ret = reaper;
    return NABLA_OK;
}

void socket_reaper_free(struct socket_reaper *reaper)
{
    if (!reaper)
        return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stopping = true;
    pthread_cond_signal(&reaper->stop);
    pthread_mutex_unlock(&reaper->lock);
    if (reaper->has_thread)
        pthread_join(reaper->thread, NULL);
    pthread_cond_destroy(&reaper->stop);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

struct socket_entry *socket_reaper_add(struct socket_reaper *reaper, int fd, int64_t deadline_ms,
                                       unsigned *ret_count)
{
    struct socket_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->fd = fd;
    atomic_init(&entry->deadline_ms, deadline_ms);
    atomic_init(&entry->look_ms, INT64_MAX);
    pthread_mutex_lock(&reaper->lock);
    entry->next = reaper->first;
    if (entry->next)
        entry->next->previous = entry;
    reaper->first = entry;
    *ret_count = ++reaper->count;
    pthread_mutex_unlock(&reaper->lock);
    return entry;
}

void socket_reaper_remove(struct socket_reaper *reaper, struct socket_entry *entry)
{
    if (!entry)
        return;
    pthread_mutex_lock(&reaper->lock);
    if (entry->next)
        entry->next->previous = entry->previous;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        reaper->first = entry->next;
    reaper->count--;
    pthread_mutex_unlock(&reaper->lock);
    free(entry);
}

unsigned socket_reaper_count(struct socket_reaper *reaper)
{
    pthread_mutex_lock(&reaper->lock);
    unsigned count = reaper->count;
    pthread_mutex_unlock(&reaper->lock);
    return count;
}

void socket_entry_set(struct socket_entry *entry, int64_t deadline_ms)
{
    atomic_store_explicit(&entry->deadline_ms, deadline_ms, memory_order_relaxed);
    atomic_store_explicit(&entry->look_ms, INT64_MAX, memory_order_relaxed);
}

void socket_entry_rest(struct socket_entry *entry, int64_t now_ms, int64_t deadline_ms)
{
    atomic_store_explicit(&entry->deadline_ms, deadline_ms, memory_order_relaxed);
    atomic_store_explicit(&entry->look_ms, now_ms + REST_MS, memory_order_relaxed);
}
