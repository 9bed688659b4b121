// The two places where a request may stay for a while: the table of waiters and the compute pool.
#include "base/clock.h"
#include "server/compute_pool.h"
#include "server/waiters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// Counts what was called; waited for instead of slept for.
struct bell {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned rung;
    bool is_open; // of a gate that tasks wait at
};

static struct bell bell_new(void)
{
    return (struct bell){.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
}

static void ring(void *context)
{
    struct bell *bell = context;
    pthread_mutex_lock(&bell->lock);
    bell->rung++;
    pthread_cond_broadcast(&bell->change);
    pthread_mutex_unlock(&bell->lock);
}

static unsigned rung(struct bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    unsigned times = bell->rung;
    pthread_mutex_unlock(&bell->lock);
    return times;
}

static void await_rung(struct bell *bell, unsigned times)
{
    pthread_mutex_lock(&bell->lock);
    while (bell->rung < times)
        pthread_cond_wait(&bell->change, &bell->lock);
    pthread_mutex_unlock(&bell->lock);
}

static struct waiter waiter_of(const char *job, uint64_t revision, int64_t deadline_ms, struct bell *bell)
{
    struct waiter waiter = {.wait = {.revision = revision, .deadline_ms = deadline_ms},
                            .resume = ring,
                            .context = bell,
                            .fd = -1};
    snprintf(waiter.wait.job, sizeof waiter.wait.job, "%s", job);
    return waiter;
}

// A change that is told, and how often the waiter has been resumed by then.
struct notice {
    const char *comment, *job;
    uint64_t revision;
    unsigned rung;
};

static void tell_waiter(struct waiter *waiter, struct bell *bell, const struct notice *notices, size_t count)
{
    struct waiters *waiters;
    assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
    assert_true(waiters_add(waiters, waiter));
    for (size_t i = 0; i < count; i++) {
        waiters_notify(waiters, notices[i].job, notices[i].revision);
        if (rung(bell) != notices[i].rung)
            fail_msg("%s: resumed %u times", notices[i].comment, rung(bell));
    }
    waiters_free(waiters);
}

static void a_waiter_is_resumed_by_a_newer_revision_of_its_job_alone(void **state)
{
    (void)state;
    static const struct notice notices[] = {
        {"another job", "job_b", 9, 0},
        {"an older revision", "job_a", 4, 0},
        {"the revision that it has seen", "job_a", 5, 0},
        {"a newer one", "job_a", 6, 1},
        {"once only", "job_a", 7, 1},
    };
    struct bell bell = bell_new();
    struct waiter waiter = waiter_of("job_a", 5, INT64_MAX, &bell);
    tell_waiter(&waiter, &bell, notices, sizeof notices / sizeof *notices);
}

static void a_waiter_of_several_jobs_is_resumed_by_any_of_them(void **state)
{
    (void)state;
    static const struct notice notices[] = {
        {"another job", "job_d", 99, 0},      {"the first, seen", "job_a", 5, 0},
        {"the second, seen", "job_b", 7, 0},  {"the third, where the second would be new", "job_c", 8, 0},
        {"the third, newer", "job_c", 10, 1}, {"once only", "job_a", 6, 1},
    };
    static const struct api_watch others[] = {{"job_b", 7}, {"job_c", 9}};
    struct bell bell = bell_new();
    struct waiter waiter = waiter_of("job_a", 5, INT64_MAX, &bell);
    waiter.wait.others = others;
    waiter.wait.other_count = 2;
    tell_waiter(&waiter, &bell, notices, sizeof notices / sizeof *notices);
}

static void a_waiter_is_resumed_at_its_deadline(void **state)
{
    (void)state;
    struct bell late = bell_new(), soon = bell_new();
    struct waiters *waiters;
    assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
    int64_t now = clock_monotonic_ms();
    struct waiter never = waiter_of("job_a", 5, INT64_MAX, &late);
    struct waiter first = waiter_of("job_a", 5, now + 20, &soon), second = waiter_of("job_b", 5, now, &soon);
    assert_true(waiters_add(waiters, &never));
    assert_true(waiters_add(waiters, &first));
    assert_true(waiters_add(waiters, &second));
    await_rung(&soon, 2);
    assert_true(clock_monotonic_ms() >= now + 20);
    assert_int_equal(rung(&late), 0);
    waiters_free(waiters);
}

// A waiter on one end of a pair of sockets; the other end is ret_client.
static struct waiter waiter_on_socket(struct bell *bell, int *ret_client)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct waiter waiter = waiter_of("job_a", 5, INT64_MAX, bell);
    waiter.fd = pair[0];
    *ret_client = pair[1];
    return waiter;
}

static void close_client(int client)
{
    close(client);
}

static void close_sending_side(int client)
{
    assert_int_equal(shutdown(client, SHUT_WR), 0);
}

