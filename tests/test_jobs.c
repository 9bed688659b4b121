#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static struct job *get(struct store *store, const char *id)
{
    struct job *job = NULL;
    assert_ok(store_job_get(store, id, &job, &err));
    return job;
}

static uint64_t revision_of(struct store *store, const char *id)
{
    uint64_t revision = 0;
    assert_ok(store_job_revision(store, id, &revision, &err));
    return revision;
}

// --- creating and reading

static void test_a_job_comes_back_as_it_was_made(void **state)
{
    struct fixture *fixture = *state;
    const struct job_new made = {.name = "deep \"sigmoid\" \xE2\x88\x87",
                                 .spec = "{\"schema_version\":1}",
                                 .retries = 2,
                                 .steps = 500,
                                 .epochs = 10,
                                 .network_stats = 0x85,
                                 .layer_stats = 0x40001};
    char id[TOKEN_ID_SIZE];
    bool repeated;
    assert_ok(store_job_create(fixture->store, &made, id, &repeated, &err));
    fixture_reopen(fixture);
    struct job *job = get(fixture->store, id);
    assert_string_equal(job->id, id);
    assert_string_equal(job->name, made.name);
    assert_string_equal(job->spec, made.spec);
    assert_string_equal(job->dataset, "");
    assert_int_equal(job->state, JOB_QUEUED);
    assert_int_equal(job->requested, JOB_REQUEST_NONE);
    assert_int_equal(job->executor, JOB_LOCAL);
    assert_int_equal(job->revision, 1);
    assert_int_equal(job->attempt, 0);
    assert_int_equal(job->retries, 2);
    assert_int_equal(job->progress.steps, 500);
    assert_int_equal(job->progress.epochs, 10);
    assert_int_equal(job->network_stats, 0x85);
    assert_int_equal(job->layer_stats, 0x40001);
    assert_false(job->has_latest);
    assert_true(isnan(job->latest.loss));
    assert_null(job->result);
    assert_null(job->error);
    assert_true(job->created_ms > 0);
    assert_int_equal(job->started_ms, 0);
    assert_int_equal(job->finished_ms, 0);
    job_free(job);
}

static void test_a_client_s_job_starts_running(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    fixture_job(fixture->store, JOB_CLIENT, id);
    struct job *job = get(fixture->store, id);
    assert_int_equal(job->state, JOB_RUNNING);
    assert_int_equal(job->attempt, 1);
    assert_int_equal(job->executor, JOB_CLIENT);
    assert_true(job->started_ms > 0);
    job_free(job);
}

static void test_missing_jobs_are_not_found(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    struct job *job;
    uint64_t revision;
    const struct job_change change = {.event = JOB_EVENT_CANCEL};
    assert_fails(NABLA_NOT_FOUND, store_job_get(store, "job_no", &job, &err));
    assert_fails(NABLA_NOT_FOUND, store_job_revision(store, "job_no", &revision, &err));
    assert_fails(NABLA_NOT_FOUND, store_job_apply(store, "job_no", &change, &err));
    assert_fails(NABLA_NOT_FOUND, store_job_delete(store, "job_no", &err));
    assert_fails(NABLA_NOT_FOUND, store_job_log(store, "job_no", 0, NULL, NULL, &err));
    assert_fails(NABLA_NOT_FOUND, store_job_claim(store, JOB_LOCAL, "t", &job, &err));
}

static void test_a_job_needs_its_data_set(void **state)
{
    struct fixture *fixture = *state;
    const struct job_new job = {.name = "", .spec = "{}", .dataset = "ds_gone"};
    char id[TOKEN_ID_SIZE];
    bool repeated;
    size_t count = 9;
    assert_fails(NABLA_NOT_FOUND, store_job_create(fixture->store, &job, id, &repeated, &err));
    assert_ok(store_job_count(fixture->store, JOB_QUEUED, &count, &err));
    assert_int_equal(count, 0);
}

