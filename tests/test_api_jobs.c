// Jobs over the api: creating, reading, waiting, cancelling, reporting, events.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/job_encode.h"
#include "base/clock.h"
#include "tests/service.h"

#include <pthread.h>

#define BLOBS "{\"generator\":\"blobs\",\"rows\":60,\"features\":2,\"classes\":3,\"seed\":1}"
#define JOB   "{\"name\":\"first\",\"dataset\":" BLOBS ",\"model\":{\"layers\":[{\"units\":8}]},\"retries\":2}"

static int set_up(void **state)
{
    *state = service_open();
    return 0;
}

static int tear_down(void **state)
{
    service_close(*state);
    return 0;
}

static char *create(struct service *service, const char *document)
{
    json_t *job = service_json(service, "POST", "/v1/jobs", document, 202);
    char *id = strdup(json_text(job, "id"));
    json_decref(job);
    return id;
}

static void a_job_is_created_queued_with_its_whole_spec(void **state)
{
    struct service *service = *state;
    struct api_answer answer = service_ask(service, "POST", "/v1/jobs", JOB);
    answer_expect(&answer, 202, "create");
    char location[80];
    snprintf(location, sizeof location, "%s", answer_value(&answer, "Location"));
    json_t *job = answer_take(&answer, 202, "create");
    assert_string_equal(location, text_of("/v1/jobs/%s", json_text(job, "id")));
    assert_string_equal(json_text(job, "name"), "first");
    assert_string_equal(json_text(job, "state"), "queued");
    assert_int_equal(json_integer_value(json_object_get(job, "revision")), 1);
    assert_int_equal(json_integer_value(json_object_get(job, "attempt")), 0);
    assert_true(json_is_null(json_object_get(job, "requested")));
    assert_true(json_is_null(json_object_get(job, "latest")));
    assert_true(json_is_null(json_object_get(job, "started_at")));
    assert_null(json_object_get(job, "token"));
    const json_t *spec = json_object_get(job, "spec");
    assert_int_equal(strncmp(json_text(spec, "dataset"), "ds_", 3), 0);
    assert_int_equal(json_array_size(json_object_get(json_object_get(spec, "model"), "layers")), 2);
    const json_t *progress = json_object_get(job, "progress");
    assert_int_equal(json_integer_value(json_object_get(progress, "steps")), 20); // 48 rows by 32, 10 epochs
    assert_int_equal(json_integer_value(json_object_get(progress, "epochs")), 10);
    assert_int_equal(service->wakes, 1);
    json_decref(job);
}

static void a_spec_can_be_posted_again(void **state)
{
    struct service *service = *state;
    json_t *job = service_json(service, "POST", "/v1/jobs", JOB, 202);
    char *spec = json_dumps(json_object_get(job, "spec"), JSON_COMPACT);
    json_t *again = service_json(service, "POST", "/v1/jobs", spec, 202);
    assert_true(json_equal(json_object_get(job, "spec"), json_object_get(again, "spec")));
    free(spec);
    json_decref(job);
    json_decref(again);
}

static const struct {
    const char *comment, *document;
    int status;
    const char *pointer;
} refusals[] = {
    {"no JSON", "{", 400, ""},
    {"no object", "[]", 422, ""},
    {"a duplicate key", "{\"name\":\"a\",\"name\":\"b\"}", 400, ""},
    {"nothing given", "{}", 422, "/model"},
    {"no data set", "{\"model\":{}}", 422, "/dataset"},
    {"a data set that is not there", "{\"dataset\":\"ds_none\",\"model\":{}}", 422, "/dataset"},
    {"a generator's bad value", "{\"dataset\":{\"generator\":\"blobs\",\"classes\":1},\"model\":{}}", 422,
     "/dataset/classes"},
    {"an unknown field", "{\"dataset\":" BLOBS ",\"model\":{},\"colour\":1}", 422, "/colour"},
    {"too many parameters: max_parameters",
     "{\"dataset\":" BLOBS ",\"model\":{\"layers\":[{\"units\":100},{\"units\":100}]}}", 422,
     "/model/layers"},
    {"too many threads: max_job_threads", "{\"dataset\":" BLOBS ",\"model\":{},\"training\":{\"threads\":2}}",
     422, "/training/threads"},
    {"too much work: max_work", "{\"dataset\":" BLOBS ",\"model\":{},\"training\":{\"epochs\":1000000}}", 422,
     "/training/epochs"},
    {"too many retries: max_retries", "{\"dataset\":" BLOBS ",\"model\":{},\"retries\":11}", 422, "/retries"},
    {"the output's width",
     "{\"dataset\":" BLOBS ",\"model\":{\"append_output\":false,\"layers\":[{\"units\":2}]}}", 422,
     "/model/layers/0/units"},
};

