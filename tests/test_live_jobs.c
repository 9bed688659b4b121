// Training jobs on a running server: to their end, and through what may happen to workers and the server.
#include "base/clock.h"
#include "base/file.h"
#include "live.h"
#include "server/message.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// A short job, and one that ends only when it is made to. %s: further members.
#define SHORT_JOB                                                                                            \
    "{\"dataset\":{\"generator\":\"blobs\",\"rows\":300,\"features\":4,\"classes\":3,\"seed\":1},"           \
    "\"model\":{\"layers\":[{\"units\":16,\"activation\":\"relu\",\"batch_norm\":true}]},"                   \
    "\"training\":{\"epochs\":5,\"batch_size\":32,\"validation_split\":0.2,\"seed\":7}}"
#define LONG_JOB(retries, epochs)                                                                            \
    "{\"dataset\":{\"generator\":\"blobs\",\"rows\":600,\"features\":8,\"classes\":3,\"seed\":1},"           \
    "\"model\":{\"layers\":[{\"units\":32,\"activation\":\"relu\"},{\"units\":32,\"activation\":\"tanh\"}]}" \
    ","                                                                                                      \
    "\"training\":{\"epochs\":" epochs ",\"batch_size\":16,\"seed\":7},\"retries\":" retries "}"

static const char *const flags[] = {"--log-level", "error", "--workers", "1", NULL};

static int start(void **state)
{
    return live_set_up(state, flags);
}

static uint64_t whole_of(const struct client_answer *answer, const char *name)
{
    uint64_t value = 0;
    assert_true(message_whole((struct message){answer->body.data, answer->body.size}, name, &value));
    return value;
}

// Waits until the job's worker has reported a step; returns the worker.
static pid_t await_worker(struct live *live, const char *job)
{
    char path[96], known[96] = "X-Nothing: 1", etag[64];
    snprintf(path, sizeof path, "/v1/jobs/%s", job);
    int64_t deadline = clock_monotonic_ms() + LIVE_DEADLINE_MS;
    uint64_t step = 0;
    while (step == 0 && clock_monotonic_ms() < deadline) {
        const char *const headers[] = {"Prefer: wait=5", known, NULL};
        const struct client_request request = {.method = "GET", .path = path, .headers = headers};
        struct client_answer answer = live_exchange(live, &request);
        struct message progress;
        if (answer.status == 200) {
            assert_true(
                message_field((struct message){answer.body.data, answer.body.size}, "progress", &progress));
            assert_true(message_whole(progress, "step", &step));
        }
        if (client_answer_header(&answer, "ETag", etag, sizeof etag))
            snprintf(known, sizeof known, "If-None-Match: %s", etag);
        client_answer_free(&answer);
    }
    pid_t worker = live_worker(live, job);
    assert_true(step > 0);
    assert_true(worker > 0);
    return worker;
}

static void read_back(struct live *live, const char *job, const char *what, const char *expected)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/%s", job, what);
    struct client_answer answer = live_send(live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    if (!strstr(answer.body.data, expected))
        fail_msg("%s has no %s: %s", path, expected, answer.body.data);
    client_answer_free(&answer);
}

static void a_job_trains_to_its_end_and_its_history_is_read_back(void **state)
{
    struct live *live = *state;
    char id[64];
    live_post_job(live, SHORT_JOB, id);
    struct client_answer answer = live_await(live, id, "succeeded");
    assert_int_equal(whole_of(&answer, "attempt"), 1);
    assert_non_null(strstr(answer.body.data, "\"validation_accuracy\""));
    client_answer_free(&answer);
    read_back(live, id, "metrics", "\"loss\":[");
    read_back(live, id, "metrics?column=loss&since_step=3&until_step=4", "\"steps\":[3,4]");
    read_back(live, id, "gradients", "\"gradient_norm\":[");
    read_back(live, id, "gradients?layer=1", "\"index\":1");
    char path[96];
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", id);
    live_expect(live, 409, "POST", path, NULL);
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    live_expect(live, 204, "DELETE", path, NULL);
    live_expect(live, 404, "GET", path, NULL);
}