static void test_no_more_jobs_are_queued_than_may_be(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *owner;
        uint64_t queued_most, owner_most;
        enum job_executor executor;
        enum nabla_code code;
    } steps[] = {
        {"tok_a", 3, 1, JOB_LOCAL, NABLA_OK},    // the first of tok_a
        {"tok_a", 3, 1, JOB_LOCAL, NABLA_LIMIT}, // which may have one
        {"tok_a", 3, 1, JOB_CLIENT, NABLA_OK},   // that is not queued
        {"tok_b", 3, 1, JOB_LOCAL, NABLA_OK},    // another's count is its own
        {NULL, 3, 0, JOB_LOCAL, NABLA_OK},       // nobody's: three are queued
        {NULL, 3, 0, JOB_LOCAL, NABLA_BUSY},     // as many as may be
        {"tok_c", 3, 9, JOB_LOCAL, NABLA_BUSY},  // whoever asks
        {"tok_c", 0, 0, JOB_LOCAL, NABLA_OK},    // without a limit
        {"tok_b", 0, 1, JOB_LOCAL, NABLA_LIMIT}, // with that of the owner alone
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct job_new job = {.spec = "{}",
                                    .executor = steps[i].executor,
                                    .owner = steps[i].owner,
                                    .queued_most = steps[i].queued_most,
                                    .owner_most = steps[i].owner_most};
        char id[TOKEN_ID_SIZE];
        bool repeated;
        struct nabla_error why = {0};
        if (store_job_create(fixture->store, &job, id, &repeated, &why) != steps[i].code)
            fail_msg("step %zu: %s", i, why.text);
    }
}

static void test_idempotency_keys_repeat_or_refuse(void **state)
{
    struct fixture *fixture = *state;
    struct creation_key key = {"k1", "aa"};
    const struct job_new job = {.name = "", .spec = "{}", .key = &key};
    char first[TOKEN_ID_SIZE], second[TOKEN_ID_SIZE] = "";
    bool repeated = true;
    assert_ok(store_job_create(fixture->store, &job, first, &repeated, &err));
    assert_false(repeated);
    fixture_reopen(fixture);
    assert_ok(store_job_create(fixture->store, &job, second, &repeated, &err));
    assert_true(repeated);
    assert_string_equal(first, second);

    key = (struct creation_key){"k1", "bb"}; // the same key for another request
    assert_fails(NABLA_INVALID, store_job_create(fixture->store, &job, second, &repeated, &err));
    key.text = "k2";
    assert_ok(store_job_create(fixture->store, &job, second, &repeated, &err));
    assert_false(repeated);
    assert_string_not_equal(first, second);
    size_t count = 0;
    assert_ok(store_job_count(fixture->store, JOB_QUEUED, &count, &err));
    assert_int_equal(count, 2);

    fixture_apply(fixture->store, first, JOB_EVENT_CANCEL); // a deleted job's key is free again
    assert_ok(store_job_delete(fixture->store, first, &err));
    key = (struct creation_key){"k1", "cc"};
    assert_ok(store_job_create(fixture->store, &job, second, &repeated, &err));
    assert_false(repeated);
}

// --- transitions

#define NO "conflict"

