// Leases of attempts that the server cannot see, with a clock that is only played.
#include "server/leases.h"

#include "store/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

enum { LEASE_MS = 60000, START_MS = 1000000 };

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct log quiet = {.level = LOG_ERROR};

static void make_job(struct fixture *fixture, enum job_executor executor, char ret_id[TOKEN_ID_SIZE])
{
    const struct job_new job = {.name = "",
                                .dataset = "",
                                .spec = "{}",
                                .executor = executor,
                                .steps = 10,
                                .epochs = 1,
                                .token_sha256 = executor == JOB_CLIENT ? SHA256 : NULL};
    bool repeated;
    assert_ok(store_job_create(fixture->store, &job, ret_id, &repeated, &err));
}

static void assert_state(struct fixture *fixture, const char *id, enum job_state state,
                         const char *error_part)
{
    struct job *job = NULL;
    assert_ok(store_job_get(fixture->store, id, &job, &err));
    assert_int_equal(job->state, state);
    if (error_part)
        assert_non_null(strstr(job->error, error_part));
    job_free(job);
}

static void write_something(struct fixture *fixture, const char *id)
{
    const struct history_batch batch = {.attempt = 1};
    struct history_ack ack;
    assert_ok(store_history_append(fixture->store, id, &batch, &ack, &err));
}

static void a_silent_client_loses_its_job_when_the_lease_is_over(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    make_job(fixture, JOB_CLIENT, id);
    struct leases *leases = leases_new(LEASE_MS);
    assert_int_equal(leases_look(leases, fixture->store, &quiet, START_MS), START_MS + LEASE_MS);
    assert_int_equal(leases_look(leases, fixture->store, &quiet, START_MS + LEASE_MS - 1),
                     START_MS + LEASE_MS);
    assert_state(fixture, id, JOB_RUNNING, NULL);
    leases_look(leases, fixture->store, &quiet, START_MS + LEASE_MS);
    assert_state(fixture, id, JOB_FAILED, "lease_expired");
    assert_true(leases_look(leases, fixture->store, &quiet, START_MS + LEASE_MS) == INT64_MAX);
    leases_free(leases);
}

static void any_write_renews_the_lease(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    make_job(fixture, JOB_CLIENT, id);
    struct leases *leases = leases_new(LEASE_MS);
    int64_t now = START_MS;
    leases_look(leases, fixture->store, &quiet, now);
    for (int i = 0; i < 3; i++) {
        now += LEASE_MS - 1;
        write_something(fixture, id);
        assert_int_equal(leases_look(leases, fixture->store, &quiet, now), now + LEASE_MS);
    }
    assert_state(fixture, id, JOB_RUNNING, NULL);
    leases_free(leases);
}

static void a_cancel_that_nobody_hears_is_done_when_the_lease_is_over(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    make_job(fixture, JOB_CLIENT, id);
    const struct job_change cancel = {.event = JOB_EVENT_CANCEL};
    assert_ok(store_job_apply(fixture->store, id, &cancel, &err));
    struct leases *leases = leases_new(LEASE_MS);
    leases_look(leases, fixture->store, &quiet, START_MS);
    leases_look(leases, fixture->store, &quiet, START_MS + LEASE_MS);
    assert_state(fixture, id, JOB_CANCELLED, NULL);
    leases_free(leases);
}

static void jobs_with_a_worker_of_ours_hold_no_lease(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    make_job(fixture, JOB_LOCAL, id);
    struct job *job = NULL;
    assert_ok(store_job_claim(fixture->store, JOB_LOCAL, SHA256, &job, &err));
    job_free(job);
    struct leases *leases = leases_new(LEASE_MS);
    assert_true(leases_look(leases, fixture->store, &quiet, START_MS) == INT64_MAX);
    assert_true(leases_look(leases, fixture->store, &quiet, START_MS + 2 * LEASE_MS) == INT64_MAX);
    assert_state(fixture, id, JOB_RUNNING, NULL);
    leases_free(leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_silent_client_loses_its_job_when_the_lease_is_over, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(any_write_renews_the_lease, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_cancel_that_nobody_hears_is_done_when_the_lease_is_over,
                                        fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(jobs_with_a_worker_of_ours_hold_no_lease, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
