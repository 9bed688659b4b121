// Batches that are refused: each leaves the job's revision and its rows as they were, whatever came before
// what is wrong with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/service.h"

#define FOLD(mean, min, max, nonfinite)                                                                      \
    "{\"attempt\":1,\"metrics\":{\"steps\":[1,9],\"counts\":[1,3],\"columns\":{\"loss\":{\"mean\":[1," mean  \
    "],\"min\":[1," min "],\"max\":[1," max "],\"nonfinite\":[0," nonfinite "]}}}}"
#define NAMED(name) "{\"attempt\":1,\"metrics\":{\"steps\":[1],\"columns\":{\"loss\":[2],\"" name "\":[1]}}}"

static const struct {
    const char *comment, *body;
    int status;
    const char *part; // of the answer
} refused[] = {
    {"columns that come twice",
     "{\"attempt\":1,\"metrics\":{\"steps\":[1],\"columns\":{\"loss\":[1]},\"columns\":{\"accuracy\":[1]}}}",
     422, "/metrics/columns"},
    {"progress that comes twice", "{\"attempt\":1,\"progress\":{\"step\":1,\"step\":2}}", 422,
     "/progress/step"},
    {"a part that comes twice, without rows",
     "{\"attempt\":1,\"metrics\":{\"steps\":[],\"counts\":[],\"columns\":{\"loss\":{\"mean\":[],\"mean\":[],"
     "\"min\":[],\"max\":[],\"nonfinite\":[]}}}}",
     422, "/metrics/columns/loss/mean"},
    {"a key that goes on behind a NUL", "{\"attempt\\u0000\":1}", 400, "u0000"},
    {"a column that goes on behind a NUL", NAMED("accuracy\\u0000x"), 400, "u0000"},
    {"a layer's name with a NUL",
     "{\"attempt\":1,\"layers\":[{\"index\":0,\"name\":\"a\\u0000b\",\"steps\":[1],"
     "\"columns\":{\"gradient_norm\":[1]}}]}",
     400, "u0000"},
    {"fewer than no values that are not finite", FOLD("2", "1", "3", "-1"), 422, "loss/nonfinite/1"},
    {"half a value that is not finite", FOLD("2", "1", "3", "0.5"), 422, "loss/nonfinite/1"},
    {"no number of values that are not finite", FOLD("2", "1", "3", "\"NaN\""), 422, "loss/nonfinite/1"},
    {"null for it", FOLD("2", "1", "3", "null"), 422, "loss/nonfinite/1"},
    {"more values that are not finite than steps", FOLD("2", "1", "3", "4"), 422, "loss/nonfinite/1"},
    {"a minimum above the maximum", FOLD("2", "3", "1", "0"), 422, "loss/min/1"},
    {"the name of the steps", NAMED("steps"), 422, "cannot name a metric"},
    {"of a row's step", NAMED("step"), 422, "cannot name a metric"},
    {"of the counts", NAMED("counts"), 422, "cannot name a metric"},
    {"of a row's count", NAMED("count"), 422, "cannot name a metric"},
    {"of the job", NAMED("job"), 422, "cannot name a metric"},
    {"of the layer", NAMED("layer"), 422, "cannot name a metric"},
    {"of its name", NAMED("name"), 422, "cannot name a metric"},
    {"of a file's metadata", NAMED("__metadata__"), 422, "cannot name a metric"},
    {"of a minimum", NAMED("loss.min"), 422, "cannot name a metric"},
    {"of a mask", NAMED("loss.recorded"), 422, "cannot name a metric"},
    {"of a layer's tensor", NAMED("layers.0.steps"), 422, "cannot name a metric"},
};

static char *history_of(struct client_fixture *fixture)
{
    struct api_answer answer =
        service_ask(fixture->service, "GET", text_of("/v1/jobs/%s/metrics", fixture->job.id), NULL);
    answer_expect(&answer, 200, "metrics");
    char *ret = strdup(answer.body.data);
    api_answer_free(&answer);
    return ret;
}

static void each_leaves_all_as_it_was(void **state)
{
    struct client_fixture *fixture = *state;
    client_posts(fixture->service, &fixture->job, "metrics", NAMED("mine"), 200);
    char *before = history_of(fixture);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct api_answer answer = client_post(fixture->service, &fixture->job, "metrics", refused[i].body);
        answer_expect(&answer, refused[i].status, refused[i].comment);
        if (!strstr(answer.body.data, refused[i].part))
            fail_msg("%s: no %s in %s", refused[i].comment, refused[i].part, answer.body.data);
        api_answer_free(&answer);
        char *after = history_of(fixture);
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
}

static const struct {
    const char *comment, *body;
} kept[] = {
    {"nothing finite in three steps", FOLD("\"NaN\"", "null", "null", "3")},
    {"a column that was not recorded", FOLD("null", "null", "null", "null")},
    {"one value thrice", FOLD("2", "2", "2", "0")},
    {"names that only look like others", NAMED("steps_per_second")},
    {"with an ending of another kind", NAMED("reward_min")},
};

static void these_are_kept(void **state)
{
    struct client_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        client_posts(fixture->service, &fixture->job, "metrics", kept[i].body, 200);
}

// What an operator may set is named where it refuses, and taken where it is just kept.
static void limits_are_named(void **state)
{
    (void)state;
    static const char *const counts[] = {"limit", "max_points", "newest"};
    struct api_limits limits = api_limits_defaults();
    limits.history_rows = 2;
    limits.metric_names = 1;
    struct service *service = service_open_limited(&limits);
    const struct client_job job = service_client_job(service);
    client_posts(service, &job, "metrics", NAMED("mine"), 200);
    client_posts(service, &job, "metrics", NAMED("mine"), 200);
    struct api_answer answer = client_post(service, &job, "metrics", NAMED("another"));
    answer_expect(&answer, 413, "a name too many");
    assert_non_null(strstr(answer.body.data, "the limit max_metric_names is 1"));
    api_answer_free(&answer);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        service_expect(service, "GET", text_of("/v1/jobs/%s/metrics?%s=2", job.id, counts[i]), NULL, 200);
        answer = service_ask(service, "GET", text_of("/v1/jobs/%s/metrics?%s=3", job.id, counts[i]), NULL);
        answer_expect(&answer, 400, counts[i]);
        assert_non_null(strstr(answer.body.data, "the limit max_history_rows"));
        api_answer_free(&answer);
    }
    service_close(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_leaves_all_as_it_was, client_set_up, client_tear_down),
        cmocka_unit_test_setup_teardown(these_are_kept, client_set_up, client_tear_down),
        cmocka_unit_test(limits_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