// From each state: the events that lead there, then what each event gives: "state", "state+request", or NO.
// A "=" in front: nothing changes, not even the revision.
static const struct {
    const char *from;
    enum job_event path[4];
    size_t path_length;
    const char *expected[JOB_EVENT_COUNT];
} matrix[] = {
    {.from = "queued",
     .expected = {[JOB_EVENT_CLAIM] = "running",
                  [JOB_EVENT_SUCCEED] = NO,
                  [JOB_EVENT_FAIL] = NO,
                  [JOB_EVENT_CANCEL] = "cancelled",
                  [JOB_EVENT_CANCELLED] = NO,
                  [JOB_EVENT_PAUSE] = "paused",
                  [JOB_EVENT_PAUSED] = NO,
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = NO,
                  [JOB_EVENT_ABANDON] = NO}},
    {.from = "running",
     .path = {JOB_EVENT_CLAIM},
     .path_length = 1,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = "succeeded",
                  [JOB_EVENT_FAIL] = "failed",
                  [JOB_EVENT_CANCEL] = "running+cancel",
                  [JOB_EVENT_CANCELLED] = "cancelled",
                  [JOB_EVENT_PAUSE] = "running+pause",
                  [JOB_EVENT_PAUSED] = "paused",
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = "queued",
                  [JOB_EVENT_ABANDON] = "failed"}},
    {.from = "running, cancel requested",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_CANCEL},
     .path_length = 2,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = "succeeded",
                  [JOB_EVENT_FAIL] = "failed",
                  [JOB_EVENT_CANCEL] = "=running+cancel",
                  [JOB_EVENT_CANCELLED] = "cancelled",
                  [JOB_EVENT_PAUSE] = NO,
                  [JOB_EVENT_PAUSED] = "cancelled",
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = "cancelled",
                  [JOB_EVENT_ABANDON] = "cancelled"}},
    {.from = "running, pause requested",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_PAUSE},
     .path_length = 2,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = "succeeded",
                  [JOB_EVENT_FAIL] = "failed",
                  [JOB_EVENT_CANCEL] = "running+cancel",
                  [JOB_EVENT_CANCELLED] = "cancelled",
                  [JOB_EVENT_PAUSE] = "=running+pause",
                  [JOB_EVENT_PAUSED] = "paused",
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = "paused",
                  [JOB_EVENT_ABANDON] = "failed"}},
    {.from = "paused",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_PAUSE, JOB_EVENT_PAUSED},
     .path_length = 3,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = NO,
                  [JOB_EVENT_FAIL] = NO,
                  [JOB_EVENT_CANCEL] = "cancelled",
                  [JOB_EVENT_CANCELLED] = NO,
                  [JOB_EVENT_PAUSE] = "=paused",
                  [JOB_EVENT_PAUSED] = "=paused",
                  [JOB_EVENT_RESUME] = "queued",
                  [JOB_EVENT_REQUEUE] = NO,
                  [JOB_EVENT_ABANDON] = NO}},
    {.from = "succeeded",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_SUCCEED},
     .path_length = 2,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = "=succeeded",
                  [JOB_EVENT_FAIL] = NO,
                  [JOB_EVENT_CANCEL] = NO,
                  [JOB_EVENT_CANCELLED] = NO,
                  [JOB_EVENT_PAUSE] = NO,
                  [JOB_EVENT_PAUSED] = NO,
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = NO,
                  [JOB_EVENT_ABANDON] = NO}},
    {.from = "failed",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_FAIL},
     .path_length = 2,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = NO,
                  [JOB_EVENT_FAIL] = "=failed",
                  [JOB_EVENT_CANCEL] = NO,
                  [JOB_EVENT_CANCELLED] = NO,
                  [JOB_EVENT_PAUSE] = NO,
                  [JOB_EVENT_PAUSED] = NO,
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = NO,
                  [JOB_EVENT_ABANDON] = "=failed"}},
    {.from = "cancelled",
     .path = {JOB_EVENT_CLAIM, JOB_EVENT_CANCEL, JOB_EVENT_CANCELLED},
     .path_length = 3,
     .expected = {[JOB_EVENT_CLAIM] = NO,
                  [JOB_EVENT_SUCCEED] = NO,
                  [JOB_EVENT_FAIL] = NO,
                  [JOB_EVENT_CANCEL] = "=cancelled",
                  [JOB_EVENT_CANCELLED] = "=cancelled",
                  [JOB_EVENT_PAUSE] = NO,
                  [JOB_EVENT_PAUSED] = "=cancelled",
                  [JOB_EVENT_RESUME] = NO,
                  [JOB_EVENT_REQUEUE] = NO,
                  [JOB_EVENT_ABANDON] = NO}},
};

static enum nabla_code count_entry(void *context, const struct job_log_entry *entry)
{
    assert_true(entry->revision > 0 && entry->at_ms > 0 && entry->event[0]);
    ++*(size_t *)context;
    return NABLA_OK;
}

