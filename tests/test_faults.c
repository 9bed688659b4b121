// What fails, fails in order: the nth allocation, the nth operation on a file, n from 1 until nothing is left
// to fail. No crash; an answer that says what happened; nothing acknowledged that was not kept, nothing kept
// that was refused; the next request is served; nothing leaks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/faults.h"
#include "tests/service.h"
#include <sqlite3.h>

enum { TRIES_MOST = 20000, LEAK_TRIES = 4 };

static const char csv[] = "a,b,y\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n";

// What a request may change: it is counted before and after.
enum kept { KEPT_NOTHING, KEPT_JOB, KEPT_DATASET };

static const struct {
    const char *comment;
    struct request request;
    int status; // when nothing fails
    enum kept kept;
} cases[] = {
    {"the index", {"GET", "/", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"readiness", {"GET", "/readyz", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"the contract", {"GET", "/openapi.json", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"no route", {"GET", "/v2/x", NULL, {{0}}}, 404, KEPT_NOTHING},
    {"a loss",
     {"POST",
      "/v1/losses",
      "{\"logits\":[[1,2,3],[4,5,6]],\"labels\":[0,1],\"return\":[\"gradient\",\"per_sample\"]}",
      {{0}}},
     200,
     KEPT_NOTHING},
    {"a loss, certified",
     {"POST",
      "/v1/losses",
      "{\"probabilities\":[[0.1,0.9]],\"labels\":[0],\"convention\":\"keras\",\"certify\":true}",
      {{0}}},
     200,
     KEPT_NOTHING},
    {"a loss as CSV asks", {"POST", "/v1/losses", "{}", {{"Content-Type", "text/csv"}}}, 415, KEPT_NOTHING},
    {"a loss as tensors",
     {"POST",
      "/v1/losses",
      "{\"logits\":[[1,2,3],[4,5,6]],\"labels\":[0,1]}",
      {{"Accept", "application/safetensors"}}},
     200,
     KEPT_NOTHING},
    {"wrong fields",
     {"POST", "/v1/losses", "{\"logits\":[[1,2]],\"labels\":[5],\"x\":1}", {{0}}},
     422,
     KEPT_NOTHING},
    {"no JSON", {"POST", "/v1/losses", "{\"logits\":[[1,2]", {{0}}}, 400, KEPT_NOTHING},
    {"every convention",
     {"POST", "/v1/losses/compare", "{\"logits\":[[0,17,16]],\"labels\":[0]}", {{0}}},
     200,
     KEPT_NOTHING},
    {"a data set", {"POST", "/v1/datasets?name=n", csv, {{"Content-Type", "text/csv"}}}, 201, KEPT_DATASET},
    {"a generator",
     {"POST", "/v1/datasets", "{\"generator\":\"moons\",\"rows\":20,\"seed\":5}", {{0}}},
     201,
     KEPT_DATASET},
    {"data sets", {"GET", "/v1/datasets", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a job",
     {"POST",
      "/v1/jobs",
      "{\"dataset\":{\"features\":[[1,2],[3,4],[5,6],[7,9]],\"labels\":[0,1,0,1]},\"model\":{\"layers\":[{"
      "\"units\":4,"
      "\"activation\":\"relu\",\"batch_norm\":true}]},\"training\":{\"epochs\":1,\"validation_split\":0}}",
      {{0}}},
     202,
     KEPT_JOB},
    {"a job that cannot be",
     {"POST", "/v1/jobs", "{\"dataset\":{\"generator\":\"moons\"},\"training\":{\"epochs\":0}}", {{0}}},
     422,
     KEPT_NOTHING},
    {"a client's job", {"POST", "/v1/jobs", "{\"executor\":\"client\"}", {{0}}}, 202, KEPT_JOB},
    {"jobs", {"GET", "/v1/jobs", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"no job", {"GET", "/v1/jobs/job_x", NULL, {{0}}}, 404, KEPT_NOTHING},
    {"the job", {"GET", "/v1/jobs/JOB", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a batch",
     {"POST",
      "/v1/jobs/JOB/metrics",
      "{\"attempt\":1,\"metrics\":{\"steps\":[1,2],\"columns\":{\"loss\":[2.5,\"NaN\"]}},\"layers\":[{"
      "\"index\":0,"
      "\"name\":\"a\",\"steps\":[2],\"columns\":{\"gradient_norm\":[0.5]}}]}",
      {{"Authorization", "BEARER"}}},
     200,
     KEPT_NOTHING},
    {"metrics", {"GET", "/v1/jobs/JOB/metrics", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"metrics as CSV", {"GET", "/v1/jobs/JOB/metrics?format=csv", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"gradients", {"GET", "/v1/jobs/JOB/gradients?after=1", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"events", {"GET", "/v1/jobs/JOB/events", NULL, {{"Last-Event-ID", "1"}}}, 200, KEPT_NOTHING},
    {"a cancel", {"POST", "/v1/jobs/JOB/cancel", NULL, {{0}}}, 202, KEPT_NOTHING},
    {"the end",
     {"POST", "/v1/jobs/JOB/state", "{\"attempt\":1,\"state\":\"succeeded\"}", {{"Authorization", "BEARER"}}},
     200,
     KEPT_NOTHING},
};

// A case's request about the fixture's job, where it is about one.
static struct request request_of(size_t at, const struct client_job *job)
{
    struct request request = cases[at].request;
    const char *place = strstr(request.target, "JOB");
    if (place)
        request.target =
            text_of("%.*s%s%s", (int)(place - request.target), request.target, job->id, place + 3);
    if (request.headers[0].value && strcmp(request.headers[0].value, "BEARER") == 0)
        request.headers[0].value = job->bearer;
    return request;
}

// As another program sees it: what is not committed does not count.
static size_t count_of(struct service *service, enum kept kept)
{
    static const char *const queries[] = {
        [KEPT_JOB] = "SELECT count(*) FROM jobs", [KEPT_DATASET] = "SELECT count(*) FROM datasets"};
    sqlite3 *db;
    sqlite3_stmt *statement;
    if (kept == KEPT_NOTHING)
        return 0;
    assert_int_equal(
        sqlite3_open_v2(text_of("%s/nabla.db", service->folder), &db, SQLITE_OPEN_READWRITE, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, queries[kept], -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const size_t count = (size_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

// A service, and a job in it that trains by itself.
struct stage {
    struct service *service;
    struct client_job job;
};

static struct stage stage_open(void)
{
    struct stage stage = {.service = service_open()};
    stage.job = service_client_job(stage.service);
    return stage;
}

static void drain(struct api_stream *stream)
{
    char bytes[1024];
    struct api_wait wait;
    while (stream->pull(stream->context, bytes, sizeof bytes, &wait) > 0)
        ;
}

static bool is_failure(int status)
{
    return status == 500 || status == 503 || status == 507;
}

// One request with a fault in its way. Returns false when there was no fault left to meet.
static bool try_once(const struct stage *stage, size_t at, enum fault fault, long nth)
{
    const struct request request = request_of(at, &stage->job);
    struct service *service = stage->service;
    const size_t before = count_of(service, cases[at].kept);
    struct api_answer answer = {.fd = -1};
    faults_arm(fault, nth);
    struct api_call *call = service_begin(service, &request, &answer);
    if (call)
        api_handle(call, &answer);
    if (answer.kind == API_STREAM)
        drain(&answer.stream);
    const int status = answer.status;
    const bool met = faults_disarm();
    // A data set that was kept by a try whose answer got lost is there already.
    const bool is_known = cases[at].status == 201 && status == 200;
    if (status != cases[at].status && !is_known && !(met && is_failure(status)))
        fail_msg("%s, fault %d at %ld: status %d: %s", cases[at].comment, (int)fault, nth, status,
                 answer.body.data ? answer.body.data : "");
    api_close(call);
    api_answer_free(&answer);
    const size_t kept = count_of(service, cases[at].kept) - before;
    // A failure that came behind the commit is an answer lost: what Idempotency-Key is for.
    const bool may_be_kept = cases[at].kept && status >= 500;
    if (kept != (cases[at].kept && status < 300 && !is_known) && !(may_be_kept && kept == 1))
        fail_msg("%s, fault %d at %ld: status %d, but %zu more than before", cases[at].comment, (int)fault,
                 nth, status, kept);
    return met;
}

// Caches grow now and then: a leak is what grows at the same place each time.
static void require_no_leak(const struct stage *stage, size_t at, enum fault fault, long nth)
{
    for (int again = 0; again < LEAK_TRIES; again++) {
        const long before = atomic_load(&faults_blocks);
        try_once(stage, at, fault, nth);
        if (atomic_load(&faults_blocks) <= before)
            return;
    }
    fail_msg("%s, fault %d at %ld: leaks", cases[at].comment, (int)fault, nth);
}

// Returns how many places there were to fail at.
static long try_all(const struct stage *stage, size_t at, enum fault fault)
{
    for (long nth = 1; nth < TRIES_MOST; nth++) {
        const long before = atomic_load(&faults_blocks);
        if (!try_once(stage, at, fault, nth))
            return nth - 1;
        if (atomic_load(&faults_blocks) > before)
            require_no_leak(stage, at, fault, nth);
    }
    fail_msg("%s: no end of faults", cases[at].comment);
    return 0;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!faults_of_memory())
        skip();
    struct stage stage = stage_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(try_all(&stage, i, FAULT_MEMORY) > 0);
    service_close(stage.service);
}

static void every_operation_on_a_file_may_fail(void **state)
{
    (void)state;
    for (enum fault fault = FAULT_EIO; fault < FAULT_COUNT; fault++) {
        struct stage stage = stage_open();
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const long places = try_all(&stage, i, fault);
            assert_true(places > 0 || cases[i].kept == KEPT_NOTHING);
        }
        service_close(stage.service);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_operation_on_a_file_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
