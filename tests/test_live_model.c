// A trained model on a running server: it leaves as a file, predicts, and comes back as initial weights.
#include "base/buffer.h"
#include "data/safetensors.h"
#include "live.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { ROWS = 3, COLUMNS = 4, CLASSES = 3 };

#define LAYERS(units)                                                                                        \
    "\"model\":{\"layers\":[{\"units\":" units                                                               \
    ",\"activation\":\"relu\",\"batch_norm\":true,\"dropout\":0.1}]}"
#define DATASET "\"dataset\":{\"generator\":\"blobs\",\"rows\":300,\"features\":4,\"classes\":3,\"seed\":1}"

static const char *const flags[] = {"--log-level", "error", "--workers", "1", NULL};

struct stage {
    struct live live;
    char job[64]; // that has succeeded
};

static int start(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    live_make_folder(&stage->live);
    live_start(&stage->live, flags);
    live_post_job(&stage->live, "{" DATASET "," LAYERS("8") ",\"training\":{\"epochs\":3,\"seed\":5}}",
                  stage->job);
    struct client_answer answer = live_await(&stage->live, stage->job, "succeeded");
    client_answer_free(&answer);
    *state = stage;
    return 0;
}

static int stop(void **state)
{
    struct stage *stage = *state;
    int status = stage->live.pid ? live_end(&stage->live, SIGTERM) : 0;
    live_remove_folder(&stage->live);
    free(stage);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static struct client_answer send_as(struct live *live, const char *path, const char *type, const char *accept,
                                    const void *body, size_t size)
{
    char line[128];
    snprintf(line, sizeof line, "Accept: %s", accept);
    const char *const headers[] = {line, NULL};
    const struct client_request request = {
        .method = "POST", .path = path, .type = type, .body = body, .body_size = size, .headers = headers};
    return live_exchange(live, &request);
}

static struct client_answer get_model(struct stage *stage, struct safetensors **ret)
{
    char path[128];
    struct nabla_error err;
    snprintf(path, sizeof path, "/v1/jobs/%s/model", stage->job);
    struct client_answer answer = live_send(&stage->live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    assert_int_equal(safetensors_read(answer.body.data, answer.body.size, ret, &err), NABLA_OK);
    return answer;
}

static float at(const struct safetensors *file, const char *name, size_t i)
{
    const struct tensor *tensor = safetensors_find(file, name);
    assert_non_null(tensor);
    assert_true(i < tensor->elements);
    float value;
    memcpy(&value, (const char *)tensor->data + i * sizeof value, sizeof value);
    return value;
}

static void the_file_has_the_tensors_and_what_they_mean(void **state)
{
    static const struct {
        const char *name;
        size_t rank, shape[2];
    } wanted[] = {{"dense_1.weight", 2, {4, 8}},     {"dense_1.bias", 1, {8, 0}},
                  {"batch_norm_1.gamma", 1, {8, 0}}, {"batch_norm_1.running_variance", 1, {8, 0}},
                  {"dense_2.weight", 2, {8, 3}},     {"standardize.mean", 1, {4, 0}},
                  {"standardize.scale", 1, {4, 0}}};
    struct safetensors *file;
    struct client_answer answer = get_model(*state, &file);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct tensor *tensor = safetensors_find(file, wanted[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->rank, wanted[i].rank);
        assert_memory_equal(tensor->shape, wanted[i].shape, wanted[i].rank * sizeof(size_t));
    }
    assert_string_equal(safetensors_metadata(file, "feature_names"), "[\"x0\",\"x1\",\"x2\",\"x3\"]");
    assert_string_equal(safetensors_metadata(file, "class_names"), "[\"0\",\"1\",\"2\"]");
    assert_non_null(strstr(safetensors_metadata(file, "spec"), "\"function\":\"relu\""));
    safetensors_free(file);
    client_answer_free(&answer);
}

// The network by hand, in double.
static void predict_by_hand(const struct safetensors *file, const float row[COLUMNS], double ret[CLASSES])
{
    double hidden[8];
    for (size_t j = 0; j < 8; j++) {
        double sum = (double)at(file, "dense_1.bias", j);
        for (size_t i = 0; i < COLUMNS; i++)
            sum += ((double)row[i] - (double)at(file, "standardize.mean", i)) /
                   (double)at(file, "standardize.scale", i) * (double)at(file, "dense_1.weight", i * 8 + j);
        double deviation = __builtin_sqrt((double)at(file, "batch_norm_1.running_variance", j) + 1e-3);
        sum = (sum - (double)at(file, "batch_norm_1.running_mean", j)) / deviation *
                  (double)at(file, "batch_norm_1.gamma", j) +
              (double)at(file, "batch_norm_1.beta", j);
        hidden[j] = sum > 0 ? sum : 0;
    }
    for (size_t k = 0; k < CLASSES; k++) {
        ret[k] = (double)at(file, "dense_2.bias", k);
        for (size_t j = 0; j < 8; j++)
            ret[k] += hidden[j] * (double)at(file, "dense_2.weight", j * CLASSES + k);
    }
}

static const float rows[ROWS][COLUMNS] = {{1, 2, 3, 4}, {-3, 0.5F, 0, 8}, {0, -1, 2.25F, -6}};

static struct buffer rows_as_tensors(const char *name)
{
    struct nabla_error err;
    struct buffer body = buffer_new(1 << 16);
    const struct tensor tensor = {.name = (char *)(uintptr_t)name,
                                  .dtype = TENSOR_F32,
                                  .rank = 2,
                                  .shape = {ROWS, COLUMNS},
                                  .elements = ROWS * COLUMNS,
                                  .data = rows,
                                  .bytes = sizeof rows};
    assert_int_equal(safetensors_write(&tensor, 1, NULL, 0, &body, &err), NABLA_OK);
    return body;
}

static void predictions_are_those_of_the_files_tensors(void **state)
{
    struct stage *stage = *state;
    struct safetensors *file, *predicted;
    struct nabla_error err;
    char path[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/predict", stage->job);
    struct client_answer model = get_model(stage, &file);
    struct buffer body = rows_as_tensors("features");
    struct client_answer answer = send_as(&stage->live, path, "application/safetensors",
                                          "application/safetensors", body.data, body.size);
    assert_int_equal(answer.status, 200);
    assert_int_equal(safetensors_read(answer.body.data, answer.body.size, &predicted, &err), NABLA_OK);
    for (size_t i = 0; i < ROWS; i++) {
        double outputs[CLASSES], sum = 0;
        predict_by_hand(file, rows[i], outputs);
        for (size_t k = 0; k < CLASSES; k++)
            sum += __builtin_exp(outputs[k] - outputs[0]);
        for (size_t k = 0; k < CLASSES; k++) {
            double p = __builtin_exp(outputs[k] - outputs[0]) / sum;
            assert_true(__builtin_fabs((double)at(predicted, "outputs", i * CLASSES + k) - outputs[k]) <
                        1e-4);
            assert_true(__builtin_fabs((double)at(predicted, "probabilities", i * CLASSES + k) - p) < 1e-5);
        }
    }
    safetensors_free(predicted);
    safetensors_free(file);
    buffer_free(&body);
    client_answer_free(&answer);
    client_answer_free(&model);
}

static const char json_rows[] =
    "{\"features\":[[1,2,3,4],[-3,0.5,0,8],[0,-1,2.25,-6]],\"return\":[\"probabilities\"]}";
static const char csv_rows[] = "label,x3,x1,x0,x2\n?,4,2,1,3\n?,8,0.5,-3,0\n?,-6,-1,0,2.25\n";

static void every_format_says_the_same(void **state)
{
    struct stage *stage = *state;
    char path[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/predict", stage->job);
    const struct {
        const char *type, *body;
    } inputs[] = {{"application/json", json_rows}, {"text/csv", csv_rows}};
    char *texts[2][2];
    static const char *const accepted[] = {"application/json", "text/csv"};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            struct client_answer answer = send_as(&stage->live, path, inputs[i].type, accepted[j],
                                                  inputs[i].body, strlen(inputs[i].body));
            assert_int_equal(answer.status, 200);
            const char *from = j == 0 ? strstr(answer.body.data, "\"probabilities\"") : answer.body.data;
            texts[i][j] = strndup(from, j == 0 ? strcspn(from, "}") : strlen(from));
            client_answer_free(&answer);
        }
    char *outputs = strstr(texts[1][0], ",\"outputs\"");
    assert_non_null(outputs); // CSV asks for everything
    *outputs = '\0';
    assert_string_equal(texts[0][0], texts[1][0]);
    assert_string_equal(texts[0][1], texts[1][1]);
    for (size_t i = 0; i < 4; i++)
        free(texts[i / 2][i % 2]);
}

static void rows_that_do_not_fit_are_refused(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *type, *body, *said;
    } cases[] = {
        {"application/json", "{}", "is missing"},
        {"application/json", "{\"features\":[[1,2,3]]}", "a row has 3 numbers; the model takes 4"},
        {"application/json", "{\"features\":[[1,2,3,1e39]]}", "/features/0/3"},
        {"application/json", "{\"features\":[[1,2,null,4]]}", "row 0 (x2): a value is missing"},
        {"application/json", "{\"features\":[{\"x0\":1,\"x1\":2,\"x2\":3}]}", "the column x3 is missing"},
        {"application/json", "{\"features\":[[1,2,3,4]],\"return\":[\"odds\"]}", "/return"},
        {"application/json", "{\"features\":[[1,2,3,4]],\"rows\":1}", "/rows"},
        {"text/csv", "x0,x1,x2\n1,2,3\n", "the column x3 is missing"},
        {"text/csv", "x0,x1,x2,x3,x0\n1,2,3,4,5\n", "comes twice"},
        {"text/csv", "x0,x1,x2,x3\n1,2,three,4\n", "row 1 (x2): expected a number"},
        {"text/csv", "x0,x1,x2,x3\n", "there is no row"},
    };
    char path[128];
    snprintf(path, sizeof path, "/v1/jobs/%s/predict", stage->job);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_answer answer = send_as(&stage->live, path, cases[i].type, "application/json",
                                              cases[i].body, strlen(cases[i].body));
        if (answer.status != 422 || !strstr(answer.body.data, cases[i].said))
            fail_msg("%s: %d %s", cases[i].body, answer.status, answer.body.data);
        client_answer_free(&answer);
    }
    struct buffer body = rows_as_tensors("rows");
    struct client_answer answer =
        send_as(&stage->live, path, "application/safetensors", "application/json", body.data, body.size);
    assert_int_equal(answer.status, 422);
    client_answer_free(&answer);
    buffer_free(&body);
}

// A job on a table with a text column and an empty cell.
static void train_on_homes(struct live *live, char ret_job[64])
{
    static const char homes[] = "rooms,city,size,price\n1,Bern,10,2.5\n2,Rome,,3\n1,Bern,30,4\n"
                                "3,Rome,15,5.5\n2,Oslo,22,1.5\n";
    char dataset[64], job[256];
    struct client_answer answer = send_as(live, "/v1/datasets?label=price&categorical=one_hot&missing=keep",
                                          "text/csv", "application/json", homes, sizeof homes - 1);
    live_field(&answer, "id", dataset);
    client_answer_free(&answer);
    snprintf(job, sizeof job,
             "{\"dataset\":\"%s\",\"model\":{\"layers\":[{\"units\":4}]},"
             "\"training\":{\"epochs\":2,\"missing\":\"mean\",\"validation_split\":0}}",
             dataset);
    live_post_job(live, job, ret_job);
    answer = live_await(live, ret_job, "succeeded");
    client_answer_free(&answer);
}

// One table in every way to write it: by the features' names, by texts, in order, with a value missing.
static void texts_and_missing_values_are_predicted_as_they_were_learned(void **state)
{
    static const struct {
        const char *type, *body;
        int status;
        const char *said; // NULL: as the first
    } cases[] = {
        {"application/json", "{\"features\":[[1,1,0,0,10],[2,0,0,1,null]]}", 200, NULL},
        {"application/json", "{\"features\":[[1,1,0,0,10],[2,0,0,1,\"NaN\"]]}", 200, NULL},
        {"application/json",
         "{\"features\":[{\"rooms\":1,\"city\":\"Bern\",\"size\":10},"
         "{\"size\":null,\"note\":[],\"city\":\"Rome\",\"rooms\":2}]}",
         200, NULL},
        {"application/json",
         "{\"features\":[{\"rooms\":1,\"city=Oslo\":0,\"city=Bern\":1,\"city=Rome\":0,\"size\":10},"
         "{\"size\":null,\"city\":\"Rome\",\"rooms\":2}]}",
         200, NULL},
        {"text/csv", "size,city,rooms\n10,Bern,1\nNA,Rome,2\n", 200, NULL},
        {"text/csv", "size,city,rooms\n10,Bern,1\n,Rom,2\n", 422,
         "row 2 (city): the model knows Bern, Oslo, Rome, not \\\"Rom\\\""},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":\"\",\"size\":1}]}", 422, "row 0 (city)"},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":null,\"size\":1}]}", 422,
         "row 0 (city): a value is missing"},
        {"application/json", "{\"features\":[{\"rooms\":\"x\",\"city\":\"Bern\",\"size\":1}]}", 422,
         "row 0 (rooms): expected a number"},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":\"Bern\"}]}", 422,
         "the column size is missing"},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":\"Bern\",\"city=Bern\":1,\"size\":1}]}",
         422, "comes twice"},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":\"Bern\",\"size\":true}]}", 422,
         "row 0 (size): must be a number, a text or null"},
        {"application/json", "{\"features\":[{\"rooms\":1,\"city\":\"Bern\",\"size\":1},[1]]}", 422,
         "row 1 must be an object like row 0"},
        {"application/json", "{\"features\":[[1,\"Bern\",10]]}", 422, "/features/0/1"},
    };
    struct live *live = &((struct stage *)*state)->live;
    char job[64], path[128], *first = NULL;
    train_on_homes(live, job);
    snprintf(path, sizeof path, "/v1/jobs/%s/predict", job);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_answer answer =
            send_as(live, path, cases[i].type, "application/json", cases[i].body, strlen(cases[i].body));
        if (!first)
            first = strdup(answer.body.data);
        if (answer.status != cases[i].status ||
            !strstr(answer.body.data, cases[i].said ? cases[i].said : first))
            fail_msg("%s: %d %s", cases[i].body, answer.status, answer.body.data);
        client_answer_free(&answer);
    }
    free(first);
}