// What stands where after an event: the state, the request, the revision and the log agree.
static void check_outcome(struct store *store, const char *id, uint64_t before, const char *expected)
{
    char stands[48];
    bool same = expected[0] == '=';
    struct job *job = get(store, id);
    bool requested = job->requested != JOB_REQUEST_NONE;
    snprintf(stands, sizeof stands, "%s%s%s", job_state_name(job->state), requested ? "+" : "",
             requested ? job_request_name(job->requested) : "");
    assert_string_equal(stands, expected + same);
    assert_int_equal(job->revision, before + !same);
    assert_int_equal(job->finished_ms > 0, job_state_is_final(job->state));
    size_t entries = 0;
    assert_ok(store_job_log(store, id, 0, count_entry, &entries, &err));
    assert_int_equal(entries, job->revision); // each change so far has its entry
    job_free(job);
}

static void check_cell(struct store *store, size_t row, enum job_event event)
{
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_LOCAL, id);
    for (size_t i = 0; i < matrix[row].path_length; i++)
        fixture_apply(store, id, matrix[row].path[i]);
    uint64_t before = revision_of(store, id);
    const char *expected = matrix[row].expected[event];
    const struct job_change change = {.event = event};
    print_message("%s, %s: %s\n", matrix[row].from, job_event_name(event), expected);
    if (strcmp(expected, NO) == 0) {
        struct nabla_error err;
        assert_int_equal(store_job_apply(store, id, &change, &err), NABLA_CONFLICT);
        assert_non_null(strstr(err.text, job_event_name(event))); // the text names both
        assert_non_null(strstr(matrix[row].from, "running") ? strstr(err.text, "running")
                                                            : strstr(err.text, matrix[row].from));
        assert_int_equal(revision_of(store, id), before);
        return;
    }
    assert_ok(store_job_apply(store, id, &change, &err));
    check_outcome(store, id, before, expected);
}

static void test_every_state_meets_every_event(void **state)
{
    struct fixture *fixture = *state;
    for (size_t row = 0; row < sizeof matrix / sizeof *matrix; row++)
        for (int event = 0; event < JOB_EVENT_COUNT; event++)
            check_cell(fixture->store, row, (enum job_event)event);
}

static void test_another_attempt_is_refused(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    struct job *job;
    fixture_job(store, JOB_LOCAL, id);
    assert_ok(store_job_claim(store, JOB_LOCAL, "t1", &job, &err));
    assert_int_equal(job->attempt, 1);
    int64_t started = job->started_ms;
    job_free(job);
    fixture_apply(store, id, JOB_EVENT_REQUEUE);
    assert_ok(store_job_claim(store, JOB_LOCAL, "t2", &job, &err));
    assert_int_equal(job->attempt, 2);
    assert_int_equal(job->started_ms, started); // of the first attempt
    assert_true(job->attempt_ms > 0);
    job_free(job);
    const struct job_change late = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    assert_fails(NABLA_CONFLICT, store_job_apply(store, id, &late, &err));
    const struct job_change now = {.event = JOB_EVENT_SUCCEED, .attempt = 2, .result = "{\"loss\":1}"};
    assert_ok(store_job_apply(store, id, &now, &err));
    uint64_t revision = revision_of(store, id);
    assert_ok(store_job_apply(store, id, &now, &err)); // repeated
    assert_int_equal(revision_of(store, id), revision);
    assert_fails(NABLA_CONFLICT, store_job_apply(store, id, &late, &err)); // a repetition of another attempt
    job = get(store, id);
    assert_string_equal(job->result, "{\"loss\":1}");
    job_free(job);
}

static void test_an_error_stands_until_the_next_attempt(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_LOCAL, id);
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    const struct job_change lost = {.event = JOB_EVENT_REQUEUE, .attempt = 1, .error = "{\"code\":\"lost\"}"};
    assert_ok(store_job_apply(store, id, &lost, &err));
    struct job *job = get(store, id);
    assert_string_equal(job->error, "{\"code\":\"lost\"}");
    job_free(job);
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    job = get(store, id);
    assert_null(job->error);
    job_free(job);
}