#define ROWS(labels)                                                                                         \
    "{\"dataset\":{\"features\":[[0,1],[1,0],[0.5,0.25],[2,1],[1,2],[0,0],[3,1],[1,3]],\"labels\":" labels   \
    ","                                                                                                      \
    "\"sample_weights\":[1,1,2,1,0.5,1,1,0]},\"model\":{\"layers\":[{\"units\":4,\"activation\":\"tanh\"}]}" \
    ","

// What a job can be made of, each answer held to the contract.
static void each_kind_of_job_ends_with_its_report(void **state)
{
    const struct {
        const char *comment, *job, *wanted, *answer;
    } cases[] = {
        {"several labels",
         ROWS("[[0,1],[1,0],[1,1],[1,0],[1,1],[0,0],[1,0],[0,1]]") "\"loss\":{\"type\":\"binary_cross_"
                                                                   "entropy\","
                                                                   "\"pos_weight\":[1,2]}}",
         "succeeded", "\"exact_match\":"},
        {"numbers",
         ROWS("[[0.5],[1.5],[2],[3.25],[-1],[0],[7],[1]]") "\"optimizer\":{\"type\":\"sgd\",\"use_ema\":true}"
                                                           "}",
         "succeeded", "\"r2\":"},
        {"no accuracy of numbers", ROWS("[[0.5],[1.5],[2],[3.25],[-1],[0],[7],[1]]") "\"loss\":\"huber\"}",
         "succeeded", "\"latest\":{\"loss\":"},
        {"one output",
         ROWS("[0,1,1,1,1,0,1,0]") "\"loss\":{\"type\":\"binary_cross_entropy\",\"class_weights\":"
                                   "\"balanced\"}}",
         "succeeded", "\"units\":1,"},
        {"a branch, penalties, a limit",
         "{\"dataset\":{\"generator\":\"spirals\",\"rows\":90},\"model\":{\"layers\":[{\"type\":\"residual\","
         "\"layers\":["
         "{\"type\":\"layer_norm\",\"gamma_regularizer\":\"l1\"},{\"units\":5},{\"type\":\"alpha_dropout\","
         "\"rate\":0.1}]},"
         "{\"type\":\"dense\",\"units\":4,\"kernel_regularizer\":{\"type\":\"l1_l2\",\"l1\":0.01,\"l2\":0.1},"
         "\"kernel_constraint\":\"max_norm\"}]},\"optimizer\":{\"type\":\"adam\",\"gradient_accumulation_"
         "steps\":2}}",
         "succeeded", "\"projection\":true"},
        {"an early end",
         "{\"dataset\":{\"generator\":\"blobs\",\"rows\":90},\"model\":{},\"training\":{\"epochs\":5000,"
         "\"early_stopping\":{\"min_delta\":1,\"restore_best\":true}}}",
         "succeeded", "\"stopped\":\"early_stopping\",\"best_epoch\":1,"},
        {"an end by the clock",
         "{\"dataset\":{\"generator\":\"blobs\",\"rows\":90},\"model\":{},\"training\":{\"epochs\":1000000,"
         "\"time_limit\":0.05},\"telemetry\":{\"every\":1000}}",
         "succeeded", "\"stopped\":\"time_limit\""},
        {"a loss that is no number",
         ROWS("[[0.5],[1.5],[2],[3.25],[-1],[0],[7],[1]]") "\"optimizer\":{\"type\":\"sgd\",\"learning_"
                                                           "rate\":1e9},"
                                                           "\"training\":{\"epochs\":100,\"stop_on_nan\":"
                                                           "true}}",
         "failed", "\"code\":\"diverged\",\"detail\":\"the loss of step "},
    };
    struct live *live = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[64];
        live_post_job(live, cases[i].job, id);
        struct client_answer answer = live_await(live, id, cases[i].wanted);
        if (!strstr(answer.body.data, cases[i].answer))
            fail_msg("%s: no %s in %s", cases[i].comment, cases[i].answer, answer.body.data);
        client_answer_free(&answer);
        read_back(live, id, "metrics", "\"loss\":[");
    }
}