static void there_is_no_model_before_the_end(void **state)
{
    struct stage *stage = *state;
    char id[64], path[128];
    live_expect(&stage->live, 404, "GET", "/v1/jobs/job_none/model", NULL);
    live_expect(&stage->live, 404, "POST", "/v1/jobs/job_none/predict", "{\"features\":[1]}");
    struct client_answer answer = live_send(&stage->live, "POST", "/v1/jobs", "{\"executor\":\"client\"}");
    live_field(&answer, "id", id);
    client_answer_free(&answer);
    snprintf(path, sizeof path, "/v1/jobs/%s/model", id);
    live_expect(&stage->live, 404, "GET", path, NULL);
    live_post_job(&stage->live, "{" DATASET "," LAYERS("8") ",\"training\":{\"epochs\":100000}}", id);
    snprintf(path, sizeof path, "/v1/jobs/%s/model", id);
    live_expect(&stage->live, 409, "GET", path, NULL);
    snprintf(path, sizeof path, "/v1/jobs/%s/predict", id);
    live_expect(&stage->live, 409, "POST", path, "{\"features\":[1,2,3,4]}");
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", id);
    live_expect(&stage->live, 202, "POST", path, NULL);
    answer = live_await(&stage->live, id, "cancelled");
    client_answer_free(&answer);
}

