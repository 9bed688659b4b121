// Histories of several jobs in one answer: in every format, cut, known already, refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/safetensors.h"
#include "tests/service.h"

struct fixture {
    struct service *service;
    struct client_job jobs[2];
};

#define ONE                                                                                                  \
    "{\"attempt\":1,\"metrics\":{\"steps\":[1,2],\"columns\":{\"loss\":[0.5,\"NaN\"],\"val_f1\":[null,1]}}," \
    "\"layers\":[{\"index\":0,\"name\":\"a\",\"steps\":[1],\"columns\":{\"gradient_norm\":[3]}}]}"
#define OTHER                                                                                                \
    "{\"attempt\":1,\"metrics\":{\"steps\":[1],\"columns\":{\"loss\":[7],\"accuracy\":[0.25]}},"             \
    "\"layers\":[{\"index\":1,\"name\":\"b\",\"steps\":[1],\"columns\":{\"gradient_norm\":[4]}}]}"
#define FOLDED                                                                                               \
    "{\"attempt\":1,\"metrics\":{\"steps\":[9],\"counts\":[3],\"columns\":{\"loss\":{\"mean\":[2],"          \
    "\"min\":[1],\"max\":[4],\"nonfinite\":[0]}}}}"

static void open_fixture(struct fixture *fixture, const struct api_limits *limits)
{
    static const char *const batches[] = {ONE, OTHER};
    fixture->service = service_open_limited(limits);
    for (size_t i = 0; i < 2; i++) {
        fixture->jobs[i] = service_client_job(fixture->service);
        client_posts(fixture->service, &fixture->jobs[i], "metrics", batches[i], 200);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const struct api_limits limits = api_limits_defaults();
    open_fixture(fixture, &limits);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    service_close(fixture->service);
    free(fixture);
    return 0;
}

static struct api_answer ask(struct fixture *fixture, const char *kind, const char *rest, const char *known)
{
    const struct request request = {
        .method = "GET",
        .target = text_of("/v1/%s?job=%s,%s&%s", kind, fixture->jobs[0].id, fixture->jobs[1].id, rest),
        .headers = {{known ? "If-None-Match" : NULL, known}}};
    return service_send(fixture->service, &request);
}

// The answer's text with A and B for the ids; the caller frees it.
static char *lettered(const struct fixture *fixture, const char *text)
{
    struct buffer ret = buffer_new(1 << 20);
    while (*text) {
        size_t job = 0;
        while (job < 2 && strncmp(text, fixture->jobs[job].id, strlen(fixture->jobs[job].id)) != 0)
            job++;
        buffer_char(&ret, job < 2 ? "AB"[job] : *text);
        text += job < 2 ? strlen(fixture->jobs[job].id) : 1;
    }
    buffer_char(&ret, '\0');
    return buffer_steal(&ret, NULL);
}

static void expect_text(struct fixture *fixture, const char *kind, const char *rest, const char *expected)
{
    struct api_answer answer = ask(fixture, kind, rest, NULL);
    answer_expect(&answer, 200, rest);
    char *text = lettered(fixture, answer.body.data);
    assert_string_equal(text, expected);
    free(text);
    api_answer_free(&answer);
}

static void each_job_is_told_as_by_itself(void **state)
{
    static const struct {
        const char *comment, *kind, *rest, *expected;
    } cases[] = {
        {"JSON", "metrics", "column=loss",
         "{\"jobs\":[{\"job\":\"A\",\"revision\":2,\"after\":\"2\",\"more\":false,\"steps\":[1,2],"
         "\"columns\":"
         "{\"loss\":[0.5,\"NaN\"]}},{\"job\":\"B\",\"revision\":2,\"after\":\"2\",\"more\":false,\"steps\":["
         "1],"
         "\"columns\":{\"loss\":[7]}}]}"},
        {"layers", "gradients", "nonfinite=null",
         "{\"jobs\":[{\"job\":\"A\",\"revision\":2,\"after\":\"2\",\"more\":false,\"layers\":[{\"index\":0,"
         "\"name\":\"a\",\"steps\":[1],\"columns\":{\"gradient_norm\":[3]}}]},{\"job\":\"B\",\"revision\":2,"
         "\"after\":\"2\",\"more\":false,\"layers\":[{\"index\":1,\"name\":\"b\",\"steps\":[1],\"columns\":"
         "{\"gradient_norm\":[4]}}]}]}"},
        {"rows", "metrics", "format=rows&nonfinite=null",
         "[{\"job\":\"A\",\"step\":1,\"loss\":0.5,\"val_f1\":null},{\"job\":\"A\",\"step\":2,\"loss\":null,"
         "\"val_f1\":1},{\"job\":\"B\",\"step\":1,\"loss\":7,\"accuracy\":0.25}]"},
        {"layers as rows", "gradients", "format=rows",
         "[{\"job\":\"A\",\"step\":1,\"layer\":0,\"name\":\"a\",\"gradient_norm\":3},"
         "{\"job\":\"B\",\"step\":1,\"layer\":1,\"name\":\"b\",\"gradient_norm\":4}]"},
        {"CSV: a column that either has", "metrics", "format=csv",
         "job,step,loss,val_f1,accuracy\r\nA,1,0.5,,\r\nA,2,NaN,1,\r\nB,1,7,,0.25\r\n"},
        {"layers as CSV", "gradients", "format=csv",
         "job,step,layer,name,gradient_norm\r\nA,1,0,a,3\r\nB,1,1,b,4\r\n"},
        {"nothing to tell", "gradients", "since_step=5&format=rows", "[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].comment);
        expect_text(*state, cases[i].kind, cases[i].rest, cases[i].expected);
    }
}

static void folds_of_one_job_stand_beside_rows_of_another(void **state)
{
    struct fixture *fixture = *state;
    client_posts(fixture->service, &fixture->jobs[1], "metrics", FOLDED, 200);
    expect_text(fixture, "metrics", "format=csv&column=loss",
                "job,step,count,loss,loss_min,loss_max,loss_nonfinite\r\nA,1,1,0.5,0.5,0.5,0\r\n"
                "A,2,1,NaN,NaN,NaN,1\r\nB,1,1,7,7,7,0\r\nB,9,3,2,1,4,0\r\n");
}

static void expect_tensor(const struct safetensors *file, const char *job, const char *name, const void *data,
                          size_t bytes)
{
    const struct tensor *tensor = safetensors_find(file, text_of("%s.%s", job, name));
    if (!tensor)
        fail_msg("no %s", name);
    assert_int_equal(tensor->bytes, bytes);
    assert_memory_equal(tensor->data, data, bytes);
}

static void tensors_are_named_by_their_job(void **state)
{
    struct fixture *fixture = *state;
    struct safetensors *file;
    struct api_answer answer = ask(fixture, "metrics", "format=safetensors&column=loss", NULL);
    answer_expect(&answer, 200, "metrics");
    assert_int_equal(safetensors_read(answer.body.data, answer.body.size, &file, NULL), NABLA_OK);
    expect_tensor(file, fixture->jobs[0].id, "steps", (int64_t[]){1, 2}, 16);
    expect_tensor(file, fixture->jobs[1].id, "loss", (double[]){7}, 8);
    char *head = lettered(fixture, safetensors_metadata(file, "response"));
    assert_string_equal(head, "{\"jobs\":[{\"job\":\"A\",\"revision\":2,\"after\":\"2\",\"more\":false},"
                              "{\"job\":\"B\",\"revision\":2,\"after\":\"2\",\"more\":false}]}");
    free(head);
    safetensors_free(file);
    api_answer_free(&answer);

    answer = ask(fixture, "gradients", "format=safetensors", NULL);
    answer_expect(&answer, 200, "gradients");
    assert_int_equal(safetensors_read(answer.body.data, answer.body.size, &file, NULL), NABLA_OK);
    expect_tensor(file, fixture->jobs[1].id, "layers.1.gradient_norm", (double[]){4}, 8);
    assert_non_null(
        strstr(safetensors_metadata(file, "response"), "\"layers\":[{\"index\":1,\"name\":\"b\"}]"));
    safetensors_free(file);
    api_answer_free(&answer);
}

static void what_is_known_already_is_304(void **state)
{
    static const struct {
        const char *comment, *rest, *known;
        int status;
        const char *tag;
    } cases[] = {
        {"nothing known", "", NULL, 200, "\"2.2\""},
        {"both known", "", "\"2.2\"", 304, "\"2.2\""},
        {"weakly, among others", "", "\"1.1\", W/\"2.2\"", 304, "\"2.2\""},
        {"in another format", "format=csv", "\"2.2\"", 200, "\"2.2-csv\""},
        {"in this format", "format=csv", "\"2.2-csv\"", 304, "\"2.2-csv\""},
        {"one has changed", "", "\"2.1\"", 200, "\"2.2\""},
        {"a query that is refused all the same", "format=xml", "\"2.2\"", 400, NULL},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_answer answer = ask(fixture, "metrics", cases[i].rest, cases[i].known);
        answer_expect(&answer, cases[i].status, cases[i].comment);
        if (cases[i].tag)
            assert_string_equal(answer_value(&answer, "ETag"), cases[i].tag);
        api_answer_free(&answer);
    }
    client_posts(fixture->service, &fixture->jobs[1], "metrics", OTHER, 200);
    struct api_answer answer = ask(fixture, "metrics", "", "\"2.2\"");
    answer_expect(&answer, 200, "changed");
    assert_string_equal(answer_value(&answer, "ETag"), "\"2.3\"");
    api_answer_free(&answer);
}

static struct api_call *wait_for(struct fixture *fixture, const char *known, struct api_answer *ret)
{
    const struct request request = {
        .method = "GET",
        .target = text_of("/v1/metrics?job=%s,%s", fixture->jobs[0].id, fixture->jobs[1].id),
        .headers = {{"If-None-Match", known}, {"Prefer", "wait=30"}}};
    struct api_call *call = service_begin(fixture->service, &request, ret);
    assert_non_null(call);
    assert_false(api_peek(call, ret));
    api_handle(call, ret);
    return call;
}

static void waiting_ends_with_a_change_of_any_job(void **state)
{
    struct fixture *fixture = *state;
    struct api_answer answer;
    struct api_call *call = wait_for(fixture, "\"2.2\"", &answer);
    assert_int_equal(answer.kind, API_WAIT);
    assert_string_equal(answer.wait.job, fixture->jobs[0].id);
    assert_int_equal(answer.wait.other_count, 1);
    assert_string_equal(answer.wait.others[0].job, fixture->jobs[1].id);
    assert_int_equal(answer.wait.others[0].revision, 2);
    client_posts(fixture->service, &fixture->jobs[1], "metrics", OTHER, 200);
    api_handle(call, &answer);
    answer_expect(&answer, 200, "changed");
    assert_string_equal(answer_value(&answer, "ETag"), "\"2.3\"");
    assert_string_equal(answer_value(&answer, "Preference-Applied"), "wait=30");
    api_answer_free(&answer);
    api_close(call);
}

static void what_is_new_or_over_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct api_answer answer;
    struct api_call *call = wait_for(fixture, "\"1.2\"", &answer);
    answer_expect(&answer, 200, "new already");
    api_answer_free(&answer);
    api_close(call);
    for (size_t i = 0; i < 2; i++)
        client_posts(fixture->service, &fixture->jobs[i], "state", "{\"attempt\":1,\"state\":\"succeeded\"}",
                     200);
    call = wait_for(fixture, "\"3.3\"", &answer);
    answer_expect(&answer, 304, "both are over");
    api_answer_free(&answer);
    api_close(call);
}

// The rows of one answer are bounded whatever the number of jobs; who was cut is told.
static void jobs_share_the_limit(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    struct fixture fixture;
    limits.history_rows = 3; // of which each job has one
    open_fixture(&fixture, &limits);
    struct api_answer answer = ask(&fixture, "metrics", "format=csv&column=loss", NULL);
    answer_expect(&answer, 200, "cut");
    char *text = lettered(&fixture, answer.body.data);
    assert_string_equal(text, "job,step,loss\r\nA,1,0.5\r\nB,1,7\r\n");
    assert_string_equal(answer_value(&answer, "Nabla-More"), fixture.jobs[0].id);
    free(text);
    api_answer_free(&answer);
    expect_text(&fixture, "metrics", "column=loss",
                "{\"jobs\":[{\"job\":\"A\",\"revision\":2,\"after\":\"2~0-1\",\"more\":true,\"steps\":[1],"
                "\"columns\":{\"loss\":[0.5]}},{\"job\":\"B\",\"revision\":2,\"after\":\"2\",\"more\":false,"
                "\"steps\":[1],\"columns\":{\"loss\":[7]}}]}");
    service_close(fixture.service);
}

static void a_list_of_jobs_is_checked(void **state)
{
    struct fixture *fixture = *state;
    const char *id = fixture->jobs[0].id;
    service_expect(fixture->service, "GET", "/v1/metrics?column=loss", NULL, 400);
    service_expect(fixture->service, "GET", "/v1/metrics?job=", NULL, 400);
    service_expect(fixture->service, "GET", text_of("/v1/metrics?job=%s,,%s", id, id), NULL, 400);
    service_expect(fixture->service, "GET", "/v1/metrics?job=job_none", NULL, 404);
    service_expect(fixture->service, "GET", text_of("/v1/gradients?job=%s&job=job_none", id), NULL, 404);
    service_expect(fixture->service, "GET", text_of("/v1/gradients?job=%s&column=loss", id), NULL, 400);
    service_expect(fixture->service, "GET", text_of("/v1/metrics?job=%s&format=events", id), NULL, 400);
    json_t *twice =
        service_json(fixture->service, "GET", text_of("/v1/metrics?job=%s,%s&job=%s", id, id, id), NULL, 200);
    assert_int_equal(json_array_size(json_object_get(twice, "jobs")), 1);
    json_decref(twice);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_job_is_told_as_by_itself),         TEST(folds_of_one_job_stand_beside_rows_of_another),
        TEST(tensors_are_named_by_their_job),        TEST(what_is_known_already_is_304),
        cmocka_unit_test(jobs_share_the_limit),      TEST(a_list_of_jobs_is_checked),
        TEST(waiting_ends_with_a_change_of_any_job), TEST(what_is_new_or_over_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
