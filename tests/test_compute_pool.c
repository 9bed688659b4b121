// How many tasks of the pool work at a time, and that one that waits lets another one work.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/compute_pool.h"

#include <semaphore.h>
#include <stdatomic.h>

enum { TASKS = 50 };

struct work {
    atomic_int working, most, done;
};

static void work_alone(void *context)
{
    struct work *work = context;
    const int now = atomic_fetch_add(&work->working, 1) + 1;
    int most = atomic_load(&work->most);
    while (now > most && !atomic_compare_exchange_weak(&work->most, &most, now))
        continue;
    for (volatile int i = 0; i < 20000; i++)
        continue;
    atomic_fetch_sub(&work->working, 1);
    atomic_fetch_add(&work->done, 1);
}

static void no_more_work_than_threads(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct work work = {0};
        struct compute_pool *pool;
        assert_int_equal(compute_pool_new(threads, TASKS, &pool, NULL), NABLA_OK);
        for (int i = 0; i < TASKS; i++)
            assert_true(compute_pool_submit(pool, work_alone, &work));
        compute_pool_free(pool); // which lets them end
        assert_int_equal(atomic_load(&work.done), TASKS);
        assert_true(atomic_load(&work.most) >= 1 && atomic_load(&work.most) <= (int)threads);
    }
}

struct pair {
    sem_t is_met;
    bool first_met;
};

static void wait_for_other(void *context)
{
    struct pair *pair = context;
    compute_pool_pause(true);
    sem_wait(&pair->is_met);
    compute_pool_pause(false);
    pair->first_met = true;
}

static void meet_other(void *context)
{
    struct pair *pair = context;
    sem_post(&pair->is_met);
}

// Without the pause the only thread would wait for a task that waits for it.
static void who_waits_lets_another_work(void **state)
{
    (void)state;
    struct pair pair = {.first_met = false};
    struct compute_pool *pool;
    sem_init(&pair.is_met, 0, 0);
    assert_int_equal(compute_pool_new(1, 4, &pool, NULL), NABLA_OK);
    assert_true(compute_pool_submit(pool, wait_for_other, &pair));
    assert_true(compute_pool_submit(pool, meet_other, &pair));
    compute_pool_free(pool);
    assert_true(pair.first_met);
    sem_destroy(&pair.is_met);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_more_work_than_threads),
                                       cmocka_unit_test(who_waits_lets_another_work)};
    compute_pool_pause(true); // a thread of no pool: nothing happens
    return cmocka_run_group_tests(tests, NULL, NULL);
}