static void a_job_that_cannot_be_is_refused(void **state)
{
    live_expect(*state, 422, "POST", "/v1/jobs",
                "{\"dataset\":{\"generator\":\"blobs\"},\"model\":{\"layers\":[{\"units\":0}]}}");
    live_expect(*state, 422, "POST", "/v1/jobs",
                "{\"dataset\":{\"generator\":\"blobs\"},\"model\":{\"layers\":[{\"units\":1000000000},"
                "{\"units\":1000000000}]}}");
}

static void a_killed_worker_is_replaced(void **state)
{
    struct live *live = *state;
    char id[64];
    live_post_job(live, LONG_JOB("1", "300"), id);
    kill(await_worker(live, id), SIGKILL);
    struct client_answer answer = live_await(live, id, "succeeded");
    assert_int_equal(whole_of(&answer, "attempt"), 2);
    client_answer_free(&answer);
}

static void without_retries_a_killed_worker_fails_its_job_with_the_evidence(void **state)
{
    static const struct {
        int signal;
        const char *evidence;
    } ends[] = {{SIGKILL, "killed by signal 9 (SIGKILL)"},
                {SIGUSR1, "(SIGUSR1)"},
                {SIGTERM, "was asked to end, or could not go on, before it had finished: see the job's log"},
                {SIGXCPU, "all the CPU time that the limit max_job_cpu allows"}};
    struct live *live = *state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char id[64];
        live_post_job(live, LONG_JOB("0", "5000"), id);
        kill(await_worker(live, id), ends[i].signal);
        struct client_answer answer = live_await(live, id, "failed");
        if (!strstr(answer.body.data, ends[i].evidence))
            fail_msg("%s is not in %s", ends[i].evidence, answer.body.data);
        client_answer_free(&answer);
    }
}

static void a_running_job_is_cancelled_by_its_worker(void **state)
{
    struct live *live = *state;
    char id[64], path[96];
    live_post_job(live, LONG_JOB("0", "5000"), id);
    await_worker(live, id);
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    live_expect(live, 409, "DELETE", path, NULL);
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", id);
    live_expect(live, 202, "POST", path, NULL);
    struct client_answer answer = live_await(live, id, "cancelled");
    client_answer_free(&answer);
}

static void a_queued_job_is_cancelled_at_once(void **state)
{
    struct live *live = *state;
    char running[64], queued[64], path[96];
    live_post_job(live, LONG_JOB("0", "5000"), running);
    await_worker(live, running);
    live_post_job(live, SHORT_JOB, queued);
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", queued);
    struct client_answer answer = live_send(live, "POST", path, NULL);
    char now[64];
    assert_string_equal(live_field(&answer, "state", now), "cancelled");
    client_answer_free(&answer);
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", running);
    live_expect(live, 202, "POST", path, NULL);
    answer = live_await(live, running, "cancelled");
    client_answer_free(&answer);
}

struct listening {
    struct buffer text;
};

static bool hear(void *context, const char *bytes, size_t size)
{
    struct listening *listening = context;
    return buffer_append(&listening->text, bytes, size);
}

// Listens until the server ends the stream; each text must be told, in this order.
static void expect_told(struct live *live, const char *path, const char *const told[])
{
    struct listening listening = {buffer_new(64 << 20)};
    const struct client_request request = {
        .method = "GET", .path = path, .receive = hear, .context = &listening};
    struct client_answer answer = live_exchange(live, &request);
    assert_int_equal(answer.status, 200);
    const char *at = listening.text.data;
    for (size_t i = 0; told[i]; i++) {
        at = at ? strstr(at, told[i]) : NULL;
        if (!at)
            fail_msg("%s was not told: %s", told[i], listening.text.data);
    }
    buffer_free(&listening.text);
    client_answer_free(&answer);
}

static void a_stream_tells_a_job_from_first_to_last(void **state)
{
    struct live *live = *state;
    char id[64], path[96];
    live_post_job(live, SHORT_JOB, id);
    snprintf(path, sizeof path, "/v1/jobs/%s/events", id);
    expect_told(
        live, path,
        (const char *const[]){"\"event\":\"started\"", "event: progress", "\"event\":\"succeeded\"", NULL});

    // Who has heard all of it is told not to come back.
    static const char *const heard[] = {"Last-Event-ID: 1000000", NULL};
    const struct client_request again = {.method = "GET", .path = path, .headers = heard};
    struct client_answer answer = live_exchange(live, &again);
    assert_int_equal(answer.status, 204);
    client_answer_free(&answer);
}