static void a_bad_job_is_refused_with_its_pointer(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    limits.parameters = 1000;
    limits.work = 100000;
    struct service *service = service_open_limited(&limits);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct request request = {.method = "POST", .target = "/v1/jobs", .body = refusals[i].document};
        service_refuses(service, &request, refusals[i].status, refusals[i].pointer, refusals[i].comment);
    }
    json_t *list = service_json(service, "GET", "/v1/jobs", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "jobs")), 0);
    assert_int_equal(service->wakes, 0);
    json_decref(list);
    service_close(service);
}

// 40,000 × 20 features are 3.2 MB.
#define MUCH                                                                                                 \
    "{\"dataset\":{\"generator\":\"blobs\",\"rows\":40000,\"features\":20},\"model\":{},\"training\":{"

static const struct {
    const char *training;
    size_t memory;
    bool streams;
    const char *pointer; // of the refusal, or NULL
} streams[] = {
    {"}}", 20000000, false, NULL},
    {"}}", 6200000, true, NULL},
    {"\"streaming\":true}}", 20000000, true, NULL},
    {"\"streaming\":false}}", 6200000, false, "/training/streaming"},
    {"\"shuffle_buffer\":39000}}", 6200000, true, "/training/shuffle_buffer"},
    {"}}", 1000000, true, "/model/layers"},
};

static void what_does_not_fit_into_memory_is_streamed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct api_limits limits = api_limits_defaults();
        limits.job_bytes = streams[i].memory;
        struct service *service = service_open_limited(&limits);
        const struct request request = {
            .method = "POST", .target = "/v1/jobs", .body = text_of(MUCH "%s", streams[i].training)};
        if (streams[i].pointer) {
            service_refuses(service, &request, 422, streams[i].pointer, streams[i].training);
        } else {
            json_t *job = service_json(service, "POST", "/v1/jobs", request.body, 202);
            const json_t *training = json_object_get(json_object_get(job, "spec"), "training");
            assert_int_equal(json_is_true(json_object_get(training, "streaming")), streams[i].streams);
            assert_int_equal(json_object_get(training, "shuffle_buffer") != NULL, streams[i].streams);
            json_decref(job);
        }
        service_close(service);
    }
}

static void a_full_queue_asks_to_come_back(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    limits.queued_jobs = 1;
    struct service *service = service_open_limited(&limits);
    free(create(service, JOB));
    struct api_answer answer = service_ask(service, "POST", "/v1/jobs", JOB);
    answer_expect(&answer, 503, "a full queue");
    assert_non_null(answer_value(&answer, "Retry-After"));
    assert_non_null(strstr(answer.body.data, "max_queued_jobs"));
    api_answer_free(&answer);
    free(create(service, "{\"executor\":\"client\"}")); // waits for no worker
    service_close(service);
}

enum { ASKING_AT_ONCE = 16, PLACES = 3 };

static void *ask_for_a_place(void *context)
{
    struct service *service = context;
    const struct request request = {.method = "POST", .target = "/v1/jobs", .body = JOB};
    struct api_answer answer;
    struct api_call *call = service_begin(service, &request, &answer);
    if (call)
        api_handle(call, &answer);
    api_close(call);
    int status = answer.status;
    api_answer_free(&answer);
    return (void *)(intptr_t)status;
}