// With a learning rate of 0 a job ends with the weights that it started with.
#define STILL                                                                                                \
    "\"optimizer\":{\"type\":\"sgd\",\"learning_rate\":0},\"training\":{\"epochs\":1,\"standardize\":false}"

static void expect_weights_of(struct stage *stage, const char *job)
{
    struct stage other = *stage;
    struct safetensors *first, *second;
    snprintf(other.job, sizeof other.job, "%s", job);
    struct client_answer one = get_model(stage, &first), two = get_model(&other, &second);
    static const char *const names[] = {"dense_1.weight", "dense_1.bias", "batch_norm_1.gamma",
                                        "dense_2.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tensor *a = safetensors_find(first, names[i]), *b = safetensors_find(second, names[i]);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    safetensors_free(first);
    safetensors_free(second);
    client_answer_free(&one);
    client_answer_free(&two);
}

static void a_model_is_another_jobs_beginning(void **state)
{
    struct stage *stage = *state;
    char body[512], id[64];
    snprintf(body, sizeof body,
             "{" DATASET "," LAYERS("8") "," STILL ",\"initial_weights\":{\"job\":\"%s\"}}", stage->job);
    live_post_job(&stage->live, body, id);
    struct client_answer answer = live_await(&stage->live, id, "succeeded");
    assert_non_null(strstr(answer.body.data, "\"initial_weights\":{\"job\":"));
    client_answer_free(&answer);
    expect_weights_of(stage, id);
}

static struct buffer with_document(struct stage *stage, const char *document)
{
    struct nabla_error err;
    struct safetensors *file;
    struct buffer body = buffer_new(1 << 20);
    struct client_answer model = get_model(stage, &file);
    const struct tensor_metadata request = {(char *)"request", (char *)(uintptr_t)document};
    assert_int_equal(safetensors_write(file->tensors, file->tensor_count, &request, 1, &body, &err),
                     NABLA_OK);
    safetensors_free(file);
    client_answer_free(&model);
    return body;
}

static void posted_weights_are_a_jobs_beginning(void **state)
{
    struct stage *stage = *state;
    char id[64];
    struct buffer body = with_document(stage, "{" DATASET "," LAYERS("8") "," STILL "}");
    struct client_answer answer = send_as(&stage->live, "/v1/jobs", "application/safetensors",
                                          "application/json", body.data, body.size);
    assert_int_equal(answer.status, 202);
    live_field(&answer, "id", id);
    client_answer_free(&answer);
    buffer_free(&body);
    answer = live_await(&stage->live, id, "succeeded");
    assert_non_null(strstr(answer.body.data, "\"initial_weights\":{\"posted\":true}"));
    client_answer_free(&answer);
    expect_weights_of(stage, id);

    body = with_document(stage, "{" DATASET "," LAYERS("9") "," STILL "}");
    answer = send_as(&stage->live, "/v1/jobs", "application/safetensors", "application/json", body.data,
                     body.size);
    assert_int_equal(answer.status, 422);
    assert_non_null(strstr(answer.body.data, "\"pointer\":\"/initial_weights/dense_1.weight\""));
    assert_non_null(strstr(answer.body.data, "4 × 8 in the file and 4 × 9 in this network"));
    client_answer_free(&answer);
    buffer_free(&body);
}

static void weights_that_do_not_fit_are_refused(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *model, *initial, *said; // initial "": that of the job
    } cases[] = {
        {LAYERS("9"), "", "/initial_weights/dense_1.weight"},
        {"\"model\":{\"layers\":[{\"units\":8}]}", "", "is none of this network"},
        {"\"model\":{\"layers\":[{\"units\":8,\"batch_norm\":true},{\"units\":3}]}", "",
         "/initial_weights/dense_3.weight"},
        {LAYERS("8"), "{\"job\":\"job_none\"}", "/initial_weights"},
        {LAYERS("8"), "{}", "must name a job"},
        {LAYERS("8"), "{\"posted\":true}", "come with the document"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char of_job[96], body[600];
        snprintf(of_job, sizeof of_job, "{\"job\":\"%s\"}", stage->job);
        snprintf(body, sizeof body, "{" DATASET ",%s,\"initial_weights\":%s}", cases[i].model,
                 cases[i].initial[0] ? cases[i].initial : of_job);
        struct client_answer answer = live_send(&stage->live, "POST", "/v1/jobs", body);
        if (answer.status != 422 || !strstr(answer.body.data, cases[i].said))
            fail_msg("%s: %d %s", body, answer.status, answer.body.data);
        client_answer_free(&answer);
    }
}

// Each task has its own idea of classes and probabilities.
static void every_task_predicts(void **state)
{
#define TARGETS(labels) "\"dataset\":{\"generator\":\"" labels "\",\"rows\":60,\"seed\":1},"
    static const struct {
        const char *members, *said;
    } cases[] = {
        {TARGETS("moons") "\"loss\":\"binary_cross_entropy\",",
         "\"task\":\"binary\",\"class_names\":[\"0\",\"1\"]"},
        {TARGETS("moons") "\"loss\":\"hinge\",", "\"task\":\"classes\""},
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512], id[64], path[128];
        snprintf(body, sizeof body, "{%s%s,\"training\":{\"epochs\":1}}", cases[i].members, LAYERS("4"));
        live_post_job(&stage->live, body, id);
        struct client_answer answer = live_await(&stage->live, id, "succeeded");
        client_answer_free(&answer);
        snprintf(path, sizeof path, "/v1/jobs/%s/predict", id);
        answer = live_send(&stage->live, "POST", path, "{\"features\":[0.5,1]}");
        double first = 0, second = 0;
        const char *probabilities = strstr(answer.body.data, "\"probabilities\":[[");
        if (answer.status != 200 || !strstr(answer.body.data, cases[i].said) || !probabilities)
            fail_msg("%s: %d %s", cases[i].members, answer.status, answer.body.data);
        assert_int_equal(sscanf(probabilities, "\"probabilities\":[[%lf,%lf]]", &first, &second), 2);
        assert_true(__builtin_fabs(first + second - 1) < 1e-6);
        client_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_the_tensors_and_what_they_mean),
        cmocka_unit_test(predictions_are_those_of_the_files_tensors),
        cmocka_unit_test(every_format_says_the_same),
        cmocka_unit_test(rows_that_do_not_fit_are_refused),
        cmocka_unit_test(texts_and_missing_values_are_predicted_as_they_were_learned),
        cmocka_unit_test(there_is_no_model_before_the_end),
        cmocka_unit_test(a_model_is_another_jobs_beginning),
        cmocka_unit_test(posted_weights_are_a_jobs_beginning),
        cmocka_unit_test(weights_that_do_not_fit_are_refused),
        cmocka_unit_test(every_task_predicts),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
