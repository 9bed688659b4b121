// Batches as safetensors: the same as in JSON, whole or not at all, with errors that name the tensor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/safetensors.h"
#include "tests/service.h"

#include <math.h>

enum { TENSORS_MOST = 64 };

static struct api_answer post_tensors(struct service *service, const struct client_job *job,
                                      const struct tensor *tensors, size_t count, const char *document)
{
    struct buffer body = buffer_new(1 << 20);
    char key[] = "request", text[600];
    snprintf(text, sizeof text, "%s", document);
    const struct tensor_metadata metadata = {key, text};
    assert_int_equal(safetensors_write(tensors, count, &metadata, 1, &body, NULL), NABLA_OK);
    const struct request request = {
        .method = "POST",
        .target = text_of("/v1/jobs/%s/metrics", job->id),
        .headers = {{"Authorization", job->bearer}, {"Content-Type", "application/safetensors"}}};
    struct api_answer answer;
    struct api_call *call = service_begin(service, &request, &answer);
    assert_non_null(call);
    if (api_body(call, body.data, body.size, &answer))
        api_handle(call, &answer);
    api_close(call);
    buffer_free(&body);
    return answer;
}

static struct api_answer get(struct service *service, const struct client_job *job, const char *below,
                             const char *accept)
{
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/%s", job->id, below),
                                    .headers = {{"Accept", accept}}};
    struct api_answer answer = service_send(service, &request);
    answer_expect(&answer, 200, below);
    return answer;
}

// The answer from its tables on: behind the job's id and the place where it stands.
static char *get_tables(struct service *service, const struct client_job *job, const char *below,
                        const char *from)
{
    struct api_answer answer = get(service, job, below, "application/json");
    const char *tables = strstr(answer.body.data, from);
    assert_non_null(tables);
    char *ret = strdup(tables);
    api_answer_free(&answer);
    return ret;
}

static void expect_same(struct service *service, const struct client_job *left,
                        const struct client_job *right, const char *below, const char *from)
{
    char *a = get_tables(service, left, below, from), *b = get_tables(service, right, below, from);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static const char batch[] =
    "{\"attempt\":1,\"metrics\":{\"steps\":[1,2,5],\"columns\":{\"loss\":[0.1,\"NaN\",\"-Infinity\"],"
    "\"accuracy\":[null,0.5,null],\"mine\":[7,null,1e300],\"mine.least\":[1,2,3]}},"
    "\"layers\":[{\"index\":0,\"name\":\"a\",\"steps\":[1],\"columns\":{\"gradient_norm\":[0.5]}},"
    "{\"index\":12,\"name\":\"b\",\"steps\":[4,8],\"counts\":[2,1],\"columns\":{\"weight_norm\":[1,2],"
    "\"gradient_norm\":{\"mean\":[0.5,3],\"min\":[0.1,3],\"max\":[2,3],\"nonfinite\":[1,0]}}}]}";

static const char document[] =
    "{\"attempt\":1,\"layers\":[{\"index\":12,\"name\":\"b\"},{\"index\":0,\"name\":\"a\"}]}";

// What GET gives as tensors makes the same history of another job, however often it is sent.
static void tensors_that_were_got_can_be_posted(void **state)
{
    struct service *service = *state;
    const struct client_job from = service_client_job(service), to = service_client_job(service);
    client_posts(service, &from, "metrics", batch, 200);
    struct api_answer network = get(service, &from, "metrics", "application/safetensors"),
                      layers = get(service, &from, "gradients", "application/safetensors");
    struct safetensors *files[2];
    struct tensor tensors[TENSORS_MOST];
    size_t count = 0;
    assert_int_equal(safetensors_read(network.body.data, network.body.size, &files[0], NULL), NABLA_OK);
    assert_int_equal(safetensors_read(layers.body.data, layers.body.size, &files[1], NULL), NABLA_OK);
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < files[f]->tensor_count; i++)
            tensors[count++] = files[f]->tensors[i];
    for (int times = 0; times < 2; times++) {
        struct api_answer answer = post_tensors(service, &to, tensors, count, document);
        answer_expect(&answer, 200, "tensors");
        api_answer_free(&answer);
        expect_same(service, &from, &to, "metrics", "\"steps\"");
        expect_same(service, &from, &to, "gradients", "\"layers\"");
    }
    safetensors_free(files[0]);
    safetensors_free(files[1]);
    api_answer_free(&network);
    api_answer_free(&layers);
}

static const int64_t steps[] = {1, 2}, late[] = {1, INT64_C(1) << 53}, negative[] = {-1, 2};
static const int32_t short_steps[] = {1, 2};
static const float floats[] = {0.5F, NAN};
static const unsigned char mask[] = {1, 0};

#define STEPS                                                                                                \
    {                                                                                                        \
        .name = (char *)"steps", .dtype = TENSOR_I64, .rank = 1, .shape = {2}, .elements = 2, .data = steps, \
        .bytes = 16                                                                                          \
    }
#define LOSS                                                                                                 \
    {                                                                                                        \
        .name = (char *)"loss", .dtype = TENSOR_F32, .rank = 1, .shape = {2}, .elements = 2, .data = floats, \
        .bytes = 8                                                                                           \
    }
#define TENSOR(label, type, from, width, length)                                                             \
    {                                                                                                        \
        .name = (char *)(label), .dtype = (type), .rank = 1, .shape = {length}, .elements = (length),        \
        .data = (from), .bytes = (width) * (length)                                                          \
    }