// A worker that trains, as the kernel schedules it.
static void a_worker_steps_back_as_configured(void **state)
{
    (void)state;
    static const struct {
        const char *priority;
        int policy;
        bool is_nice;
    } cases[] = {{"normal", SCHED_OTHER, false}, {"low", SCHED_BATCH, true}, {"idle", SCHED_IDLE, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const chosen[] = {"--worker-priority", cases[i].priority, NULL};
        struct live live;
        char id[64];
        live_make_folder(&live);
        live_start(&live, chosen);
        live_post_job(&live, LONG_JOB("0", "5000"), id);
        pid_t worker = await_worker(&live, id);
        int nice = getpriority(PRIO_PROCESS, (id_t)worker), own = getpriority(PRIO_PROCESS, (id_t)live.pid);
        assert_int_equal(sched_getscheduler(worker), cases[i].policy);
        assert_true(cases[i].is_nice ? nice >= 10 : nice == own);
        assert_int_equal(live_end(&live, SIGTERM), 0);
        live_remove_folder(&live);
    }
}

static void a_jobs_log_is_told_with_its_times(void **state)
{
    struct live *live = *state;
    char id[64], path[96];
    live_post_job(live, SHORT_JOB, id);
    snprintf(path, sizeof path, "/v1/jobs/%s/log?format=events", id);
    expect_told(live, path,
                (const char *const[]){"event: log\ndata: 2", " info: attempt 1: trains, process ",
                                      " info: attempt 1: succeeded\n", NULL});
}

static void a_stopped_server_goes_on_where_its_jobs_were(void **state)
{
    struct live *live = *state;
    char id[64];
    live_post_job(live, LONG_JOB("0", "300"), id);
    await_worker(live, id);
    int status = live_end(live, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    live_start(live, flags);
    struct client_answer answer = live_await(live, id, "succeeded");
    client_answer_free(&answer);
}

static void a_killed_server_leaves_no_job_stuck(void **state)
{
    struct live *live = *state;
    char running[64], queued[64];
    live_post_job(live, LONG_JOB("2", "300"), running);
    pid_t worker = await_worker(live, running);
    live_post_job(live, SHORT_JOB, queued);
    live_end(live, SIGKILL);
    live_start(live, flags);
    struct client_answer answer = live_await(live, running, "succeeded");
    assert_int_equal(whole_of(&answer, "attempt"), 2);
    client_answer_free(&answer);
    answer = live_await(live, queued, "succeeded");
    client_answer_free(&answer);
    assert_int_not_equal(live_worker(live, running), worker); // it has seen its server's end
}

static void a_client_that_trains_by_itself_uses_the_same_routes(void **state)
{
    struct live *live = *state;
    char id[64], token[64], path[96], authorization[128];
    struct client_answer answer = live_send(live, "POST", "/v1/jobs", "{\"executor\":\"client\"}");
    assert_int_equal(answer.status, 202);
    live_field(&answer, "id", id);
    live_field(&answer, "token", token);
    client_answer_free(&answer);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    const char *const headers[] = {authorization, NULL};
    static const char metrics[] =
        "{\"attempt\":1,\"metrics\":{\"steps\":[1,2],\"columns\":{\"loss\":[0.5,\"NaN\"]}},"
        "\"layers\":[{\"index\":0,\"name\":\"fc\",\"steps\":[1],\"columns\":{\"gradient_norm\":[2.5]}}]}";
    static const char final[] = "{\"attempt\":1,\"state\":\"succeeded\",\"result\":{\"loss\":0.5}}";
    const char *const posts[][2] = {
        {"metrics", metrics}, {"metrics", metrics}, {"state", final}, {"state", final}};
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        snprintf(path, sizeof path, "/v1/jobs/%s/%s", id, posts[i][0]);
        const struct client_request request = {.method = "POST",
                                               .path = path,
                                               .type = "application/json",
                                               .body = posts[i][1],
                                               .body_size = strlen(posts[i][1]),
                                               .headers = headers};
        answer = live_exchange(live, &request);
        if (answer.status != 200)
            fail_msg("post %zu: %d %s", i, answer.status, answer.body.data ? answer.body.data : "");
        client_answer_free(&answer);
    }
    read_back(live, id, "metrics", "\"loss\":[0.5,\"NaN\"]");
    read_back(live, id, "gradients", "\"gradient_norm\":[2.5]");
    answer = live_await(live, id, "succeeded");
    client_answer_free(&answer);
}

// Limits for clients, lower than what a worker has to report.
static void limits_for_clients_are_not_for_workers(void **state)
{
    static const char *const low[] = {"--log-level", "error",          "--max-body", "1024", "--workers",
                                      "1",           "--max-document", "1024",       NULL};
    struct live *live = *state;
    char job[64];
    assert_int_equal(live_end(live, SIGTERM), 0);
    live_start(live, low);
    live_post_job(live, SHORT_JOB, job);
    struct client_answer answer = live_await(live, job, "succeeded");
    client_answer_free(&answer);
}

// Of the server's environment a worker has what libraries look for.
static void a_worker_does_not_have_the_servers_secrets(void **state)
{
    struct live *live = *state;
    char job[64], path[64];
    assert_int_equal(live_end(live, SIGTERM), 0);
    setenv("NABLA_TOKEN", "secret-of-an-operator", 1);
    setenv("OTHER_SERVICE_KEY", "secret-of-another", 1);
    setenv("TZ", "UTC", 1);
    live_start(live, flags);
    unsetenv("NABLA_TOKEN");
    unsetenv("OTHER_SERVICE_KEY");
    unsetenv("TZ");
    live_post_job(live, LONG_JOB("0", "1000000"), job);
    snprintf(path, sizeof path, "/proc/%d/environ", await_worker(live, job));
    struct buffer variables = buffer_new(1 << 20);
    assert_int_equal(file_read(path, &variables, NULL), NABLA_OK);
    assert_null(memmem(variables.data, variables.size, "secret-of", strlen("secret-of")));
    assert_non_null(memmem(variables.data, variables.size, "TZ=UTC", strlen("TZ=UTC")));
    buffer_free(&variables);
}

static void a_job_that_takes_too_much_cpu_time_is_told_so(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // their workers have no limits
#endif
    static const char *const short_of_cpu[] = {"--log-level", "error", "--max-job-cpu", "1", NULL};
    struct live *live = *state;
    char job[64];
    assert_int_equal(live_end(live, SIGTERM), 0);
    live_start(live, short_of_cpu);
    live_post_job(live, LONG_JOB("0", "1000000"), job);
    struct client_answer answer = live_await(live, job, "failed");
    assert_non_null(strstr(answer.body.data, "max_job_cpu"));
    client_answer_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_job_ends_with_its_report),
        cmocka_unit_test(a_job_trains_to_its_end_and_its_history_is_read_back),
        cmocka_unit_test(a_job_that_cannot_be_is_refused),
        cmocka_unit_test(a_killed_worker_is_replaced),
        cmocka_unit_test(without_retries_a_killed_worker_fails_its_job_with_the_evidence),
        cmocka_unit_test(a_running_job_is_cancelled_by_its_worker),
        cmocka_unit_test(a_queued_job_is_cancelled_at_once),
        cmocka_unit_test(a_stream_tells_a_job_from_first_to_last),
        cmocka_unit_test(a_jobs_log_is_told_with_its_times),
        cmocka_unit_test(a_worker_steps_back_as_configured),
        cmocka_unit_test(a_stopped_server_goes_on_where_its_jobs_were),
        cmocka_unit_test(a_killed_server_leaves_no_job_stuck),
        cmocka_unit_test(a_client_that_trains_by_itself_uses_the_same_routes),
        cmocka_unit_test(limits_for_clients_are_not_for_workers),
        cmocka_unit_test(a_job_that_takes_too_much_cpu_time_is_told_so),
        cmocka_unit_test(a_worker_does_not_have_the_servers_secrets),
    };
    return cmocka_run_group_tests(tests, start, live_tear_down);
}
