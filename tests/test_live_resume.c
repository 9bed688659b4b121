// Jobs that are paused, whose worker or server is killed or stopped, on a running server: what they record
// and where they end must be the same, bit for bit, as in a job that nothing happens to. NABLA_RESUME_CYCLES
// sets how many jobs go through it (make torture-resume).
#include "base/clock.h"
#include "base/file.h"
#include "live.h"
#include "math/random.h"
#include "server/message.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CYCLES = 3, BLOWS = 4, STEPS = 20000, LONG_EPOCHS = 90, HISTORY_LIMIT = 64 << 20 };

// 1,000 steps an epoch, a record each hundred; what is random in training is on. %s: the optimiser; %d:
// epochs.
#define JOB                                                                                                  \
    "{\"dataset\":{\"generator\":\"blobs\",\"rows\":20000,\"features\":6,\"classes\":3,\"seed\":1},"         \
    "\"model\":{\"layers\":[{\"units\":16,\"activation\":\"relu\",\"batch_norm\":true,\"dropout\":0.2},"     \
    "{\"units\":16,\"activation\":\"tanh\"}]},\"optimizer\":\"%s\","                                         \
    "\"training\":{\"epochs\":%d,\"batch_size\":16,\"seed\":7,\"checkpoint_every_seconds\":0.03},"           \
    "\"telemetry\":{\"every\":100},\"retries\":10}"

static const char *const flags[] = {"--log-level", "error", "--workers", "2", NULL};

static int start(void **state)
{
    return live_set_up(state, flags);
}

static void post_job(struct live *live, const char *optimizer, int epochs, char ret_id[64])
{
    char body[1024];
    snprintf(body, sizeof body, JOB, optimizer, epochs);
    live_post_job(live, body, ret_id);
}

// Waits until the job is past a step or at its end.
static void await_step(struct live *live, const char *job, uint64_t wanted)
{
    char path[96], known[96] = "X-Nothing: 1", etag[64], now[64];
    snprintf(path, sizeof path, "/v1/jobs/%s", job);
    int64_t deadline = clock_monotonic_ms() + LIVE_DEADLINE_MS;
    for (uint64_t step = 0; step < wanted && clock_monotonic_ms() < deadline;) {
        const char *const headers[] = {"Prefer: wait=5", known, NULL};
        const struct client_request request = {.method = "GET", .path = path, .headers = headers};
        struct client_answer answer = live_exchange(live, &request);
        struct message progress;
        if (answer.status == 200) {
            const struct message body = {answer.body.data, answer.body.size};
            assert_true(message_field(body, "progress", &progress));
            assert_true(message_whole(progress, "step", &step));
            if (strcmp(live_field(&answer, "state", now), "succeeded") == 0)
                step = wanted;
        }
        if (client_answer_header(&answer, "ETag", etag, sizeof etag))
            snprintf(known, sizeof known, "If-None-Match: %s", etag);
        client_answer_free(&answer);
    }
}

static int ask(struct live *live, const char *job, const char *what)
{
    char path[96];
    snprintf(path, sizeof path, "/v1/jobs/%s/%s", job, what);
    struct client_answer answer = live_send(live, "POST", path, NULL);
    int status = answer.status;
    client_answer_free(&answer);
    return status;
}

static void await_paused(struct live *live, const char *job)
{
    struct client_answer answer = live_await(live, job, "paused");
    client_answer_free(&answer);
}

// What may happen to a job. One that ended before it could is left alone.
static void pause_and_resume(struct live *live, const char *job)
{
    if (ask(live, job, "pause") == 409)
        return;
    // It may have got to its end instead.
    char path[96], now[64] = "running";
    snprintf(path, sizeof path, "/v1/jobs/%s", job);
    while (strcmp(now, "running") == 0) {
        const char *const headers[] = {"Prefer: wait=5", NULL};
        const struct client_request request = {.method = "GET", .path = path, .headers = headers};
        struct client_answer answer = live_exchange(live, &request);
        live_field(&answer, "state", now);
        client_answer_free(&answer);
    }
    if (strcmp(now, "paused") == 0)
        assert_int_equal(ask(live, job, "resume"), 202);
}

static void kill_worker(struct live *live, const char *job)
{
    pid_t worker = live_worker(live, job);
    if (worker > 0)
        kill(worker, SIGKILL);
}

static void kill_server(struct live *live, const char *job)
{
    (void)job;
    live_end(live, SIGKILL);
    live_start(live, flags);
}

static void stop_server(struct live *live, const char *job)
{
    (void)job;
    int status = live_end(live, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    live_start(live, flags);
}

static void (*const blows[])(struct live *live, const char *job) = {pause_and_resume, kill_worker,
                                                                    kill_server, stop_server};
enum { BLOW_KINDS = sizeof blows / sizeof *blows };

// The table from `from` on, without the figures that depend on the clock.
static char *read_history(struct live *live, const char *job, const char *what, const char *from)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/%s?limit=10000", job, what);
    struct client_answer answer = live_send(live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body.data, "\"more\":false"));
    char *text = strdup(strstr(answer.body.data, from));
    char *clock = strstr(text, "\"samples_per_second\":[");
    if (clock) {
        const char *end = strchr(clock, ']');
        memmove(clock, end, strlen(end) + 1);
    }
    client_answer_free(&answer);
    return text;
}

