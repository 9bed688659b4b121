// The supervisor with workers that are only played: what it starts, and what becomes of attempts that end.
#include "server/supervisor.h"

#include "base/clock.h"
#include "store/datasets.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"

enum { DEADLINE_MS = 30000, PLAYED_MAX = 8 };

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// The stage: workers as the supervisor started them, and a bell for whatever changes.
struct stage {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned started;
    struct {
        char job[64], token[64], dataset[256];
        unsigned attempt;
        bool is_ended, is_asked, is_forced;
    } played[PLAYED_MAX];
    bool fails_to_start, obeys;
    struct fixture *fixture;
    struct supervisor *supervisor;
    char dataset[TOKEN_ID_SIZE];
    FILE *log;      // what the supervisor wrote, and
    int log_before; // where standard error went before
};

static enum nabla_code play_start(void *context, const struct launch *launch, struct launched *ret,
                                  struct nabla_error *err)
{
    struct stage *stage = context;
    pthread_mutex_lock(&stage->lock);
    bool fails = stage->fails_to_start;
    if (!fails) {
        unsigned number = stage->started++ % PLAYED_MAX;
        memset(&stage->played[number], 0, sizeof stage->played[number]);
        snprintf(stage->played[number].job, 64, "%s", launch->job);
        snprintf(stage->played[number].token, 64, "%s", launch->token);
        snprintf(stage->played[number].dataset, 256, "%s", launch->dataset);
        stage->played[number].attempt = launch->attempt;
        ret->pid = (pid_t)number;
        ret->ended_fd = -1;
    }
    pthread_cond_broadcast(&stage->change);
    pthread_mutex_unlock(&stage->lock);
    return fails ? nabla_fail(err, NABLA_IO, NULL, "the stage is closed") : NABLA_OK;
}

static void play_cancel(void *context, struct launched *launched, bool force)
{
    struct stage *stage = context;
    pthread_mutex_lock(&stage->lock);
    stage->played[launched->pid].is_asked = true;
    stage->played[launched->pid].is_forced = force;
    if (force || stage->obeys)
        stage->played[launched->pid].is_ended = true;
    pthread_cond_broadcast(&stage->change);
    pthread_mutex_unlock(&stage->lock);
}

static bool play_is_alive(void *context, struct launched *launched, char ret_evidence[EVIDENCE_SIZE])
{
    struct stage *stage = context;
    pthread_mutex_lock(&stage->lock);
    bool ended = stage->played[launched->pid].is_ended;
    pthread_mutex_unlock(&stage->lock);
    if (ended)
        snprintf(ret_evidence, EVIDENCE_SIZE, "fell off the stage");
    return !ended;
}

static void on_change(void *context, const char *job, uint64_t revision)
{
    (void)job, (void)revision;
    struct stage *stage = context;
    pthread_mutex_lock(&stage->lock);
    pthread_cond_broadcast(&stage->change);
    pthread_mutex_unlock(&stage->lock);
}

// Waits for `is_so`, looking again at each change.
static void await(struct stage *stage, bool (*is_so)(struct stage *, const void *), const void *detail)
{
    int64_t deadline = clock_wall_ms() + DEADLINE_MS;
    struct timespec at = {.tv_sec = deadline / 1000};
    bool so = is_so(stage, detail);
    while (!so) {
        pthread_mutex_lock(&stage->lock);
        // A change between the look and the lock is seen a second later.
        struct timespec soon = {.tv_sec = time(NULL) + 1};
        pthread_cond_timedwait(&stage->change, &stage->lock, &soon);
        pthread_mutex_unlock(&stage->lock);
        so = is_so(stage, detail);
        if (!so && time(NULL) > at.tv_sec)
            fail_msg("waited in vain");
    }
}

struct wanted {
    const char *job;
    enum job_state state;
    unsigned attempt;
};

static bool has_state(struct stage *stage, const void *detail)
{
    const struct wanted *wanted = detail;
    struct job *job;
    assert_ok(store_job_get(stage->fixture->store, wanted->job, &job, &err));
    bool so = job->state == wanted->state && job->attempt == wanted->attempt;
    job_free(job);
    return so;
}

static void await_state(struct stage *stage, const char *job, enum job_state state, unsigned attempt)
{
    const struct wanted wanted = {job, state, attempt};
    await(stage, has_state, &wanted);
}

static bool has_started(struct stage *stage, const void *count)
{
    pthread_mutex_lock(&stage->lock);
    bool so = stage->started >= *(const unsigned *)count;
    pthread_mutex_unlock(&stage->lock);
    return so;
}

static void await_started(struct stage *stage, unsigned count)
{
    await(stage, has_started, &count);
}

static void end_worker(struct stage *stage, unsigned number)
{
    pthread_mutex_lock(&stage->lock);
    stage->played[number].is_ended = true;
    pthread_mutex_unlock(&stage->lock);
    supervisor_wake(stage->supervisor);
}