static const struct {
    const char *comment, *document;
    struct tensor tensors[3];
    size_t count;
    int status;
    const char *part; // of the answer
} cases[] = {
    {"F32 and a mask",
     "{\"attempt\":1}",
     {STEPS, LOSS, TENSOR("loss.recorded", TENSOR_U8, mask, 1, 2)},
     3,
     200,
     "\"revision\""},
    {"I32 steps",
     "{\"attempt\":1}",
     {TENSOR("steps", TENSOR_I32, short_steps, 4, 2), LOSS},
     2,
     200,
     "\"revision\""},
    {"nothing but progress", "{\"attempt\":1,\"progress\":{\"step\":3}}", {STEPS}, 0, 200, "\"revision\""},
    {"no document", "{}", {STEPS, LOSS}, 2, 422, "/attempt"},
    {"a document that is no JSON", "{", {STEPS, LOSS}, 2, 400, "line 1, column 2"},
    {"another attempt", "{\"attempt\":7}", {STEPS, LOSS}, 2, 409, "attempt 1, not 7"},
    {"no steps", "{\"attempt\":1}", {LOSS}, 1, 422, "/metrics/steps"},
    {"steps of floats",
     "{\"attempt\":1}",
     {TENSOR("steps", TENSOR_F32, floats, 4, 2), LOSS},
     2,
     422,
     "/steps: must have the dtype"},
    {"a step too high",
     "{\"attempt\":1}",
     {TENSOR("steps", TENSOR_I64, late, 8, 2), LOSS},
     2,
     422,
     "/metrics/steps/1"},
    {"a step below 0",
     "{\"attempt\":1}",
     {TENSOR("steps", TENSOR_I64, negative, 8, 2), LOSS},
     2,
     422,
     "/metrics/steps/0"},
    {"another length",
     "{\"attempt\":1}",
     {STEPS, TENSOR("loss", TENSOR_F32, floats, 4, 1)},
     2,
     422,
     "/metrics/columns/loss"},
    {"a layer's statistic",
     "{\"attempt\":1}",
     {STEPS, TENSOR("gradient_std", TENSOR_F32, floats, 4, 2)},
     2,
     422,
     "/gradient_std: there is no such"},
    {"a layer that the document lacks",
     "{\"attempt\":1}",
     {TENSOR("layers.3.steps", TENSOR_I64, steps, 8, 2)},
     1,
     422,
     "/layers.3.steps: is of no layer"},
    {"a layer without steps",
     "{\"attempt\":1,\"layers\":[{\"index\":3,\"name\":\"a\"}]}",
     {TENSOR("layers.3.gradient_norm", TENSOR_F32, floats, 4, 2)},
     1,
     422,
     "/layers/0/steps"},
    {"an unknown statistic of a layer",
     "{\"attempt\":1,\"layers\":[{\"index\":3,\"name\":\"a\"}]}",
     {TENSOR("layers.3.steps", TENSOR_I64, steps, 8, 2), TENSOR("layers.3.mine", TENSOR_F32, floats, 4, 2)},
     2,
     422,
     "/layers.3.mine: there is no such"},
    {"two dimensions",
     "{\"attempt\":1}",
     {{.name = (char *)"steps",
       .dtype = TENSOR_I64,
       .rank = 2,
       .shape = {1, 2},
       .elements = 2,
       .data = steps,
       .bytes = 16}},
     1,
     422,
     "/steps: must have one dimension"},
    {"a mask of nothing",
     "{\"attempt\":1}",
     {STEPS, TENSOR("loss.recorded", TENSOR_U8, mask, 1, 2)},
     2,
     422,
     "/loss.recorded: must be of a column"},
    {"a mask of another length",
     "{\"attempt\":1}",
     {STEPS, LOSS, TENSOR("loss.recorded", TENSOR_U8, mask, 1, 1)},
     3,
     422,
     "/loss.recorded: must be of a column"},
    {"in the document too",
     "{\"attempt\":1,\"metrics\":{\"steps\":[1,2],\"columns\":{\"loss\":[1,2]}}}",
     {LOSS},
     1,
     422,
     "/loss: comes twice"},
    {"a column of the document's steps",
     "{\"attempt\":1,\"metrics\":{\"steps\":[1,2]}}",
     {LOSS},
     1,
     200,
     "\"revision\""},
    {"extremes without counts",
     "{\"attempt\":1}",
     {STEPS, LOSS, TENSOR("loss.min", TENSOR_F32, floats, 4, 2)},
     3,
     422,
     "/metrics/counts"},
};

static void each_batch_is_answered(void **state)
{
    struct service *service = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct client_job job = service_client_job(service);
        struct api_answer answer =
            post_tensors(service, &job, cases[i].tensors, cases[i].count, cases[i].document);
        answer_expect(&answer, cases[i].status, cases[i].comment);
        if (!strstr(answer.body.data, cases[i].part))
            fail_msg("%s: no %s in %s", cases[i].comment, cases[i].part, answer.body.data);
        api_answer_free(&answer);
        answer = get(service, &job, "metrics", "application/json");
        const bool is_kept = strstr(answer.body.data, "\"steps\":[1") != NULL;
        if (is_kept != (cases[i].status == 200 && cases[i].count > 0))
            fail_msg("%s: left %s", cases[i].comment, answer.body.data);
        api_answer_free(&answer);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_that_were_got_can_be_posted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_batch_is_answered, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