static void expect_same(struct live *live, const char *job, const char *undisturbed, const char *what,
                        const char *from)
{
    char *one = read_history(live, job, what, from), *other = read_history(live, undisturbed, what, from);
    if (strcmp(one, other) != 0)
        fail_msg("the %s of %s are not those of %s", what, job, undisturbed);
    free(one);
    free(other);
}

// Everything but the time that it took.
static void expect_same_result(struct live *live, const char *job, const char *undisturbed)
{
    const char *const jobs[] = {job, undisturbed};
    char results[2][1024];
    for (size_t i = 0; i < 2; i++) {
        struct client_answer answer = live_await(live, jobs[i], "succeeded");
        struct message result;
        assert_true(message_field((struct message){answer.body.data, answer.body.size}, "result", &result));
        snprintf(results[i], sizeof results[i], "%.*s", (int)result.size, result.text);
        assert_non_null(strstr(results[i], "\"reproducible\":true"));
        *strstr(results[i], "\"seconds\"") = '\0';
        client_answer_free(&answer);
    }
    assert_string_equal(results[0], results[1]);
}

static char *read_log(struct live *live, const char *job)
{
    struct buffer text = buffer_new(HISTORY_LIMIT);
    char path[96];
    snprintf(path, sizeof path, "/v1/jobs/%s/events", job);
    struct client_answer answer = live_send(live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    buffer_append(&text, answer.body.data, answer.body.size);
    client_answer_free(&answer);
    return buffer_steal(&text, &(size_t){0});
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

static void whatever_happens_a_job_ends_in_the_same_bits(void **state)
{
    static const char *const optimizers[] = {"adam",     "sgd",    "rmsprop", "amsgrad", "nadam",
                                             "adadelta", "adamax", "lion",    "adagrad", "adamw"};
    struct live *live = *state;
    const char *given = getenv("NABLA_RESUME_CYCLES");
    const unsigned cycles = given ? (unsigned)strtoul(given, NULL, 10) : CYCLES;
    struct random random = random_new(given ? (uint64_t)clock_wall_ms() : 1, 1);
    size_t restored = 0;
    for (unsigned cycle = 0; cycle < cycles; cycle++) {
        const char *optimizer = optimizers[cycle % (sizeof optimizers / sizeof *optimizers)];
        char undisturbed[64], job[64];
        post_job(live, optimizer, STEPS / 1000, undisturbed);
        struct client_answer answer = live_await(live, undisturbed, "succeeded");
        client_answer_free(&answer);
        post_job(live, optimizer, STEPS / 1000, job);
        for (unsigned blow = 0; blow < BLOWS; blow++) {
            await_step(live, job, (uint64_t)((blow + random_double(&random)) * STEPS / BLOWS));
            blows[(cycle + blow + random_below(&random, 2)) % BLOW_KINDS](live, job);
        }
        expect_same_result(live, job, undisturbed);
        expect_same(live, job, undisturbed, "metrics", "\"steps\"");
        expect_same(live, job, undisturbed, "gradients", "\"layers\"");
        char *log = read_log(live, job);
        restored += count_of(log, "\"event\":\"restored\"");
        free(log);
        if (given)
            printf("job %u of %u (%s): the same bits, %zu restored so far\n", cycle + 1, cycles, optimizer,
                   restored);
    }
    assert_true(restored >= cycles);
}

// The name of the job's newest checkpoint file.
static bool newest_checkpoint(const struct live *live, const char *job, char ret[512])
{
    char folder[256];
    unsigned long long newest = 0, step;
    bool found = false; // that of step 0, too
    snprintf(folder, sizeof folder, "%s/data/jobs/%s", live->folder, job);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        if (sscanf(entry->d_name, "checkpoint-%llu.safetensors", &step) == 1 && (!found || step > newest)) {
            found = true;
            newest = step;
            snprintf(ret, 512, "%s/%s", folder, entry->d_name);
        }
    closedir(entries);
    return found;
}

static void spoil(const char *path)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -100, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(byte ^ 1, file);
    assert_int_equal(fclose(file), 0);
}

static void a_paused_job_goes_on_past_spoiled_checkpoints(void **state)
{
    struct live *live = *state;
    char undisturbed[64], job[64], path[512];
    post_job(live, "adam", LONG_EPOCHS, undisturbed);
    post_job(live, "adam", LONG_EPOCHS, job);
    await_step(live, job, 1);
    assert_int_equal(ask(live, job, "resume"), 409);
    assert_int_equal(ask(live, job, "pause"), 202);
    await_paused(live, job);
    assert_true(newest_checkpoint(live, job, path));
    spoil(path);
    assert_int_equal(ask(live, job, "resume"), 202);
    await_step(live, job, STEPS);
    assert_int_equal(ask(live, job, "pause"), 202);
    await_paused(live, job);
    while (newest_checkpoint(live, job, path)) {
        spoil(path);
        char aside[600];
        snprintf(aside, sizeof aside, "%s/data/aside", live->folder);
        assert_int_equal(rename(path, aside), 0);
    }
    snprintf(path, sizeof path, "%s/data/aside", live->folder);
    char back[600];
    snprintf(back, sizeof back, "%s/data/jobs/%s/checkpoint-77.safetensors", live->folder, job);
    assert_int_equal(rename(path, back), 0); // the only one left, and spoiled: it starts over
    assert_int_equal(ask(live, job, "resume"), 202);
    expect_same_result(live, job, undisturbed);
    expect_same(live, job, undisturbed, "metrics", "\"steps\"");
    char *log = read_log(live, job);
    if (!strstr(log, "\"event\":\"restarted\"") || !strstr(log, "the checksum is wrong"))
        fail_msg("the log does not tell of the spoiled checkpoint: %s", log);
    free(log);
}

static void a_client_pauses_and_gets_a_new_token(void **state)
{
    struct live *live = *state;
    char id[64], token[64], path[96], authorization[128], other[64];
    struct client_answer answer = live_send(live, "POST", "/v1/jobs", "{\"executor\":\"client\"}");
    live_field(&answer, "id", id);
    live_field(&answer, "token", token);
    client_answer_free(&answer);
    assert_int_equal(ask(live, id, "pause"), 202);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    static const char *const posts[][2] = {
        {"events", "{\"attempt\":1,\"event\":\"checkpoint\",\"detail\":\"step 3\"}"},
        {"state", "{\"attempt\":1,\"state\":\"paused\",\"detail\":\"at step 3\"}"}};
    const char *const headers[] = {authorization, NULL};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/v1/jobs/%s/%s", id, posts[i][0]);
        const struct client_request request = {.method = "POST",
                                               .path = path,
                                               .type = "application/json",
                                               .body = posts[i][1],
                                               .body_size = strlen(posts[i][1]),
                                               .headers = headers};
        answer = live_exchange(live, &request);
        assert_int_equal(answer.status, 200);
        if (i == 0)
            assert_non_null(strstr(answer.body.data, "\"requested\":\"pause\""));
        client_answer_free(&answer);
    }
    await_paused(live, id);
    snprintf(path, sizeof path, "/v1/jobs/%s/resume", id);
    answer = live_send(live, "POST", path, NULL);
    assert_int_equal(answer.status, 202);
    live_field(&answer, "token", other);
    assert_string_not_equal(token, other);
    assert_non_null(strstr(answer.body.data, "\"attempt\":2"));
    client_answer_free(&answer);
    assert_int_equal(ask(live, id, "cancel"), 202);
}