static void test_claims_take_the_oldest_of_an_executor(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char client[TOKEN_ID_SIZE], first[TOKEN_ID_SIZE], second[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, client);
    fixture_apply(store, client, JOB_EVENT_REQUEUE); // queued, but not for a local launcher
    fixture_job(store, JOB_LOCAL, first);
    fixture_job(store, JOB_LOCAL, second);
    struct job *job;
    assert_ok(store_job_claim(store, JOB_LOCAL, "t", &job, &err));
    assert_string_equal(job->id, first);
    job_free(job);
    assert_ok(store_job_claim(store, JOB_LOCAL, "t", &job, &err));
    assert_string_equal(job->id, second);
    job_free(job);
    assert_fails(NABLA_NOT_FOUND, store_job_claim(store, JOB_LOCAL, "t", &job, &err));
}

static void test_tokens_are_those_of_the_current_attempt(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    struct job *job;
    fixture_job(store, JOB_LOCAL, id);
    assert_fails(NABLA_DENIED, store_job_authorize(store, id, "t1", &err)); // before the first claim
    assert_ok(store_job_claim(store, JOB_LOCAL, "t1", &job, &err));
    job_free(job);
    assert_ok(store_job_authorize(store, id, "t1", &err));
    assert_fails(NABLA_DENIED, store_job_authorize(store, id, "t2", &err));
    assert_fails(NABLA_DENIED, store_job_authorize(store, "job_no", "t1", &err));
    fixture_apply(store, id, JOB_EVENT_REQUEUE);
    assert_ok(store_job_claim(store, JOB_LOCAL, "t2", &job, &err));
    job_free(job);
    assert_fails(NABLA_DENIED, store_job_authorize(store, id, "t1", &err));
    assert_ok(store_job_authorize(store, id, "t2", &err));
}

// --- lists

static void free_page(struct job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        job_free(jobs[i]);
    free(jobs);
}

static void test_pages_give_every_job_once_newest_first(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    enum { JOBS = 10 };
    char ids[JOBS][TOKEN_ID_SIZE], cursor[TOKEN_ID_SIZE] = "";
    for (size_t i = 0; i < JOBS; i++)
        fixture_job(store, JOB_LOCAL, ids[i]);
    static const size_t sizes[] = {3, 3, 3, 1};
    size_t seen = 0;
    for (size_t page = 0; page < sizeof sizes / sizeof *sizes; page++) {
        struct job **jobs;
        size_t count;
        assert_ok(store_job_list(store, -1, cursor, 3, &jobs, &count, cursor, &err));
        assert_int_equal(count, sizes[page]);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(jobs[i]->id, ids[JOBS - 1 - seen++]);
        assert_int_equal(cursor[0] == '\0', seen == JOBS);
        if (page == 0) { // neither a newer job nor the cursor's own end shifts the pages
            char id[TOKEN_ID_SIZE];
            fixture_job(store, JOB_LOCAL, id);
            fixture_apply(store, jobs[count - 1]->id, JOB_EVENT_CANCEL);
            assert_ok(store_job_delete(store, jobs[count - 1]->id, &err));
        }
        free_page(jobs, count);
    }
}

static void test_lists_and_counts_go_by_state(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char ids[3][TOKEN_ID_SIZE], next[TOKEN_ID_SIZE];
    struct job **jobs;
    size_t count;
    for (size_t i = 0; i < 3; i++)
        fixture_job(store, JOB_LOCAL, ids[i]);
    fixture_apply(store, ids[1], JOB_EVENT_CANCEL);
    assert_ok(store_job_list(store, JOB_QUEUED, "", 2, &jobs, &count, next, &err));
    assert_int_equal(count, 2); // the page is full, yet nothing follows
    assert_string_equal(next, "");
    assert_string_equal(jobs[0]->id, ids[2]);
    assert_string_equal(jobs[1]->id, ids[0]);
    free_page(jobs, count);
    assert_ok(store_job_count(store, JOB_QUEUED, &count, &err));
    assert_int_equal(count, 2);
    assert_ok(store_job_count(store, JOB_CANCELLED, &count, &err));
    assert_int_equal(count, 1);
    assert_ok(store_job_list(store, JOB_FAILED, "", 2, &jobs, &count, next, &err));
    assert_int_equal(count, 0);
    free_page(jobs, count);
}