static void queue_job(struct stage *stage, unsigned retries, char ret_id[TOKEN_ID_SIZE])
{
    bool repeated;
    const struct job_new job = {
        .name = "", .dataset = stage->dataset, .spec = "{}", .executor = JOB_LOCAL, .retries = retries};
    assert_ok(store_job_create(stage->fixture->store, &job, ret_id, &repeated, &err));
}

static void open_supervisor(struct stage *stage, unsigned slots)
{
    static const struct log log = {LOG_INFO, LOG_TEXT};
    const struct supervisor_options options = {
        .store = stage->fixture->store,
        .log = &log,
        .launcher = {.context = stage, .start = play_start, .cancel = play_cancel, .is_alive = play_is_alive},
        .slots = slots};
    assert_ok(supervisor_new(&options, &stage->supervisor, &err));
    assert_ok(supervisor_start(stage->supervisor, &err));
}

static int stage_make(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    void *fixture;
    fixture_open(&fixture);
    stage->fixture = fixture;
    pthread_mutex_init(&stage->lock, NULL);
    pthread_cond_init(&stage->change, NULL);
    store_on_change(stage->fixture->store, on_change, stage);
    stage->log = tmpfile();
    assert_non_null(stage->log);
    stage->log_before = dup(STDERR_FILENO);
    dup2(fileno(stage->log), STDERR_FILENO);
    struct creation made;
    const struct dataset_row row = {
        .sha256 = SHA256, .name = (char *)"", .description = (char *)"{}", .rows = 1, .bytes = 4};
    assert_ok(store_dataset_create(stage->fixture->store, &row, PIECE("data"), NULL, &made, &err));
    memcpy(stage->dataset, made.id, sizeof made.id);
    *state = stage;
    return 0;
}

static int stage_clear(void **state)
{
    struct stage *stage = *state;
    void *fixture = stage->fixture;
    supervisor_stop(stage->supervisor);
    supervisor_free(stage->supervisor);
    dup2(stage->log_before, STDERR_FILENO);
    close(stage->log_before);
    fclose(stage->log);
    pthread_cond_destroy(&stage->change);
    pthread_mutex_destroy(&stage->lock);
    free(stage);
    return fixture_close(&fixture);
}

static void a_queued_job_gets_a_worker_with_a_token_of_its_own(void **state)
{
    struct stage *stage = *state;
    char id[TOKEN_ID_SIZE], sha256[TOKEN_SHA256_SIZE];
    stage->obeys = true;
    open_supervisor(stage, 1);
    queue_job(stage, 0, id);
    supervisor_wake(stage->supervisor);
    await_started(stage, 1);
    assert_string_equal(stage->played[0].job, id);
    assert_int_equal(stage->played[0].attempt, 1);
    assert_non_null(strstr(stage->played[0].dataset, "/datasets/" SHA256));
    token_sha256(sha256, stage->played[0].token, strlen(stage->played[0].token));
    assert_ok(store_job_authorize(stage->fixture->store, id, sha256, &err));
}

static void no_more_run_than_there_are_slots(void **state)
{
    struct stage *stage = *state;
    char first[TOKEN_ID_SIZE], second[TOKEN_ID_SIZE];
    stage->obeys = true;
    queue_job(stage, 0, first);
    queue_job(stage, 0, second);
    open_supervisor(stage, 1);
    await_started(stage, 1);
    await_state(stage, second, JOB_QUEUED, 0);
    const struct job_change change = {.event = JOB_EVENT_SUCCEED, .attempt = 1, .result = "{}"};
    assert_ok(store_job_apply(stage->fixture->store, first, &change, &err));
    end_worker(stage, 0);
    await_state(stage, second, JOB_RUNNING, 1);
    await_state(stage, first, JOB_SUCCEEDED, 1);
}

static void a_lost_attempt_is_made_anew_while_retries_are_left(void **state)
{
    struct stage *stage = *state;
    char id[TOKEN_ID_SIZE];
    open_supervisor(stage, 2);
    queue_job(stage, 1, id);
    supervisor_wake(stage->supervisor);
    await_started(stage, 1);
    end_worker(stage, 0);
    await_state(stage, id, JOB_RUNNING, 2);
    await_started(stage, 2);
    assert_string_not_equal(stage->played[0].token, stage->played[1].token);
    end_worker(stage, 1);
    await_state(stage, id, JOB_FAILED, 2);
    struct job *job;
    assert_ok(store_job_get(stage->fixture->store, id, &job, &err));
    assert_non_null(strstr(job->error, "worker_lost"));
    assert_non_null(strstr(job->error, "fell off the stage"));
    job_free(job);
}

static void a_worker_that_cannot_be_started_is_a_lost_attempt(void **state)
{
    struct stage *stage = *state;
    char id[TOKEN_ID_SIZE];
    stage->fails_to_start = true;
    queue_job(stage, 1, id);
    open_supervisor(stage, 1);
    await_state(stage, id, JOB_FAILED, 2);
}

static void a_worker_that_ends_while_a_cancel_is_asked_for_is_cancelled(void **state)
{
    struct stage *stage = *state;
    char id[TOKEN_ID_SIZE];
    queue_job(stage, 5, id);
    open_supervisor(stage, 1);
    await_started(stage, 1);
    const struct job_change change = {.event = JOB_EVENT_CANCEL};
    assert_ok(store_job_apply(stage->fixture->store, id, &change, &err));
    end_worker(stage, 0);
    await_state(stage, id, JOB_CANCELLED, 1);
}

