#include "base/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    SPINS = 4000,         // about the time between two products of a step; then a thread sleeps
    STACK_SIZE = 1 << 20, // a part's own needs are some 50 KiB
};

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t called, left; // work was announced or the end; the last helper has left it
    crew_part *part;
    void *context;
    size_t count;
    bool open; // helpers may still join the work
    atomic_size_t next;
    atomic_uint announced; // how much work there has been
    atomic_uint joined;    // helpers at work: changed with the lock held, watched without
    bool ends;
    size_t thread_count;
    pthread_t threads[];
};

static _Thread_local struct crew *entered;

static void spin(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void take_parts(struct crew *crew)
{
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->part(crew->context, i);
}

// Until there is work that this helper has not seen. It sleeps with the lock held, which it returns with.
static bool await_work(struct crew *crew, unsigned *seen)
{
    for (int i = 0; i < SPINS && atomic_load(&crew->announced) == *seen; i++)
        spin();
    pthread_mutex_lock(&crew->lock);
    while (atomic_load(&crew->announced) == *seen && !crew->ends)
        pthread_cond_wait(&crew->called, &crew->lock);
    *seen = atomic_load(&crew->announced);
    return !crew->ends;
}

// A helper that comes too late finds the work closed, and nobody has waited for it.
static void *help(void *context)
{
    struct crew *crew = context;
    for (unsigned seen = 0; await_work(crew, &seen);) {
        if (crew->open) {
            atomic_fetch_add(&crew->joined, 1);
            pthread_mutex_unlock(&crew->lock);
            take_parts(crew);
            pthread_mutex_lock(&crew->lock);
            if (atomic_fetch_sub(&crew->joined, 1) == 1)
                pthread_cond_signal(&crew->left);
        }
        pthread_mutex_unlock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static bool start_thread(struct crew *crew, const pthread_attr_t *attributes)
{
    if (pthread_create(&crew->threads[crew->thread_count], attributes, help, crew) != 0)
        return false;
    crew->thread_count++;
    return true;
}

// Signals are for the process's other threads.
static bool start_threads(struct crew *crew, size_t count)
{
    pthread_attr_t attributes;
    sigset_t all, kept;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    bool started = true;
    while (started && crew->thread_count < count)
        started = start_thread(crew, &attributes);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

enum nabla_code crew_new(size_t threads, struct crew **ret, struct nabla_error *err)
{
    struct crew *crew = calloc(1, sizeof *crew + (threads - 1) * sizeof *crew->threads);
    if (!crew)
        return nabla_fail_memory(err, "the threads");
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->called, NULL);
    pthread_cond_init(&crew->left, NULL);
    if (!start_threads(crew, threads - 1)) {
        crew_free(crew);
        return nabla_fail(err, NABLA_NO_MEMORY, "/training/threads", "cannot start %zu threads", threads);
    }
    *ret = crew;
    return NABLA_OK;
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->ends = true;
    atomic_fetch_add(&crew->announced, 1);
    pthread_cond_broadcast(&crew->called);
    pthread_mutex_unlock(&crew->lock);
    for (size_t i = 0; i < crew->thread_count; i++)
        pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->left);
    pthread_cond_destroy(&crew->called);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}

void crew_enter(struct crew *crew)
{
    entered = crew;
}

bool crew_helps(void)
{
    return entered && entered->thread_count > 0;
}

static void announce(struct crew *crew, crew_part *part, void *context, size_t count)
{
    pthread_mutex_lock(&crew->lock);
    crew->part = part;
    crew->context = context;
    crew->count = count;
    crew->open = true;
    atomic_store(&crew->next, 0);
    atomic_fetch_add(&crew->announced, 1);
    pthread_cond_broadcast(&crew->called);
    pthread_mutex_unlock(&crew->lock);
}

static void await_helpers(struct crew *crew)
{
    for (int i = 0; i < SPINS && atomic_load(&crew->joined) > 0; i++)
        spin();
    pthread_mutex_lock(&crew->lock);
    crew->open = false;
    while (atomic_load(&crew->joined) > 0)
        pthread_cond_wait(&crew->left, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

void crew_share(crew_part *part, void *context, size_t count)
{
    struct crew *crew = entered;
    if (!crew_helps() || count < 2) {
        for (size_t i = 0; i < count; i++)
            part(context, i);
        return;
    }
    announce(crew, part, context, count);
    take_parts(crew);
    await_helpers(crew);
}

struct ranges {
    crew_range *range;
    void *context;
    size_t count, piece;
};

static void take_range(void *context, size_t i)
{
    const struct ranges *ranges = context;
    const size_t first = i * ranges->piece, left = ranges->count - first;
    ranges->range(ranges->context, first, first + (left < ranges->piece ? left : ranges->piece));
}

void crew_share_range(crew_range *range, void *context, size_t count, size_t piece)
{
    struct ranges ranges = {range, context, count, piece};
    crew_share(take_range, &ranges, count / piece + (count % piece > 0));
}