// Each finds a place before any of the others has taken it.
static void those_who_ask_at_once_get_no_more_places_than_there_are(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    limits.queued_jobs = PLACES;
    struct service *service = service_open_limited(&limits);
    pthread_t threads[ASKING_AT_ONCE];
    for (size_t i = 0; i < ASKING_AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_a_place, service), 0);
    unsigned taken = 0, refused = 0;
    for (size_t i = 0; i < ASKING_AT_ONCE; i++) {
        void *status;
        assert_int_equal(pthread_join(threads[i], &status), 0);
        taken += (intptr_t)status == 202;
        refused += (intptr_t)status == 503;
    }
    assert_int_equal(taken, PLACES);
    assert_int_equal(refused, ASKING_AT_ONCE - PLACES);
    service_close(service);
}

static void the_same_key_and_body_make_one_job(void **state)
{
    struct service *service = *state;
    struct request request = {
        .method = "POST", .target = "/v1/jobs", .body = JOB, .headers = {{"Idempotency-Key", "k1"}}};
    struct api_answer answer = service_send(service, &request);
    json_t *first = answer_take(&answer, 202, "first");
    answer = service_send(service, &request);
    json_t *second = answer_take(&answer, 202, "second");
    assert_string_equal(json_text(first, "id"), json_text(second, "id"));
    assert_int_equal(service->wakes, 1);
    request.body = "{\"dataset\":" BLOBS ",\"model\":{}}";
    answer = service_send(service, &request);
    answer_expect(&answer, 422, "another body");
    api_answer_free(&answer);
    request.body = "{";
    answer = service_send(service, &request);
    answer_expect(&answer, 422, "a body that cannot be read");
    api_answer_free(&answer);
    json_decref(first);
    json_decref(second);
}

// What would refuse a new job does not touch one that is there: the first answer may have been lost.
static void a_repeated_job_is_answered_where_a_new_one_is_refused(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    limits.queued_jobs = 1;
    struct service *service = service_open_limited(&limits);
    const struct request request = {
        .method = "POST", .target = "/v1/jobs", .body = JOB, .headers = {{"Idempotency-Key", "k1"}}};
    for (int i = 0; i < 2; i++) {
        struct api_answer answer = service_send(service, &request);
        answer_expect(&answer, 202, i ? "the repeated job" : "the first job");
        api_answer_free(&answer);
    }
    service_expect(service, "POST", "/v1/jobs", JOB, 503);
    service_close(service);
}

static void a_list_goes_on_by_its_cursor(void **state)
{
    struct service *service = *state;
    for (int i = 0; i < 3; i++)
        free(create(service, JOB));
    struct api_answer answer = service_ask(service, "GET", "/v1/jobs?limit=2&state=queued", NULL);
    assert_non_null(answer_value(&answer, "Link"));
    assert_non_null(strstr(answer_value(&answer, "Link"), "state=queued"));
    json_t *page = answer_take(&answer, 200, "page 1");
    assert_int_equal(json_array_size(json_object_get(page, "jobs")), 2);
    json_t *rest = service_json(service, "GET",
                                text_of("/v1/jobs?limit=2&cursor=%s", json_text(page, "next")), NULL, 200);
    assert_int_equal(json_array_size(json_object_get(rest, "jobs")), 1);
    assert_true(json_is_null(json_object_get(rest, "next")));
    json_decref(page);
    json_decref(rest);
    page = service_json(service, "GET", "/v1/jobs?state=running", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(page, "jobs")), 0);
    json_decref(page);
    service_expect(service, "GET", "/v1/jobs?state=asleep", NULL, 400);
    service_expect(service, "GET", "/v1/jobs?limit=0", NULL, 400);
}

static void an_unchanged_job_is_304(void **state)
{
    struct service *service = *state;
    char *id = create(service, JOB);
    struct request request = {.method = "GET", .target = text_of("/v1/jobs/%s", id)};
    struct api_answer answer = service_send(service, &request);
    answer_expect(&answer, 200, "get");
    assert_string_equal(answer_value(&answer, "ETag"), "\"1\"");
    api_answer_free(&answer);
    static const struct {
        const char *known;
        int status;
    } cases[] = {{"\"1\"", 304},  {"W/\"1\"", 304}, {"\"7\", \"1\"", 304}, {"*", 304}, {"\"2\"", 200},
                 {"\"11\"", 200}, {"1", 200}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request.headers[0] = (struct api_header){"If-None-Match", cases[i].known};
        answer = service_send(service, &request);
        answer_expect(&answer, cases[i].status, cases[i].known);
        assert_int_equal(answer.body.size > 0, cases[i].status == 200);
        api_answer_free(&answer);
    }
    free(id);
}

