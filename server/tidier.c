#include "server/tidier.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { ROUND_MS = 1000, BREATH_MS = 2, RETAIN_EVERY = 60 }; // rounds

struct tidier {
    struct store *store;
    struct retention retention;
    const struct log *log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    bool is_stopping;
};

// Waits unless it is to stop. False: it is.
static bool rest(struct tidier *tidier, long milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += milliseconds % 1000 * 1000000;
    until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&tidier->lock);
    while (!tidier->is_stopping && pthread_cond_timedwait(&tidier->stopping, &tidier->lock, &until) == 0)
        ;
    bool goes_on = !tidier->is_stopping;
    pthread_mutex_unlock(&tidier->lock);
    return goes_on;
}

static void complain(const struct tidier *tidier, const char *what, const struct nabla_error *err)
{
    log_write(tidier->log, LOG_WARNING, "%s: %s", what, err->text);
}

static void retain(struct tidier *tidier)
{
    struct nabla_error err = {0};
    size_t count = 0;
    if (store_retain(tidier->store, &tidier->retention, clock_wall_ms(), &count, &err))
        complain(tidier, "retention", &err);
    else if (count > 0)
        log_write(tidier->log, LOG_INFO, "retention took %zu finished jobs, or their histories", count);
}

static void *run(void *context)
{
    struct tidier *tidier = context;
    for (unsigned round = 0; rest(tidier, round ? ROUND_MS : BREATH_MS); round++) {
        struct nabla_error err = {0};
        bool more = true;
        int64_t took_ms = 0; // which the writers then have for themselves
        while (more && rest(tidier, took_ms > BREATH_MS ? (long)took_ms : BREATH_MS)) {
            const int64_t begin_ms = clock_monotonic_ms();
            if (store_tidy(tidier->store, &more, &err)) {
                complain(tidier, "tidying the store", &err);
                break;
            }
            took_ms = clock_monotonic_ms() - begin_ms;
        }
        if (round % RETAIN_EVERY == 0)
            retain(tidier);
    }
    return NULL;
}

enum nabla_code tidier_start(struct store *store, const struct retention *retention, const struct log *log,
                             struct tidier **ret, struct nabla_error *err)
{
    struct tidier *tidier = calloc(1, sizeof *tidier);
    if (!tidier)
        return nabla_fail_memory(err, "a thread that tidies the store");
    tidier->store = store;
    tidier->retention = *retention;
    tidier->log = log;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&tidier->stopping, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&tidier->lock, NULL);
    if (pthread_create(&tidier->thread, NULL, run, tidier) != 0) {
        pthread_mutex_destroy(&tidier->lock);
        pthread_cond_destroy(&tidier->stopping);
        free(tidier);
        return nabla_fail_memory(err, "a thread that tidies the store");
    }
    *ret = tidier;
    return NABLA_OK;
}

void tidier_stop(struct tidier *tidier)
{
    if (!tidier)
        return;
    pthread_mutex_lock(&tidier->lock);
    tidier->is_stopping = true;
    pthread_cond_signal(&tidier->stopping);
    pthread_mutex_unlock(&tidier->lock);
    pthread_join(tidier->thread, NULL);
    pthread_mutex_destroy(&tidier->lock);
    pthread_cond_destroy(&tidier->stopping);
    free(tidier);
}