static void test_foreign_cursors_are_refused(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    static const char *const cursors[] = {"x", "-1", "1 ", "99999999999999999999"};
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        struct job **jobs;
        size_t count;
        char next[TOKEN_ID_SIZE];
        assert_fails(NABLA_INVALID, store_job_list(store, -1, cursors[i], 2, &jobs, &count, next, &err));
    }
}

// --- deleting, log, listener

static void test_only_finished_jobs_are_deleted_with_their_folder(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE], name[64], path[256];
    fixture_job(fixture->store, JOB_LOCAL, id);
    snprintf(name, sizeof name, "jobs/%s", id);
    fixture_path(fixture, name, path);
    assert_ok(file_make_folder(path, &err));
    snprintf(name, sizeof name, "jobs/%s/model", id);
    fixture_write(fixture, name, "weights");
    assert_fails(NABLA_CONFLICT, store_job_delete(fixture->store, id, &err));
    fixture_apply(fixture->store, id, JOB_EVENT_CLAIM);
    assert_fails(NABLA_CONFLICT, store_job_delete(fixture->store, id, &err));
    assert_true(fixture_has(fixture, name));
    fixture_apply(fixture->store, id, JOB_EVENT_FAIL);
    assert_ok(store_job_delete(fixture->store, id, &err));
    struct job *job;
    assert_fails(NABLA_NOT_FOUND, store_job_get(fixture->store, id, &job, &err));
    snprintf(name, sizeof name, "jobs/%s", id);
    assert_false(fixture_has(fixture, name));
}

struct log_text {
    char text[512];
};

static enum nabla_code append_entry(void *context, const struct job_log_entry *entry)
{
    struct log_text *log = context;
    size_t used = strlen(log->text);
    snprintf(log->text + used, sizeof log->text - used, "%d %s (%s); ", (int)entry->revision, entry->event,
             entry->detail);
    return NABLA_OK;
}

static enum nabla_code stop_at_once(void *context, const struct job_log_entry *entry)
{
    (void)entry;
    ++*(int *)context;
    return NABLA_NOT_FOUND;
}

static void test_the_log_tells_a_job_s_life(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_LOCAL, id);
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    const struct job_change lost = {.event = JOB_EVENT_REQUEUE, .detail = "signal 9"};
    assert_ok(store_job_apply(store, id, &lost, &err));
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    fixture_apply(store, id, JOB_EVENT_CANCEL);
    fixture_apply(store, id, JOB_EVENT_CANCEL); // once more: no entry
    fixture_apply(store, id, JOB_EVENT_CANCELLED);
    struct log_text log = {""};
    assert_ok(store_job_log(store, id, 0, append_entry, &log, &err));
    assert_string_equal(log.text, "1 created (); 2 started (); 3 requeued (signal 9); 4 started (); "
                                  "5 cancel_requested (); 6 cancelled (); ");
    log.text[0] = '\0';
    assert_ok(store_job_log(store, id, 4, append_entry, &log, &err));
    assert_string_equal(log.text, "5 cancel_requested (); 6 cancelled (); ");
    int calls = 0;
    assert_int_equal(store_job_log(store, id, 0, stop_at_once, &calls, NULL), NABLA_NOT_FOUND);
    assert_int_equal(calls, 1);
}

struct heard {
    char id[TOKEN_ID_SIZE];
    uint64_t revision;
    int calls;
};

static void hear(void *context, const char *id, uint64_t revision)
{
    struct heard *heard = context;
    snprintf(heard->id, sizeof heard->id, "%s", id);
    heard->revision = revision;
    heard->calls++;
}