// A call that waits is answered by the change; its deadline is the configured one at most.
static void waiting_ends_with_the_next_revision(void **state)
{
    struct service *service = *state;
    char *id = create(service, JOB);
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s", id),
                                    .headers = {{"Prefer", "respond-async, wait=100000"}}};
    struct api_answer answer;
    struct api_call *call = service_begin(service, &request, &answer);
    int64_t now = clock_monotonic_ms();
    api_handle(call, &answer);
    assert_int_equal(answer.kind, API_WAIT);
    assert_string_equal(answer.wait.job, id);
    assert_int_equal(answer.wait.revision, 1);
    assert_true(answer.wait.deadline_ms >= now && answer.wait.deadline_ms <= now + 61000);
    service_expect(service, "POST", text_of("/v1/jobs/%s/cancel", id), NULL, 202);
    api_handle(call, &answer);
    answer_expect(&answer, 200, "after the change");
    assert_string_equal(answer_value(&answer, "Preference-Applied"), "wait=60");
    json_t *job = answer_take(&answer, 200, "after the change");
    assert_string_equal(json_text(job, "state"), "cancelled");
    json_decref(job);
    api_close(call);
    free(id);
}

static void waiting_with_a_known_revision_ends_with_304(void **state)
{
    struct service *service = *state;
    char *id = create(service, JOB);
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s", id),
                                    .headers = {{"Prefer", "wait=5"}, {"If-None-Match", "\"1\""}}};
    struct api_answer answer;
    struct api_call *call = service_begin(service, &request, &answer);
    api_handle(call, &answer);
    assert_int_equal(answer.kind, API_WAIT);
    call->wait_deadline_ms = clock_monotonic_ms(); // the time is over
    api_handle(call, &answer);
    answer_expect(&answer, 304, "after the deadline");
    api_answer_free(&answer);
    api_close(call);
    free(id);
}

// The list of a job's events: for the next revision, for what is not known, for what comes behind `after`.
static void a_list_of_events_is_waited_for(void **state)
{
    struct service *service = *state;
    const struct {
        const char *query, *known;
        bool waits;
    } cases[] = {{"", NULL, true},         {"", "\"1\"", true},       {"", "\"7\"", false},
                 {"&after=1", NULL, true}, {"&after=0", NULL, false}, {"&after=0", "\"1\"", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *id = create(service, JOB);
        const struct request request = {.method = "GET",
                                        .target =
                                            text_of("/v1/jobs/%s/events?format=json%s", id, cases[i].query),
                                        .headers = {{"Prefer", "wait=5"},
                                                    {cases[i].known ? "If-None-Match" : "X-None",
                                                     cases[i].known ? cases[i].known : "1"}}};
        struct api_answer answer;
        struct api_call *call = service_begin(service, &request, &answer);
        api_handle(call, &answer);
        assert_int_equal(answer.kind == API_WAIT, cases[i].waits);
        if (cases[i].waits) {
            service_expect(service, "POST", text_of("/v1/jobs/%s/cancel", id), NULL, 202);
            api_handle(call, &answer);
        }
        json_t *list = answer_take(&answer, 200, request.target);
        const json_t *events = json_object_get(list, "events");
        assert_true(json_array_size(events) > 0);
        const char *last = json_text(json_array_get(events, json_array_size(events) - 1), "event");
        assert_string_equal(last, cases[i].waits ? "cancelled" : "created");
        json_decref(list);
        api_close(call);
        free(id);
    }
}

static void a_finished_job_is_not_waited_for(void **state)
{
    struct service *service = *state;
    char *id = create(service, JOB);
    service_expect(service, "POST", text_of("/v1/jobs/%s/cancel", id), NULL, 202);
    const struct request request = {
        .method = "GET", .target = text_of("/v1/jobs/%s", id), .headers = {{"Prefer", "wait=5"}}};
    struct api_answer answer = service_send(service, &request);
    answer_expect(&answer, 200, "finished");
    api_answer_free(&answer);
    free(id);
}

static void only_a_finished_job_is_deleted(void **state)
{
    struct service *service = *state;
    char *id = create(service, JOB);
    service_expect(service, "DELETE", text_of("/v1/jobs/%s", id), NULL, 409);
    json_t *job = service_json(service, "POST", text_of("/v1/jobs/%s/cancel", id), NULL, 202);
    assert_string_equal(json_text(job, "state"), "cancelled");
    assert_string_not_equal(json_text(job, "finished_at"), "");
    assert_int_equal(service->wakes, 2);
    json_decref(job);
    service_expect(service, "DELETE", text_of("/v1/jobs/%s", id), NULL, 204);
    service_expect(service, "GET", text_of("/v1/jobs/%s", id), NULL, 404);
    service_expect(service, "POST", text_of("/v1/jobs/%s/cancel", id), NULL, 404);
    free(id);
}

static void a_client_reports_by_its_token(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service), stranger = job;
    static const char done[] = "{\"attempt\":1,\"state\":\"succeeded\",\"result\":{\"loss\":0.5}}";
    strcpy(stranger.bearer, "Bearer wrong");
    service_expect(service, "POST", text_of("/v1/jobs/%s/state", job.id), done, 401);
    client_posts(service, &stranger, "state", done, 403);
    client_posts(service, &job, "state", "{\"attempt\":2,\"state\":\"succeeded\"}", 409);
    client_posts(service, &job, "state", done, 200);
    client_posts(service, &job, "state", done, 200); // repeating is fine
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"failed\"}", 409);
    json_t *got = service_json(service, "GET", text_of("/v1/jobs/%s", job.id), NULL, 200);
    assert_string_equal(json_text(got, "state"), "succeeded");
    assert_true(json_real_value(json_object_get(json_object_get(got, "result"), "loss")) == 0.5);
    assert_true(json_is_null(json_object_get(got, "error")));
    assert_null(json_object_get(got, "token"));
    json_decref(got);
    service_expect(service, "POST", text_of("/v1/jobs/%s/cancel", job.id), NULL, 409);
}

