// What fails, fails in order: the nth allocation, the nth operation on a file, n from 1 until nothing is left
// to fail. No crash; an answer that says what happened; nothing acknowledged that was not kept, nothing kept
// that was refused; the next request is served; nothing leaks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/faults.h"
#include "tests/trained_job.h"
#include <sqlite3.h>

enum { TRIES_MOST = 20000, LEAK_TRIES = 4 };

static const char csv[] = "a,b,y\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n";

// What a request may change: it is counted before and after.
enum kept { KEPT_NOTHING, KEPT_JOB, KEPT_DATASET };

// A job that has been trained.
static const char trained[] =
    "{\"dataset\":{\"features\":[[1,2],[3,4],[5,6],[7,9]],\"labels\":[\"a\",\"b\",\"a\",\"b\"],"
    "\"feature_names\":[\"x\",\"town=Bern\"]},\"model\":{\"layers\":[{\"units\":3}]},"
    "\"training\":{\"epochs\":1,\"validation_split\":0}}";

#define ZEROS_7  "0,0,0,0,0,0,0,"
#define ZEROS_63 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7

// JOB in a target stands for the job that a client trains, MODEL for the trained one, DATA for its data set.
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
    {"metrics as buckets", {"GET", "/v1/jobs/JOB/metrics?max_points=1", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"gradients as tensors",
     {"GET", "/v1/jobs/JOB/gradients", NULL, {{"Accept", "application/safetensors"}}},
     200,
     KEPT_NOTHING},
    {"a stream of metrics",
     {"GET", "/v1/jobs/JOB/metrics", NULL, {{"Accept", "text/event-stream"}}},
     200,
     KEPT_NOTHING},
    {"metrics of several", {"GET", "/v1/metrics?job=JOB", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a histogram and a metric of one's own",
     {"POST",
      "/v1/jobs/JOB/metrics",
      "{\"attempt\":1,\"metrics\":{\"steps\":[3],\"columns\":{\"mine\":[4]}},\"histograms\":[{\"index\":0,"
      "\"name\":\"a\",\"kind\":\"gradients\",\"steps\":[2],\"counts\":[[" ZEROS_63 "5]],\"nonfinite\":[1]}]}",
      {{"Authorization", "BEARER"}}},
     200,
     KEPT_NOTHING},
    {"histograms", {"GET", "/v1/jobs/JOB/histograms", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a stream of histograms",
     {"GET", "/v1/jobs/JOB/histograms", NULL, {{"Accept", "text/event-stream"}}},
     200,
     KEPT_NOTHING},
    {"a checkpoint",
     {"PUT",
      "/v1/jobs/JOB/checkpoint?attempt=1&step=2",
      "state",
      {{"Authorization", "BEARER"}, {"Content-Type", "application/octet-stream"}}},
     200,
     KEPT_NOTHING},
    {"the checkpoint", {"GET", "/v1/jobs/JOB/checkpoint", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"what the job takes", {"GET", "/v1/jobs/JOB/storage", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a model", {"GET", "/v1/jobs/MODEL/model", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a prediction",
     {"POST", "/v1/jobs/MODEL/predict", "{\"features\":[[1,2],[3,4]]}", {{0}}},
     200,
     KEPT_NOTHING},
    {"a prediction by names",
     {"POST", "/v1/jobs/MODEL/predict", "{\"features\":[{\"x\":1,\"town\":\"Bern\"}]}", {{0}}},
     200,
     KEPT_NOTHING},
    {"a prediction of a table",
     {"POST",
      "/v1/jobs/MODEL/predict",
      "town,x\nBern,1\n",
      {{"Content-Type", "text/csv"}, {"Accept", "text/csv"}}},
     200,
     KEPT_NOTHING},
    {"a prediction as tensors",
     {"POST", "/v1/jobs/MODEL/predict", "{\"features\":[1,2]}", {{"Accept", "application/safetensors"}}},
     200,
     KEPT_NOTHING},
    {"a sweep", {"POST", "/v1/losses/sweep", "{\"classes\":3,\"points\":5}", {{0}}}, 200, KEPT_NOTHING},
    {"the dashboard's page", {"GET", "/", NULL, {{"Accept", "text/html"}}}, 200, KEPT_NOTHING},
    {"its looks", {"GET", "/dashboard.css", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"its script", {"GET", "/dashboard.js", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"its charts", {"GET", "/dashboard-charts.js", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"its comparison", {"GET", "/dashboard-compare.js", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"how it asks", {"GET", "/dashboard-server.js", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"health", {"GET", "/healthz", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"the server's metrics", {"GET", "/metrics", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"the data set", {"GET", "/v1/datasets/DATA", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"its rows", {"GET", "/v1/datasets/DATA/data", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"its rows as CSV", {"GET", "/v1/datasets/DATA/data", NULL, {{"Accept", "text/csv"}}}, 200, KEPT_NOTHING},
    {"no data set", {"DELETE", "/v1/datasets/ds_x", NULL, {{0}}}, 404, KEPT_NOTHING},
    {"a job that runs", {"DELETE", "/v1/jobs/JOB", NULL, {{0}}}, 409, KEPT_NOTHING},
    {"gradients of several", {"GET", "/v1/gradients?job=JOB", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a log", {"GET", "/v1/jobs/MODEL/log", NULL, {{0}}}, 200, KEPT_NOTHING},
    {"a log's stream",
     {"GET", "/v1/jobs/MODEL/log", NULL, {{"Accept", "text/event-stream"}}},
     200,
     KEPT_NOTHING},
    {"a note",
     {"POST",
      "/v1/jobs/JOB/events",
      "{\"attempt\":1,\"event\":\"note\",\"detail\":\"so\"}",
      {{"Authorization", "BEARER"}}},
     200,
     KEPT_NOTHING},
    {"a pause", {"POST", "/v1/jobs/JOB/pause", NULL, {{0}}}, 202, KEPT_NOTHING},
    {"nothing to go on with", {"POST", "/v1/jobs/JOB/resume", NULL, {{0}}}, 409, KEPT_NOTHING},
    {"events", {"GET", "/v1/jobs/JOB/events", NULL, {{"Last-Event-ID", "1"}}}, 200, KEPT_NOTHING},
    {"a cancel", {"POST", "/v1/jobs/JOB/cancel", NULL, {{0}}}, 202, KEPT_NOTHING},
    {"the end",
     {"POST", "/v1/jobs/JOB/state", "{\"attempt\":1,\"state\":\"succeeded\"}", {{"Authorization", "BEARER"}}},
     200,
     KEPT_NOTHING},
};

// A service, a job in it that trains by itself, and one that has been trained.
struct stage {
    struct service *service;
    struct client_job job;
    char model[TOKEN_ID_SIZE], dataset[TOKEN_ID_SIZE]; // which it was trained with
};

static const char *put_id(const char *target, const char *name, const char *id)
{
    const char *place = strstr(target, name);
    return place ? text_of("%.*s%s%s", (int)(place - target), target, id, place + strlen(name)) : target;
}

// A case's request about the stage's jobs, where it is about one.
static struct request request_of(size_t at, const struct stage *stage)
{
    const struct client_job *job = &stage->job;
    struct request request = cases[at].request;
    request.target = put_id(put_id(request.target, "JOB", job->id), "MODEL", stage->model);
    request.target = put_id(request.target, "DATA", stage->dataset);
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

static struct stage stage_open(void)
{
    struct stage stage = {.service = service_open()};
    trained_job(stage.service, trained, stage.model);
    json_t *job = service_json(stage.service, "GET", text_of("/v1/jobs/%s", stage.model), NULL, 200);
    snprintf(stage.dataset, sizeof stage.dataset, "%s", json_text(json_object_get(job, "spec"), "dataset"));
    json_decref(job);
    const char *log = text_of("%s/jobs/%s/log", stage.service->folder, stage.model);
    assert_int_equal(file_replace(log, "trained\n", 8, NULL), NABLA_OK);
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
    const struct request request = request_of(at, stage);
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

static size_t segment_size(const char *text)
{
    return strcspn(text, "/?");
}

// "/v1/jobs/JOB?x=1" and "/v1/jobs/{id}".
static bool is_of(const char *target, const char *pattern)
{
    while (*target == '/' && *pattern == '/') {
        target++;
        pattern++;
        if (*pattern != '{' && (segment_size(target) != segment_size(pattern) ||
                                strncmp(target, pattern, segment_size(target)) != 0))
            return false;
        target += segment_size(target);
        pattern += segment_size(pattern);
    }
    return !*pattern && (!*target || *target == '?');
}

static void every_route_is_among_the_cases(void **state)
{
    (void)state;
    const char *method, *pattern;
    for (size_t i = 0; api_route_at(i, &method, &pattern); i++) {
        bool is_there = false;
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            is_there = is_there || (strcmp(cases[k].request.method, method) == 0 &&
                                    is_of(cases[k].request.target, pattern));
        if (!is_there)
            fail_msg("nothing fails in %s %s", method, pattern);
    }
}

// What is made to be deleted, of which a part can be asked for that lies in a file.
static const char *data_set_make(struct service *service)
{
    static unsigned seed;
    json_t *made = service_json(service, "POST", "/v1/datasets",
                                text_of("{\"generator\":\"moons\",\"rows\":20,\"seed\":%u}", ++seed), 201);
    const char *ret = text_of("/v1/datasets/%s", json_text(made, "id"));
    json_decref(made);
    return ret;
}

static const char *job_make(struct service *service)
{
    char id[TOKEN_ID_SIZE];
    trained_job(service, trained, id);
    return text_of("/v1/jobs/%s", id);
}

static const struct {
    const char *(*make)(struct service *service);
    const char *part;
    long stride; // each place takes a new one, and jobs take long
} deleted[] = {{data_set_make, "data", 1}, {job_make, "model", 7}};

static int status_of(struct service *service, const char *method, const char *target)
{
    struct api_answer answer = service_ask(service, method, target, NULL);
    const int status = answer.status;
    api_answer_free(&answer);
    return status;
}

// Wholly there or gone, whatever fails. Returns false when nothing was left to fail.
static bool try_delete(struct service *service, size_t at, const char *target, enum fault fault, long nth)
{
    faults_arm(fault, nth);
    const int status = status_of(service, "DELETE", target);
    const bool met = faults_disarm();
    const int there = status_of(service, "GET", target);
    const int part = status_of(service, "GET", text_of("%s/%s", target, deleted[at].part));
    if ((status != 204 && !(met && is_failure(status))) || (there != 200 && there != 404) || there != part ||
        (status == 204 && there != 404))
        fail_msg("%s, fault %d at %ld: status %d, then %d and %d", target, (int)fault, nth, status, there,
                 part);
    return met;
}

static void a_deletion_may_fail_but_not_by_half(void **state)
{
    (void)state;
    struct service *service = service_open();
    for (enum fault fault = faults_of_memory() ? FAULT_MEMORY : FAULT_EIO; fault < FAULT_COUNT; fault++)
        for (size_t i = 0; i < sizeof deleted / sizeof *deleted; i++) {
            bool met = true;
            for (long nth = 1; met; nth += deleted[i].stride) {
                char target[64];
                assert_true(nth < TRIES_MOST);
                snprintf(target, sizeof target, "%s", deleted[i].make(service));
                do
                    met = try_delete(service, i, target, fault, nth);
                while (met && status_of(service, "GET", target) == 200 && ++nth < TRIES_MOST);
            }
        }
    service_close(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_among_the_cases),
        cmocka_unit_test(a_deletion_may_fail_but_not_by_half),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_operation_on_a_file_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
