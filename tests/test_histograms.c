// Histograms: what is packed is unpacked, what is posted comes back, once, however it is asked for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/histograms.h"
#include "tests/service.h"

static void a_histogram_survives_its_blob(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 127, 128, 16383, 16384, UINT32_MAX, (UINT64_C(1) << 53) - 1, UINT64_MAX};
    for (size_t first = 0; first < HISTOGRAM_BINS; first += 7)
        for (size_t last = first; last < HISTOGRAM_BINS; last += 5) {
            struct histogram histogram = {.nonfinite = 3}, found = {.nonfinite = 3};
            unsigned char blob[HISTOGRAM_BLOB_MAX];
            for (size_t i = first; i <= last; i++)
                histogram.counts[i] = values[(i + last) % (sizeof values / sizeof *values)];
            size_t size = histogram_pack(&histogram, blob);
            assert_in_range(size, 0, HISTOGRAM_BLOB_MAX);
            assert_true(histogram_unpack(blob, size, &found));
            assert_memory_equal(&found, &histogram, sizeof found);
        }
}

static void a_spoilt_blob_is_noticed(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[14];
        size_t size;
        const char *comment;
    } cases[] = {
        {{5}, 1, "a first bin and no count"},
        {{64, 1}, 2, "no such bin"},
        {{63, 1, 1}, 3, "a bin too many"},
        {{5, 128}, 2, "a count that does not end"},
        {{5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, 11, "more than 64 bits"},
        {{5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 128, 1}, 12, "many more"},
    };
    struct histogram histogram = {.nonfinite = 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (histogram_unpack(cases[i].bytes, cases[i].size, &histogram))
            fail_msg("%s: taken", cases[i].comment);
}

// --- over the api

// {"index", …} with `count` in one bin and zeros in all others, of one step.
static const char *table(unsigned index, const char *kind, unsigned step, unsigned bin, unsigned count)
{
    static char texts[4][600];
    static unsigned next;
    char *text = texts[next++ % 4];
    int used = snprintf(text, sizeof texts[0],
                        "{\"index\":%u,\"name\":\"dense_%u\",\"kind\":\"%s\",\"steps\":[%u],\"counts\":[[",
                        index, index + 1, kind, step);
    for (unsigned i = 0; i < HISTOGRAM_BINS; i++)
        used +=
            snprintf(text + used, sizeof texts[0] - (size_t)used, "%s%u", i ? "," : "", i == bin ? count : 0);
    snprintf(text + used, sizeof texts[0] - (size_t)used, "]],\"nonfinite\":[%u]}", count % 5);
    return text;
}

static void post(struct service *service, const struct client_job *job, const char *first, const char *second)
{
    char body[1400];
    snprintf(body, sizeof body, "{\"attempt\":1,\"histograms\":[%s%s%s]}", first, second ? "," : "",
             second ? second : "");
    client_posts(service, job, "metrics", body, 200);
}

static json_t *get(struct service *service, const struct client_job *job, const char *query)
{
    return service_json(service, "GET", text_of("/v1/jobs/%s/histograms%s", job->id, query), NULL, 200);
}

// "0 gradients 1 40:12", of the only step of the n-th table.
static const char *told(const json_t *answer, size_t n)
{
    static char text[160];
    const json_t *found = json_array_get(json_object_get(answer, "histograms"), n);
    const json_t *counts = json_array_get(json_object_get(found, "counts"), 0);
    size_t bin = 0;
    while (bin < HISTOGRAM_BINS && json_integer_value(json_array_get(counts, bin)) == 0)
        bin++;
    snprintf(text, sizeof text, "%d %s %d %zu:%d", (int)json_integer_value(json_object_get(found, "index")),
             json_text(found, "kind"),
             (int)json_integer_value(json_array_get(json_object_get(found, "steps"), 0)), bin,
             (int)json_integer_value(json_array_get(counts, bin)));
    return text;
}

static void expect(struct service *service, const struct client_job *job, const char *query, size_t count,
                   const char *first)
{
    json_t *answer = get(service, job, query);
    if (json_array_size(json_object_get(answer, "histograms")) != count ||
        (count && strcmp(told(answer, 0), first) != 0))
        fail_msg("%s: %zu tables, first %s, not %s", query,
                 json_array_size(json_object_get(answer, "histograms")), told(answer, 0), first);
    json_decref(answer);
}

static void what_is_posted_comes_back(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    post(service, &job, table(1, "weights", 4, 63, 9), table(0, "gradients", 4, 40, 12));
    post(service, &job, table(0, "activations", 8, 0, 7), NULL);
    expect(service, &job, "", 3, "0 gradients 4 40:12");
    expect(service, &job, "?layer=1", 1, "1 weights 4 63:9");
    expect(service, &job, "?kind=activations", 1, "0 activations 8 0:7");
    expect(service, &job, "?since_step=5", 1, "0 activations 8 0:7");
    expect(service, &job, "?until_step=3", 0, "");
    expect(service, &job, "?after=2", 1, "0 activations 8 0:7");
    json_t *answer = get(service, &job, "?limit=1"); // in the order of writing
    assert_true(json_is_true(json_object_get(answer, "more")));
    assert_string_equal(json_text(answer, "after"), "2-0-4");
    assert_string_equal(told(answer, 0), "0 gradients 4 40:12");
    assert_int_equal(json_array_size(json_object_get(answer, "edges")), HISTOGRAM_BINS - 1);
    json_decref(answer);
    expect(service, &job, "?after=2-0-4", 2, "0 activations 8 0:7");
    post(service, &job, table(0, "gradients", 4, 41, 13), NULL); // again: replaced
    expect(service, &job, "?kind=gradients", 1, "0 gradients 4 41:13");
    json_t *names =
        service_json(service, "GET", text_of("/v1/jobs/%s/histograms?layer=1", job.id), NULL, 200);
    assert_string_equal(json_text(json_array_get(json_object_get(names, "histograms"), 0), "name"),
                        "dense_2");
    json_decref(names);
}

#define FOUR_BAD "{},{},{},{}" // three problems each

static void a_bad_histogram_is_refused_with_its_pointer(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    static const struct {
        const char *comment, *histograms, *pointer;
    } cases[] = {
        {"no list", "3", "/histograms"},
        {"no object", "[3]", "/histograms/0"},
        {"nothing", "[{}]", "/histograms/0/index"},
        {"an index below 0",
         "[{\"index\":-1,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[],\"counts\":[]}]",
         "/histograms/0/index"},
        {"no such kind", "[{\"index\":0,\"name\":\"a\",\"kind\":\"weight\",\"steps\":[],\"counts\":[]}]",
         "/histograms/0/kind"},
        {"too few bins",
         "[{\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[1],\"counts\":[[1,2]]}]",
         "/histograms/0/counts/0"},
        {"no counts", "[{\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[1],\"counts\":[]}]",
         "/histograms/0/counts"},
        {"a broken step", "[{\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[1.5],\"counts\":[]}]",
         "/histograms/0/steps/0"},
        {"an unknown field",
         "[{\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[],\"counts\":[],\"bins\":1}]",
         "/histograms/0/bins"},
        {"a field twice",
         "[{\"index\":0,\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[],\"counts\":[]}]",
         "/histograms/0/index"},
        {"no counts, behind more problems than an answer tells",
         "[" FOUR_BAD "," FOUR_BAD "," FOUR_BAD
         ",{\"index\":0,\"name\":\"a\",\"kind\":\"weights\",\"steps\":[1]}]",
         "/histograms/0/index"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct request request = {.method = "POST",
                                        .target = text_of("/v1/jobs/%s/metrics", job.id),
                                        .body =
                                            text_of("{\"attempt\":1,\"histograms\":%s}", cases[i].histograms),
                                        .headers = {{"Authorization", job.bearer}}};
        service_refuses(service, &request, 422, cases[i].pointer, cases[i].comment);
    }
    static const char *const queries[] = {"kind=weight", "layer=-1",   "limit=0",
                                          "after=x",     "format=csv", "column=a"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        service_expect(service, "GET", text_of("/v1/jobs/%s/histograms?%s", job.id, queries[i]), NULL, 400);
    service_expect(service, "GET", "/v1/jobs/job_none/histograms", NULL, 404);
    expect(service, &job, "", 0, "");
}

static struct api_answer ask_with(struct service *service, const struct client_job *job, const char *name,
                                  const char *value)
{
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/histograms?kind=weights", job->id),
                                    .headers = {{name, value}}};
    return service_send(service, &request);
}

static void histograms_are_polled_and_streamed(void **state)
{
    struct service *service = *state;
    struct client_job job = service_client_job(service);
    struct api_wait wait;
    char bytes[4096] = "";
    post(service, &job, table(0, "weights", 1, 33, 5), NULL);
    struct api_answer answer = ask_with(service, &job, "If-None-Match", "\"2\"");
    answer_expect(&answer, 304, "nothing new");
    api_answer_free(&answer);
    answer = ask_with(service, &job, "Accept", "text/event-stream");
    assert_int_equal(answer.kind, API_STREAM);
    ssize_t size = answer.stream.pull(answer.stream.context, bytes, sizeof bytes, &wait); // retry: …
    size = answer.stream.pull(answer.stream.context, bytes, sizeof bytes, &wait);
    assert_true(size > 0);
    assert_non_null(strstr(bytes, "id: 2\nevent: histograms\ndata: {\"job\":"));
    client_posts(service, &job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    assert_int_equal(answer.stream.pull(answer.stream.context, bytes, sizeof bytes, &wait), API_STREAM_END);
    api_answer_free(&answer);
    answer = ask_with(service, &job, "Last-Event-ID", "3");
    api_answer_free(&answer);
    const struct request over = {.method = "GET",
                                 .target = text_of("/v1/jobs/%s/histograms", job.id),
                                 .headers = {{"Accept", "text/event-stream"}, {"Last-Event-ID", "3"}}};
    answer = service_send(service, &over);
    answer_expect(&answer, 204, "nothing is left to tell");
    api_answer_free(&answer);
    service_expect(service, "DELETE", text_of("/v1/jobs/%s", job.id), NULL, 204);
    service_expect(service, "GET", text_of("/v1/jobs/%s/histograms", job.id), NULL, 404);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_histogram_survives_its_blob),
        cmocka_unit_test(a_spoilt_blob_is_noticed),
        TEST(what_is_posted_comes_back),
        TEST(a_bad_histogram_is_refused_with_its_pointer),
        TEST(histograms_are_polled_and_streamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