static void a_failure_keeps_its_reason(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    client_posts(
        service, &job, "state",
        "{\"attempt\":1,\"state\":\"failed\",\"error\":{\"code\":\"diverged\",\"detail\":\"loss is NaN\"}}",
        200);
    json_t *got = service_json(service, "GET", text_of("/v1/jobs/%s", job.id), NULL, 200);
    assert_string_equal(json_text(json_object_get(got, "error"), "detail"), "loss is NaN");
    json_decref(got);
}

static void a_running_job_is_asked_to_stop(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    json_t *got = service_json(service, "POST", text_of("/v1/jobs/%s/cancel", job.id), NULL, 202);
    assert_string_equal(json_text(got, "state"), "running");
    assert_string_equal(json_text(got, "requested"), "cancel");
    json_decref(got);
    struct api_answer answer = client_post(service, &job, "metrics", "{\"attempt\":1}");
    got = answer_take(&answer, 200, "metrics");
    assert_string_equal(json_text(got, "requested"), "cancel");
    json_decref(got);
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"cancelled\"}", 200);
}

static const struct {
    const char *comment, *document;
    int status;
    const char *pointer;
} reports[] = {
    {"no attempt", "{\"state\":\"failed\"}", 422, "/attempt"},
    {"no state", "{\"attempt\":1}", 422, "/state"},
    {"a state that is not an end", "{\"attempt\":1,\"state\":\"running\"}", 422, "/state"},
    {"a result that is no object", "{\"attempt\":1,\"state\":\"failed\",\"result\":3}", 422, "/result"},
    {"an error without code", "{\"attempt\":1,\"state\":\"failed\",\"error\":{}}", 422, "/error/code"},
    {"an unknown field", "{\"attempt\":1,\"state\":\"failed\",\"mood\":1}", 422, "/mood"},
};

static void a_bad_report_is_refused_with_its_pointer(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        const struct request request = {.method = "POST",
                                        .target = text_of("/v1/jobs/%s/state", job.id),
                                        .body = reports[i].document,
                                        .headers = {{"Authorization", job.bearer}}};
        service_refuses(service, &request, reports[i].status, reports[i].pointer, reports[i].comment);
    }
}