static void test_the_listener_hears_each_change_once(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    struct heard heard = {.calls = 0};
    store_on_change(store, hear, &heard);
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_LOCAL, id);
    assert_int_equal(heard.calls, 1);
    assert_string_equal(heard.id, id);
    assert_int_equal(heard.revision, 1);
    struct job *job;
    assert_ok(store_job_claim(store, JOB_LOCAL, "t", &job, &err));
    assert_int_equal(heard.revision, job->revision);
    job_free(job);
    fixture_apply(store, id, JOB_EVENT_CANCEL);
    assert_int_equal(heard.revision, 3);
    fixture_apply(store, id, JOB_EVENT_CANCEL); // repeated, refused: nothing to hear
    assert_int_equal(store_job_apply(store, id, &(struct job_change){.event = JOB_EVENT_RESUME}, NULL),
                     NABLA_CONFLICT);
    assert_int_equal(heard.calls, 3);
    fixture_apply(store, id, JOB_EVENT_CANCELLED);
    assert_ok(store_job_delete(store, id, &err));
    assert_int_equal(heard.calls, 5);
}

// --- threads

enum { CLAIMERS = 4, CLAIMED_JOBS = 24 };

struct claimer {
    struct store *store;
    atomic_int *claimed; // of each job, by the number in its name
    int failures;
};

static void *claim_all(void *context)
{
    struct claimer *claimer = context;
    struct job *job;
    enum nabla_code code;
    while ((code = store_job_claim(claimer->store, JOB_LOCAL, "t", &job, NULL)) == NABLA_OK) {
        atomic_fetch_add(&claimer->claimed[atoi(job->name)], 1);
        const struct job_change done = {.event = JOB_EVENT_SUCCEED, .attempt = job->attempt};
        claimer->failures += store_job_apply(claimer->store, job->id, &done, NULL) != NABLA_OK;
        job_free(job);
    }
    claimer->failures += code != NABLA_NOT_FOUND;
    return NULL;
}

static void test_threads_never_claim_the_same_job(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    atomic_int claimed[CLAIMED_JOBS] = {0};
    for (int i = 0; i < CLAIMED_JOBS; i++) {
        char name[16], id[TOKEN_ID_SIZE];
        bool repeated;
        snprintf(name, sizeof name, "%d", i);
        const struct job_new job = {.name = name, .spec = "{}"};
        assert_ok(store_job_create(store, &job, id, &repeated, &err));
    }
    pthread_t threads[CLAIMERS];
    struct claimer claimers[CLAIMERS];
    for (size_t i = 0; i < CLAIMERS; i++) {
        claimers[i] = (struct claimer){.store = store, .claimed = claimed};
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, &claimers[i]), 0);
    }
    for (size_t i = 0; i < CLAIMERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(claimers[i].failures, 0);
    }
    for (size_t i = 0; i < CLAIMED_JOBS; i++)
        assert_int_equal(claimed[i], 1);
}

static void test_names_are_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        assert_int_equal(job_state_find(job_state_name((enum job_state)i)), i);
    for (int i = 0; i < JOB_REQUEST_COUNT; i++)
        assert_int_equal(job_request_find(job_request_name((enum job_request)i)), i);
    for (int i = 0; i < JOB_EXECUTOR_COUNT; i++)
        assert_int_equal(job_executor_find(job_executor_name((enum job_executor)i)), i);
    assert_int_equal(job_state_find("done"), -1);
    assert_int_equal(job_executor_find(NULL), -1);
    assert_string_equal(job_state_name(JOB_STATE_COUNT), "unknown");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_a_job_comes_back_as_it_was_made),
        with_store(test_a_client_s_job_starts_running),
        with_store(test_missing_jobs_are_not_found),
        with_store(test_a_job_needs_its_data_set),
        with_store(test_no_more_jobs_are_queued_than_may_be),
        with_store(test_idempotency_keys_repeat_or_refuse),
        with_store(test_every_state_meets_every_event),
        with_store(test_another_attempt_is_refused),
        with_store(test_an_error_stands_until_the_next_attempt),
        with_store(test_claims_take_the_oldest_of_an_executor),
        with_store(test_tokens_are_those_of_the_current_attempt),
        with_store(test_pages_give_every_job_once_newest_first),
        with_store(test_lists_and_counts_go_by_state),
        with_store(test_foreign_cursors_are_refused),
        with_store(test_only_finished_jobs_are_deleted_with_their_folder),
        with_store(test_the_log_tells_a_job_s_life),
        with_store(test_the_listener_hears_each_change_once),
        with_store(test_threads_never_claim_the_same_job),
        cmocka_unit_test(test_names_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