static void send_and_close(int client)
{
    assert_int_equal(write(client, "GET", 3), 3);
    close(client);
}

static void a_waiter_is_resumed_when_its_client_hangs_up(void **state)
{
    (void)state;
    static const struct {
        const char *comment;
        void (*hang_up)(int client);
        bool is_before; // it begins to wait
    } cases[] = {
        {"closed", close_client, false},
        {"closed for sending", close_sending_side, false},
        {"closed behind another request", send_and_close, false},
        {"closed already", close_client, true},
    };
    struct waiters *waiters;
    assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].comment);
        struct bell bell = bell_new(), other = bell_new();
        int client, other_client;
        struct waiter waiter = waiter_on_socket(&bell, &client),
                      beside = waiter_on_socket(&other, &other_client);
        assert_true(waiters_add(waiters, &beside));
        if (cases[i].is_before)
            cases[i].hang_up(client);
        assert_true(waiters_add(waiters, &waiter));
        if (!cases[i].is_before)
            cases[i].hang_up(client);
        await_rung(&bell, 1);
        assert_true(waiter.is_gone);
        assert_int_equal(write(other_client, "GET", 3), 3); // no end
        waiters_find_gone(waiters);
        assert_int_equal(rung(&other), 0);
        waiters_notify(waiters, "job_a", 6);
        assert_int_equal(rung(&bell), 1);
        assert_int_equal(rung(&other), 1);
        assert_false(beside.is_gone);
        close(waiter.fd);
        close(beside.fd);
        close(other_client);
    }
    waiters_free(waiters);
}

// Whoever was resumed is no longer watched, and can wait again.
static void a_waiter_waits_again_on_the_same_socket(void **state)
{
    (void)state;
    struct bell bell = bell_new();
    struct waiters *waiters;
    int client;
    assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
    struct waiter waiter = waiter_on_socket(&bell, &client);
    for (unsigned times = 1; times <= 3; times++) {
        assert_true(waiters_add(waiters, &waiter));
        waiters_notify(waiters, "job_a", 6);
        assert_int_equal(rung(&bell), times);
        assert_false(waiter.is_gone);
    }
    close(client);
    waiters_find_gone(waiters);
    assert_int_equal(rung(&bell), 3);
    assert_true(waiters_add(waiters, &waiter));
    await_rung(&bell, 4);
    assert_true(waiter.is_gone);
    close(waiter.fd);
    waiters_free(waiters);
}

static void a_stop_resumes_all_and_takes_no_more(void **state)
{
    (void)state;
    struct bell bell = bell_new();
    struct waiters *waiters;
    assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
    struct waiter one = waiter_of("job_a", 5, INT64_MAX, &bell),
                  other = waiter_of("job_b", 5, INT64_MAX, &bell);
    assert_true(waiters_add(waiters, &one));
    waiters_stop(waiters);
    assert_int_equal(rung(&bell), 1);
    assert_false(waiters_add(waiters, &other));
    waiters_free(waiters);
    assert_int_equal(rung(&bell), 1);
}

// A task that says it runs, then waits at the gate.
static void stand_at_gate(void *context)
{
    struct bell *bell = context;
    ring(bell);
    pthread_mutex_lock(&bell->lock);
    while (!bell->is_open)
        pthread_cond_wait(&bell->change, &bell->lock);
    pthread_mutex_unlock(&bell->lock);
}

static void a_full_pool_refuses_and_finishes_what_it_took(void **state)
{
    (void)state;
    enum { THREADS = 2, QUEUE = 3 };
    struct bell bell = bell_new();
    struct compute_pool *pool;
    assert_int_equal(compute_pool_new(THREADS, QUEUE, &pool, NULL), NABLA_OK);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(compute_pool_submit(pool, stand_at_gate, &bell));
    await_rung(&bell, THREADS);
    for (unsigned i = 0; i < QUEUE; i++)
        assert_true(compute_pool_submit(pool, stand_at_gate, &bell));
    assert_false(compute_pool_submit(pool, stand_at_gate, &bell));
    pthread_mutex_lock(&bell.lock);
    bell.is_open = true;
    pthread_cond_broadcast(&bell.change);
    pthread_mutex_unlock(&bell.lock);
    compute_pool_free(pool);
    assert_int_equal(bell.rung, THREADS + QUEUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_is_resumed_by_a_newer_revision_of_its_job_alone),
        cmocka_unit_test(a_waiter_of_several_jobs_is_resumed_by_any_of_them),
        cmocka_unit_test(a_waiter_is_resumed_at_its_deadline),
        cmocka_unit_test(a_waiter_is_resumed_when_its_client_hangs_up),
        cmocka_unit_test(a_waiter_waits_again_on_the_same_socket),
        cmocka_unit_test(a_stop_resumes_all_and_takes_no_more),
        cmocka_unit_test(a_full_pool_refuses_and_finishes_what_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