static struct client_answer put_checkpoint(struct live *live, const char *job, const char *token,
                                           const char *query, const char *bytes)
{
    char path[128], authorization[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/checkpoint%s", job, query);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    const char *const headers[] = {authorization, NULL};
    const struct client_request request = {.method = "PUT",
                                           .path = path,
                                           .type = "application/octet-stream",
                                           .body = bytes,
                                           .body_size = strlen(bytes),
                                           .headers = headers};
    return live_exchange(live, &request);
}

static void a_client_keeps_its_newest_checkpoint(void **state)
{
    static const struct {
        const char *query, *bytes;
        int status;
    } sent[] = {{"?step=5", "the first", 200},
                {"?step=9&attempt=1", "the second", 200},
                {"?step=9&attempt=2", "of another attempt", 409},
                {"?step=ten", "?", 400},
                {"?step=10", "", 400}};
    struct live *live = *state;
    char id[64], token[64], path[96], header[32];
    struct client_answer answer = live_send(live, "POST", "/v1/jobs", "{\"executor\":\"client\"}");
    live_field(&answer, "id", id);
    live_field(&answer, "token", token);
    client_answer_free(&answer);
    snprintf(path, sizeof path, "/v1/jobs/%s/checkpoint", id);
    live_expect(live, 404, "GET", path, NULL);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        answer = put_checkpoint(live, id, token, sent[i].query, sent[i].bytes);
        if (answer.status != sent[i].status)
            fail_msg("%s: %d %s", sent[i].query, answer.status, answer.body.data);
        client_answer_free(&answer);
    }
    answer = put_checkpoint(live, id, "not-the-token", "?step=11", "of a stranger");
    assert_int_equal(answer.status, 403);
    client_answer_free(&answer);
    live_end(live, SIGKILL);
    live_start(live, flags);
    answer = live_send(live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "the second");
    assert_true(client_answer_header(&answer, "Nabla-Step", header, sizeof header));
    assert_string_equal(header, "9");
    client_answer_free(&answer);
    assert_int_equal(ask(live, id, "cancel"), 202);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_a_job_ends_in_the_same_bits),
        cmocka_unit_test(a_paused_job_goes_on_past_spoiled_checkpoints),
        cmocka_unit_test(a_client_pauses_and_gets_a_new_token),
        cmocka_unit_test(a_client_keeps_its_newest_checkpoint),
    };
    return cmocka_run_group_tests(tests, start, live_tear_down);
}
