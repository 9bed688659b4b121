#include "server/compute_pool.h"

#include "base/size.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICENESS = 5, WAITING_MOST = 32 }; // threads that wait, beside those that work

struct task {
    void (*run)(void *context);
    void *context;
};

struct compute_pool {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct task *tasks; // a ring of `capacity`
    size_t capacity, first, count;
    bool stopping;
    size_t working, working_most;
    size_t thread_count;
    pthread_t threads[];
};

static _Thread_local struct compute_pool *own_pool; // of a pool's thread

static bool may_take(const struct compute_pool *pool)
{
    return pool->count > 0 && pool->working < pool->working_most;
}

static bool task_take(struct compute_pool *pool, struct task *ret)
{
    pthread_mutex_lock(&pool->lock);
    while (!may_take(pool) && !(pool->stopping && pool->count == 0))
        pthread_cond_wait(&pool->change, &pool->lock);
    bool taken = pool->count > 0;
    if (taken) {
        *ret = pool->tasks[pool->first];
        pool->first = (pool->first + 1) % pool->capacity;
        pool->count--;
        pool->working++;
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

static void work_less(struct compute_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->working--;
    if (pool->stopping)
        pthread_cond_broadcast(&pool->change);
    else if (pool->count > 0)
        pthread_cond_signal(&pool->change);
    pthread_mutex_unlock(&pool->lock);
}

void compute_pool_pause(bool begins)
{
    struct compute_pool *pool = own_pool;
    if (!pool)
        return;
    if (begins) {
        work_less(pool);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->working++; // perhaps one above the most, until a task ends
    pthread_mutex_unlock(&pool->lock);
}

// What serves sockets goes first: a refusal and a health check must not wait for a loss.
static void *pool_main(void *context)
{
    struct task task;
    own_pool = context;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    while (task_take(own_pool, &task)) {
        task.run(task.context);
        work_less(own_pool);
    }
    return NULL;
}

enum nabla_code compute_pool_new(unsigned threads, unsigned queue, struct compute_pool **ret,
                                 struct nabla_error *err)
{
    struct compute_pool *pool = calloc(1, sizeof *pool + (threads + WAITING_MOST) * sizeof *pool->threads);
    if (!pool)
        return nabla_fail_memory(err, "the compute pool");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->change, NULL);
    pool->capacity = queue;
    pool->working_most = threads;
    pool->tasks = size_alloc(queue, 1, sizeof *pool->tasks);
    bool started = pool->tasks != NULL;
    while (started && pool->thread_count < threads + WAITING_MOST) {
        started = pthread_create(&pool->threads[pool->thread_count], NULL, pool_main, pool) == 0;
        pool->thread_count += started;
    }
    if (!started) {
        compute_pool_free(pool);
        return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the compute pool's threads");
    }
    *ret = pool;
    return NABLA_OK;
}

bool compute_pool_submit(struct compute_pool *pool, void (*run)(void *context), void *context)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->count < pool->capacity;
    if (room) {
        size_t last = (pool->first + pool->count++) % pool->capacity;
        pool->tasks[last] = (struct task){run, context};
        pthread_cond_signal(&pool->change);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

size_t compute_pool_waiting(struct compute_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->count;
    pthread_mutex_unlock(&pool->lock);
    return count;
}

bool compute_pool_is_full(struct compute_pool *pool)
{
    return compute_pool_waiting(pool) >= pool->capacity;
}

void compute_pool_free(struct compute_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->change);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->change);
    pthread_mutex_destroy(&pool->lock);
    free(pool->tasks);
    free(pool);
}