// The server's end is no fault of its jobs: it costs them no retry.
static void what_an_earlier_server_left_running_goes_on(void **state)
{
    struct stage *stage = *state;
    char first[TOKEN_ID_SIZE], second[TOKEN_ID_SIZE];
    struct job *job;
    queue_job(stage, 0, first);
    queue_job(stage, 0, second);
    for (int i = 0; i < 2; i++) {
        assert_ok(store_job_claim(stage->fixture->store, JOB_LOCAL, "00", &job, &err));
        job_free(job);
    }
    stage->obeys = true;
    open_supervisor(stage, 1);
    await_state(stage, first, JOB_RUNNING, 2);
    await_state(stage, second, JOB_QUEUED, 1);
}

static void a_stop_asks_the_workers_and_requeues_their_jobs(void **state)
{
    struct stage *stage = *state;
    char id[TOKEN_ID_SIZE];
    stage->obeys = true;
    queue_job(stage, 0, id);
    open_supervisor(stage, 1);
    await_started(stage, 1);
    supervisor_stop(stage->supervisor);
    assert_true(stage->played[0].is_asked);
    assert_false(stage->played[0].is_forced);
    await_state(stage, id, JOB_QUEUED, 1);
}

// Stops the supervisor, so that it has written all.
static void expect_logged(struct stage *stage, const char *job, const char *what)
{
    char text[4096], line[256];
    supervisor_stop(stage->supervisor);
    rewind(stage->log);
    text[fread(text, 1, sizeof text - 1, stage->log)] = '\0';
    snprintf(line, sizeof line, "%s, %s\n", job, what);
    if (!strstr(text, line))
        fail_msg("no \"%s\" in \"%s\"", line, text);
}

static void every_end_is_logged(void **state)
{
    static const struct {
        const char *comment;
        struct job_change reported; // by the worker, before it ends
        unsigned retries;
        enum job_state state;
        const char *logged;
    } cases[] = {
        {"a success", {JOB_EVENT_SUCCEED, 1, "{}", NULL, NULL}, 0, JOB_SUCCEEDED, "attempt 1: succeeded"},
        {"a failure",
         {JOB_EVENT_FAIL, 1, NULL, "{\"code\":\"diverged\",\"detail\":\"loss is nan\"}", NULL},
         0,
         JOB_FAILED,
         "attempt 1: failed: loss is nan"},
        {"a cancel that was obeyed",
         {JOB_EVENT_CANCELLED, 1, NULL, NULL, NULL},
         0,
         JOB_CANCELLED,
         "attempt 1: cancelled"},
        {"a cancel that was not",
         {JOB_EVENT_CANCEL, 0, NULL, NULL, NULL},
         0,
         JOB_CANCELLED,
         "attempt 1: cancelled: fell off the stage"},
        {"a loss of the last attempt",
         {JOB_EVENT_COUNT, 0, NULL, NULL, NULL},
         0,
         JOB_FAILED,
         "attempt 1: failed: fell off the stage"},
        {"a loss with retries left",
         {JOB_EVENT_COUNT, 0, NULL, NULL, NULL},
         1,
         JOB_RUNNING,
         "attempt 1: requeued: fell off the stage"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *made;
        char id[TOKEN_ID_SIZE];
        assert_int_equal(stage_make(&made), 0);
        struct stage *stage = made;
        stage->obeys = true;
        queue_job(stage, cases[i].retries, id);
        open_supervisor(stage, 1);
        await_started(stage, 1);
        if (cases[i].reported.event != JOB_EVENT_COUNT)
            assert_ok(store_job_apply(stage->fixture->store, id, &cases[i].reported, &err));
        end_worker(stage, 0);
        await_state(stage, id, cases[i].state, 1 + cases[i].retries);
        expect_logged(stage, id, cases[i].logged);
        assert_int_equal(stage_clear(&made), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_queued_job_gets_a_worker_with_a_token_of_its_own, stage_make,
                                        stage_clear),
        cmocka_unit_test_setup_teardown(no_more_run_than_there_are_slots, stage_make, stage_clear),
        cmocka_unit_test_setup_teardown(a_lost_attempt_is_made_anew_while_retries_are_left, stage_make,
                                        stage_clear),
        cmocka_unit_test_setup_teardown(a_worker_that_cannot_be_started_is_a_lost_attempt, stage_make,
                                        stage_clear),
        cmocka_unit_test_setup_teardown(a_worker_that_ends_while_a_cancel_is_asked_for_is_cancelled,
                                        stage_make, stage_clear),
        cmocka_unit_test_setup_teardown(what_an_earlier_server_left_running_goes_on, stage_make, stage_clear),
        cmocka_unit_test_setup_teardown(a_stop_asks_the_workers_and_requeues_their_jobs, stage_make,
                                        stage_clear),
        cmocka_unit_test(every_end_is_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