// Pulls until the stream waits or ends; the text is the caller's to free.
static char *pull_events(struct api_answer *answer, size_t piece, ssize_t *ret_end, struct api_wait *ret_wait)
{
    struct buffer text = buffer_new(1 << 20);
    char bytes[512];
    assert_int_equal(answer->kind, API_STREAM);
    while ((*ret_end = answer->stream.pull(answer->stream.context, bytes, piece, ret_wait)) >= 0)
        buffer_append(&text, bytes, (size_t)*ret_end);
    char *taken = buffer_steal(&text, NULL);
    return taken ? taken : strdup("");
}

static struct api_answer open_events(struct service *service, const char *id, const char *last)
{
    struct request request = {.method = "GET", .target = text_of("/v1/jobs/%s/events", id)};
    if (last)
        request.headers[0] = (struct api_header){"Last-Event-ID", last};
    return service_send(service, &request);
}

static void events_follow_a_job_to_its_end(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    struct api_answer answer = open_events(service, job.id, NULL);
    struct api_wait wait;
    ssize_t end;
    answer_expect(&answer, 200, "events");
    assert_string_equal(answer_value(&answer, "Content-Type"), "text/event-stream");
    char *text = pull_events(&answer, 7, &end, &wait);
    assert_int_equal(end, API_STREAM_WAIT);
    assert_string_equal(wait.job, job.id);
    assert_int_equal(wait.revision, 1);
    assert_non_null(strstr(text, "id: 1\nevent: state\ndata: {\"revision\":1,\"at\":\""));
    assert_non_null(strstr(text, "\"event\":\"created\",\"state\":\"running\""));
    free(text);
    client_posts(service, &job, "metrics",
                 "{\"attempt\":1,\"metrics\":{\"steps\":[1],\"columns\":{\"loss\":[\"NaN\"]}},"
                 "\"progress\":{\"step\":1,\"steps\":4,\"epoch\":0,\"epochs\":1}}",
                 200);
    text = pull_events(&answer, 512, &end, &wait);
    assert_int_equal(wait.revision, 2);
    assert_non_null(strstr(text, "id: 2\nevent: progress\ndata: {\"revision\":2,\"state\":\"running\""));
    assert_non_null(strstr(text, "\"fraction\":0.25"));
    assert_non_null(strstr(text, "\"loss\":\"NaN\""));
    free(text);
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    text = pull_events(&answer, 512, &end, &wait);
    assert_int_equal(end, API_STREAM_END);
    assert_non_null(strstr(text, "\"event\":\"succeeded\",\"state\":\"succeeded\""));
    free(text);
    api_answer_free(&answer);
}

static void events_go_on_behind_the_last_one_seen(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    struct api_wait wait;
    ssize_t end;
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    struct api_answer answer = open_events(service, job.id, "1");
    char *text = pull_events(&answer, 512, &end, &wait);
    assert_int_equal(end, API_STREAM_END);
    assert_null(strstr(text, "created"));
    assert_non_null(strstr(text, "id: 2\nevent: state"));
    free(text);
    api_answer_free(&answer);
    answer = open_events(service, job.id, "2");
    answer_expect(&answer, 204, "nothing is left to tell");
    api_answer_free(&answer);
    answer = open_events(service, job.id, "two");
    answer_expect(&answer, 400, "no revision");
    api_answer_free(&answer);
    answer = open_events(service, "job_none", NULL);
    answer_expect(&answer, 404, "no job");
    api_answer_free(&answer);
}

