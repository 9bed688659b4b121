// The wall clock is set forward and back by hours, between requests and within them. What people read follows
// it, as far as it makes sense; what waits, by the monotonic clock, does not notice. The functions of the C
// library that tell the time are ours here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/waiters.h"
#include "store/retention.h"
#include "store/tokens.h"
#include "tests/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

static const int64_t HOUR_MS = 3600000;
static _Atomic int64_t jump_ms; // of the wall clock

#pragma GCC visibility push(default)

int clock_gettime(clockid_t id, struct timespec *ret)
{
    const long status = syscall(SYS_clock_gettime, id, ret);
    const int64_t jump = atomic_load(&jump_ms);
    if (status == 0 && id == CLOCK_REALTIME) {
        ret->tv_sec += jump / 1000;
        ret->tv_nsec += jump % 1000 * 1000000;
    }
    return (int)status;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

#pragma GCC visibility pop

static void jump(int64_t hours)
{
    atomic_store(&jump_ms, hours * HOUR_MS);
}

static const int64_t jumps[] = {-30, -5, -1, 1, 5, 30}; // hours
enum { JUMPS = sizeof jumps / sizeof *jumps };

static const char batch[] = "{\"attempt\":1,\"progress\":{\"step\":5,\"steps\":10,\"epoch\":0,\"epochs\":1},"
                            "\"metrics\":{\"steps\":[%d],\"columns\":{\"loss\":[2.5]}}}";

// RFC 3339 in UTC with a fixed number of digits: the order of texts is that of times.
static void require_order(const json_t *job, const char *former, const char *latter)
{
    if (strcmp(json_text(job, former), json_text(job, latter)) > 0)
        fail_msg("%s %s is behind %s %s", former, json_text(job, former), latter, json_text(job, latter));
}

static void require_eta(const json_t *job, const char *what)
{
    const json_t *eta = json_object_get(json_object_get(job, "progress"), "eta_seconds");
    if (!json_is_null(eta) && !(json_number_value(eta) >= 0))
        fail_msg("%s: eta_seconds is %g", what, json_number_value(eta));
}

// A client's job whose clock is set between all that happens to it: revisions rise by one, its times are in
// order, its rows are all there.
static void a_job_lives_through_jumps(void **state)
{
    struct service *service = *state;
    for (size_t i = 0; i < JUMPS * JUMPS; i++) {
        const int64_t first = jumps[i / JUMPS], second = jumps[i % JUMPS];
        jump(0);
        const struct client_job made = service_client_job(service);
        uint64_t revision, later;
        assert_int_equal(store_job_revision(service->store, made.id, &revision, NULL), NABLA_OK);
        jump(first);
        client_posts(service, &made, "metrics", text_of(batch, 1), 200);
        json_t *job = service_json(service, "GET", text_of("/v1/jobs/%s", made.id), NULL, 200);
        require_eta(job, "the first jump");
        json_decref(job);
        jump(second);
        client_posts(service, &made, "metrics", text_of(batch, 2), 200);
        assert_int_equal(store_job_revision(service->store, made.id, &later, NULL), NABLA_OK);
        assert_int_equal(later, revision + 2);
        client_posts(service, &made, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
        job = service_json(service, "GET", text_of("/v1/jobs/%s", made.id), NULL, 200);
        require_order(job, "created_at", "started_at");
        require_order(job, "started_at", "finished_at");
        json_decref(job);
        json_t *rows = service_json(service, "GET", text_of("/v1/jobs/%s/metrics", made.id), NULL, 200);
        assert_int_equal(json_array_size(json_object_get(rows, "steps")), 2);
        json_decref(rows);
    }
}

static double eta_of(struct service *service, const struct client_job *made)
{
    json_t *job = service_json(service, "GET", text_of("/v1/jobs/%s", made->id), NULL, 200);
    const json_t *eta = json_object_get(json_object_get(job, "progress"), "eta_seconds");
    assert_true(json_is_number(eta));
    const double seconds = json_number_value(eta);
    json_decref(job);
    return seconds;
}

// Half of its steps in well under a minute: as much is left, whatever the wall clock says, and whatever it
// said when the job began.
static void what_is_left_does_not_follow_the_clock(void **state)
{
    struct service *service = *state;
    for (size_t i = 0; i < JUMPS; i++) {
        jump(jumps[i]);
        const struct client_job made = service_client_job(service);
        client_posts(service, &made, "metrics", text_of(batch, 1), 200);
        for (size_t j = 0; j < JUMPS; j++) {
            jump(jumps[j]);
            assert_in_range((int64_t)eta_of(service, &made), 0, 60);
        }
    }
}

static void a_request_waits_as_long_whatever_the_clock_says(void **state)
{
    struct service *service = *state;
    jump(0);
    const struct client_job made = service_client_job(service);
    struct api_answer answer = service_ask(service, "GET", text_of("/v1/jobs/%s", made.id), NULL);
    char etag[64];
    snprintf(etag, sizeof etag, "%s", answer_value(&answer, "ETag"));
    api_answer_free(&answer);
    for (size_t i = 0; i < JUMPS; i++) {
        const struct request request = {.method = "GET",
                                        .target = text_of("/v1/jobs/%s", made.id),
                                        .headers = {{"If-None-Match", etag}, {"Prefer", "wait=5"}}};
        const int64_t before = clock_monotonic_ms();
        jump(jumps[i]);
        struct api_answer wait = {.fd = -1};
        struct api_call *call = service_begin(service, &request, &wait);
        api_handle(call, &wait);
        assert_int_equal(wait.kind, API_WAIT);
        assert_in_range(wait.wait.deadline_ms, before + 5000, clock_monotonic_ms() + 5000);
        jump(-jumps[i]); // within the request
        api_answer_free(&wait);
        api_handle(call, &wait); // woken too early: it goes on waiting for the same moment
        assert_int_equal(wait.kind, API_WAIT);
        assert_in_range(wait.wait.deadline_ms, before + 5000, clock_monotonic_ms() + 5000);
        api_close(call);
        api_answer_free(&wait);
    }
}

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_rung;
};

static void ring(void *context)
{
    struct bell *bell = context;
    pthread_mutex_lock(&bell->lock);
    bell->is_rung = true;
    pthread_cond_broadcast(&bell->change);
    pthread_mutex_unlock(&bell->lock);
}

static void a_waiter_is_woken_at_its_moment(void **state)
{
    (void)state;
    for (size_t i = 0; i < JUMPS; i++) {
        struct waiters *waiters;
        struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
        assert_int_equal(waiters_new(&waiters, NULL), NABLA_OK);
        jump(0);
        const int64_t due = clock_monotonic_ms() + 20;
        struct waiter waiter = {
            .wait = {.job = "job_a", .deadline_ms = due}, .resume = ring, .context = &bell};
        assert_true(waiters_add(waiters, &waiter));
        jump(jumps[i]);
        pthread_mutex_lock(&bell.lock);
        while (!bell.is_rung)
            pthread_cond_wait(&bell.change, &bell.lock);
        pthread_mutex_unlock(&bell.lock);
        assert_true(clock_monotonic_ms() >= due);
        waiters_free(waiters);
    }
}

// Retention goes by ages: a clock that was set back has nobody age, one that was never set (1970) likewise.
static void a_clock_that_was_set_back_takes_nothing_away(void **state)
{
    struct service *service = *state;
    const struct retention retention = {.days = 1, .history_days = 1};
    struct nabla_error err;
    size_t touched = 99;
    jump(0);
    const struct client_job made = service_client_job(service);
    client_posts(service, &made, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    const int64_t moments[] = {0, 1, clock_wall_ms() - 5 * HOUR_MS, clock_wall_ms() + 5 * HOUR_MS};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        assert_int_equal(store_retain(service->store, &retention, moments[i], &touched, &err), NABLA_OK);
        assert_int_equal(touched, 0);
    }
    jump(30);
    assert_int_equal(store_retain(service->store, &retention, clock_wall_ms(), &touched, &err), NABLA_OK);
    assert_true(touched >= 1);
}

static enum nabla_code enter(const char *folder, const char *secret)
{
    struct token_table *table;
    struct token_grant grant;
    struct token_use *use = NULL;
    assert_int_equal(token_table_new(folder, &table, NULL), NABLA_OK);
    enum nabla_code code = token_table_enter(table, secret, &grant, &use, NULL);
    token_table_leave(table, use);
    token_table_free(table);
    return code;
}

// A token that has an end is good before it by the wall clock; one without is good at any time.
static void a_token_ends_by_the_wall_clock(void **state)
{
    struct service *service = *state;
    char secret[TOKENS_SECRET_SIZE], endless[TOKENS_SECRET_SIZE];
    jump(0);
    struct token_grant grant = {.name = "two-hours",
                                .scopes = SCOPE_READ,
                                .expires_ms = (uint64_t)(clock_wall_ms() + 2 * HOUR_MS)},
                       ever = {.name = "ever", .scopes = SCOPE_READ};
    assert_int_equal(tokens_create(service->folder, &grant, secret, NULL), NABLA_OK);
    assert_int_equal(tokens_create(service->folder, &ever, endless, NULL), NABLA_OK);
    for (size_t i = 0; i < JUMPS; i++) {
        jump(jumps[i]);
        assert_int_equal(enter(service->folder, secret), jumps[i] < 2 ? NABLA_OK : NABLA_DENIED);
        assert_int_equal(enter(service->folder, endless), NABLA_OK);
    }
}

// A moment before 1970 is one, too: a line of a log has its form at any time.
static void times_have_their_form_at_any_moment(void **state)
{
    (void)state;
    static const int64_t far[] = {-1000000, -500000, 0, 5, 500000};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        char text[CLOCK_TEXT_SIZE];
        unsigned year, month, day, hour, minute, second, millisecond;
        jump(far[i]);
        clock_format(text, clock_wall_ms());
        assert_int_equal(strlen(text), strlen("2026-01-31T23:59:59.123Z"));
        assert_int_equal(sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ", &year, &month, &day, &hour, &minute,
                                &second, &millisecond),
                         7);
        assert_true(month >= 1 && month <= 12 && hour < 24 && minute < 60 && second <= 60);
    }
}

static int set_up(void **state)
{
    *state = service_open();
    return 0;
}

static int tear_down(void **state)
{
    jump(0);
    service_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_lives_through_jumps),
        cmocka_unit_test(what_is_left_does_not_follow_the_clock),
        cmocka_unit_test(a_request_waits_as_long_whatever_the_clock_says),
        cmocka_unit_test(a_waiter_is_woken_at_its_moment),
        cmocka_unit_test(a_clock_that_was_set_back_takes_nothing_away),
        cmocka_unit_test(a_token_ends_by_the_wall_clock),
        cmocka_unit_test(times_have_their_form_at_any_moment),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