static void events_are_listed_page_by_page(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    client_posts(service, &job, "events", "{\"attempt\":1,\"event\":\"checkpoint\",\"detail\":\"step 3\"}",
                 200);
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    json_t *page =
        service_json(service, "GET", text_of("/v1/jobs/%s/events?format=json&limit=2", job.id), NULL, 200);
    const json_t *events = json_object_get(page, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(json_text(json_array_get(events, 1), "event"), "checkpoint");
    assert_string_equal(json_text(json_array_get(events, 1), "detail"), "step 3");
    assert_string_equal(json_text(json_array_get(events, 1), "state"), "running");
    assert_true(json_is_true(json_object_get(page, "more")));
    assert_string_equal(json_text(page, "after"), "2");
    json_decref(page);
    const struct request rest = {.method = "GET",
                                 .target = text_of("/v1/jobs/%s/events?after=2", job.id),
                                 .headers = {{"Accept", "application/json"}}};
    struct api_answer answer = service_send(service, &rest);
    assert_string_equal(answer_value(&answer, "ETag"), "\"3\"");
    page = answer_take(&answer, 200, "the rest");
    assert_true(json_is_false(json_object_get(page, "more")));
    assert_string_equal(json_text(json_array_get(json_object_get(page, "events"), 0), "event"), "succeeded");
    json_decref(page);
    const struct request known = {.method = "GET",
                                  .target = rest.target,
                                  .headers = {{"Accept", "application/json"}, {"If-None-Match", "\"3\""}}};
    answer = service_send(service, &known);
    answer_expect(&answer, 304, "nothing new");
    api_answer_free(&answer);
    service_expect(service, "GET", text_of("/v1/jobs/%s/events?format=xml", job.id), NULL, 400);
}

static double eta_of(const struct job *job)
{
    struct buffer text = buffer_new(1000);
    job_encode_progress(job, &text);
    json_t *progress = json_loadb(text.data, text.size, 0, NULL);
    const json_t *eta = json_object_get(progress, "eta_seconds");
    const double seconds = json_is_null(eta) ? NAN : json_number_value(eta);
    json_decref(progress);
    buffer_free(&text);
    return seconds;
}

// A hundred seconds of this attempt, a day since the first.
static void what_is_left_goes_by_the_newest_attempts_pace(void **state)
{
    (void)state;
    const struct {
        uint64_t attempt_step, step, steps;
        enum job_state state;
        double eta;
    } cases[] = {
        {0, 100, 300, JOB_RUNNING, 200},   {500, 600, 800, JOB_RUNNING, 200},
        {500, 500, 800, JOB_RUNNING, NAN}, {500, 450, 800, JOB_RUNNING, NAN},
        {0, 100, 100, JOB_RUNNING, 0},     {0, 100, 0, JOB_RUNNING, 0},
        {500, 600, 800, JOB_PAUSED, NAN},
    };
    const int64_t now_ms = clock_steady_ms();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct job job = {.state = cases[i].state,
                                .progress = {.step = cases[i].step, .steps = cases[i].steps},
                                .started_ms = now_ms - 86400000,
                                .attempt_ms = now_ms - 100000,
                                .attempt_step = cases[i].attempt_step};
        const double eta = eta_of(&job);
        if (isnan(cases[i].eta))
            assert_true(isnan(eta));
        else // the clock goes on
            assert_true(eta >= cases[i].eta && eta <= cases[i].eta * 1.1);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_created_queued_with_its_whole_spec),
        TEST(a_spec_can_be_posted_again),
        cmocka_unit_test(a_bad_job_is_refused_with_its_pointer),
        cmocka_unit_test(what_is_left_goes_by_the_newest_attempts_pace),
        cmocka_unit_test(a_full_queue_asks_to_come_back),
        cmocka_unit_test(those_who_ask_at_once_get_no_more_places_than_there_are),
        cmocka_unit_test(what_does_not_fit_into_memory_is_streamed),
        TEST(the_same_key_and_body_make_one_job),
        cmocka_unit_test(a_repeated_job_is_answered_where_a_new_one_is_refused),
        TEST(a_list_goes_on_by_its_cursor),
        TEST(an_unchanged_job_is_304),
        TEST(waiting_ends_with_the_next_revision),
        TEST(waiting_with_a_known_revision_ends_with_304),
        TEST(a_list_of_events_is_waited_for),
        TEST(a_finished_job_is_not_waited_for),
        TEST(only_a_finished_job_is_deleted),
        TEST(a_client_reports_by_its_token),
        TEST(a_failure_keeps_its_reason),
        TEST(a_running_job_is_asked_to_stop),
        TEST(a_bad_report_is_refused_with_its_pointer),
        TEST(events_follow_a_job_to_its_end),
        TEST(events_go_on_behind_the_last_one_seen),
        TEST(events_are_listed_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
