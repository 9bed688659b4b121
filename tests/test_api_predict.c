// Predictions of every kind of task, in every format, held against what the network's own outputs mean.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/number.h"
#include "data/safetensors.h"
#include "tests/trained_job.h"

#include <math.h>

#define FEATURES                                                                                             \
    "\"features\":[[1,0,2],[0,1,3],[1,0,4],[0,1,5],[1,0,6.5],[0,1,7]],"                                      \
    "\"feature_names\":[\"city=Bern\",\"city=7\",\"size\"]"
#define REST                                                                                                 \
    "\"model\":{\"layers\":[{\"units\":3}]},\"training\":{\"epochs\":2,\"validation_split\":0,\"seed\":4}"

// What is predicted, and how the answer's CSV is headed.
static const struct task_case {
    const char *task, *document, *csv_header;
    size_t outputs, shares, names;
} tasks[] = {
    {"classes",
     "{\"dataset\":{" FEATURES ",\"labels\":[\"a\",\"b\\\"c\",\"d\",\"a\",\"b\\\"c\",\"d\"]}," REST "}",
     "label,\"a\",\"b\"\"c\",\"d\"\n", 3, 3, 3},
    {"classes", "{\"dataset\":{" FEATURES ",\"labels\":[0,1,2,0,1,2]}," REST "}", "label,\"0\",\"1\",\"2\"\n",
     3, 3, 3},
    {"binary",
     "{\"dataset\":{" FEATURES ",\"labels\":[0,1,1,0,1,0]},\"loss\":\"binary_cross_entropy\"," REST "}",
     "label,\"0\",\"1\"\n", 1, 2, 2},
    {"multi_label",
     "{\"dataset\":{" FEATURES
     ",\"labels\":[[0,1],[1,1],[0,0],[1,0],[1,1],[0,1]]},\"loss\":\"binary_cross_entropy\"," REST "}",
     "\"label_0\",\"label_1\"\n", 2, 2, 0},
    {"regression", "{\"dataset\":{" FEATURES ",\"labels\":[[0.5],[1.5],[2],[1],[0],[3]]}," REST "}",
     "\"label\"\n", 1, 0, 0},
    {"regression",
     "{\"dataset\":{" FEATURES ",\"labels\":[[0.5,1],[1.5,1],[2,4],[1,0],[0,0],[3,9]]}," REST "}",
     "\"label_0\",\"label_1\"\n", 2, 0, 0},
};
enum { TASKS = sizeof tasks / sizeof *tasks, ROWS = 4 };

static const char rows_json[] = "{\"features\":[[1,0,2.5],[0,1,-40],[0,1,1e3],[1,0,0]]}";

struct stage {
    struct service *service;
    char jobs[TASKS][TOKEN_ID_SIZE];
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    stage->service = service_open();
    for (size_t i = 0; i < TASKS; i++)
        trained_job(stage->service, tasks[i].document, stage->jobs[i]);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    service_close(stage->service);
    free(stage);
    return 0;
}

static struct api_answer ask(const struct stage *stage, size_t task, const char *body, const char *accept)
{
    const struct request request = {.method = "POST",
                                    .target = text_of("/v1/jobs/%s/predict", stage->jobs[task]),
                                    .body = body,
                                    .headers = {{"Accept", accept}}};
    return service_send(stage->service, &request);
}

static double number_at(const json_t *matrix, size_t row, size_t column)
{
    return json_number_value(json_array_get(json_array_get(matrix, row), column));
}

// What the outputs of a row say of the j-th probability.
static double share_of(const struct task_case *task, const json_t *outputs, size_t row, size_t j)
{
    double sum = 0;
    if (strcmp(task->task, "classes") != 0 && strcmp(task->task, "shares") != 0) {
        const bool is_binary = strcmp(task->task, "binary") == 0;
        const double share = 1 / (1 + exp(-number_at(outputs, row, is_binary ? 0 : j)));
        return is_binary && j == 0 ? 1 - share : share;
    }
    for (size_t k = 0; k < task->outputs; k++)
        sum += exp(number_at(outputs, row, k) - number_at(outputs, row, j));
    return 1 / sum;
}

static void check_shares(const struct task_case *task, const json_t *answer)
{
    const json_t *outputs = json_object_get(answer, "outputs"),
                 *shares = json_object_get(answer, "probabilities");
    assert_int_equal(json_array_size(outputs), ROWS);
    assert_int_equal(json_array_size(json_array_get(outputs, 0)), task->outputs);
    assert_true((shares != NULL) == (task->shares > 0));
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < task->shares; j++)
            assert_true(fabs(number_at(shares, i, j) - share_of(task, outputs, i, j)) < 1e-5);
}

// The class is the likeliest; of several labels, all that are rather true than not.
static void check_classes(const struct task_case *task, const json_t *answer)
{
    const json_t *classes = json_object_get(answer, "classes"), *labels = json_object_get(answer, "labels"),
                 *shares = json_object_get(answer, "probabilities"),
                 *names = json_object_get(answer, "class_names");
    assert_true((labels != NULL) == (task->names > 0));
    for (size_t i = 0; i < ROWS; i++) {
        const json_t *class = json_array_get(classes, i);
        size_t listed = 0;
        for (size_t j = 0; j < task->shares; j++) {
            if (json_is_array(class)) {
                const bool is_true = number_at(shares, i, j) > 0.5;
                assert_true(!is_true || json_integer_value(json_array_get(class, listed)) == (json_int_t)j);
                listed += is_true;
            } else {
                assert_true(number_at(shares, i, j) <=
                            number_at(shares, i, (size_t)json_integer_value(class)));
            }
        }
        assert_true(!json_is_array(class) || json_array_size(class) == listed);
        if (labels)
            assert_true(json_equal(json_array_get(labels, i),
                                   json_array_get(names, (size_t)json_integer_value(class))));
    }
}

static void a_document_says_what_the_outputs_mean(void **state)
{
    const struct stage *stage = *state;
    for (size_t i = 0; i < TASKS; i++) {
        struct api_answer answer = ask(stage, i, rows_json, "application/json");
        json_t *json = answer_take(&answer, 200, tasks[i].document);
        assert_string_equal(json_text(json, "task"), tasks[i].task);
        assert_int_equal(json_integer_value(json_object_get(json, "rows")), ROWS);
        assert_int_equal(json_array_size(json_object_get(json, "class_names")), tasks[i].names);
        check_shares(&tasks[i], json);
        check_classes(&tasks[i], json);
        json_decref(json);
    }
}

static void only_what_is_asked_for_is_told(void **state)
{
    static const struct {
        const char *list, *told; // as it begins behind the names of classes
        size_t parts;
    } cases[] = {
        {"[\"classes\"]", "],\"classes\":[", 3}, // and their names, once for the model and once for each row
        {"[\"probabilities\"]", "],\"probabilities\":[", 2},
        {"[\"outputs\"]", "],\"outputs\":[", 2},
        {"[\"outputs\",\"classes\"]", "],\"classes\":[", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = text_of("{\"features\":[1,0,3],\"return\":%s}", cases[i].list);
        struct api_answer answer = ask(*state, 1, body, "application/json");
        answer_expect(&answer, 200, body);
        assert_non_null(strstr(answer.body.data, cases[i].told));
        size_t parts = 0;
        for (const char *at = strstr(answer.body.data, "\":["); at; at = strstr(at + 1, "\":["))
            parts++;
        assert_int_equal(parts, cases[i].parts);
        api_answer_free(&answer);
    }
}

// The CSV of a document's answer: a row's label, then its probabilities, or its outputs.
static char *csv_of(const struct task_case *task, const json_t *answer)
{
    struct buffer csv = buffer_new(1 << 16);
    const json_t *values = json_object_get(answer, task->shares ? "probabilities" : "outputs"),
                 *labels = json_object_get(answer, "labels");
    buffer_text(&csv, task->csv_header);
    for (size_t i = 0; i < ROWS; i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        if (label)
            buffer_text(&csv, strcmp(label, "b\"c") == 0 ? "\"b\"\"c\"" : text_of("\"%s\"", label));
        for (size_t j = 0; j < (task->shares ? task->shares : task->outputs); j++) {
            char text[NUMBER_TEXT_SIZE];
            number_write_float(text, (float)number_at(values, i, j));
            buffer_format(&csv, "%s%s", j > 0 || label ? "," : "", text);
        }
        buffer_char(&csv, '\n');
    }
    return csv.data;
}

static void a_table_says_the_same(void **state)
{
    for (size_t i = 0; i < TASKS; i++) {
        struct api_answer document = ask(*state, i, rows_json, "application/json"),
                          table = ask(*state, i, rows_json, "text/csv");
        json_t *json = answer_take(&document, 200, tasks[i].document);
        char *csv = csv_of(&tasks[i], json);
        answer_expect(&table, 200, tasks[i].document);
        assert_string_equal(table.body.data, csv);
        api_answer_free(&table);
        free(csv);
        json_decref(json);
    }
}

static void check_tensor(const struct safetensors *file, const char *name, const json_t *matrix,
                         size_t columns)
{
    const struct tensor *tensor = safetensors_find(file, name);
    assert_true((tensor != NULL) == (columns > 0));
    for (size_t i = 0; i < ROWS * columns; i++)
        assert_true((float)tensor_number(tensor, i) == (float)number_at(matrix, i / columns, i % columns));
}

static void tensors_say_the_same(void **state)
{
    for (size_t i = 0; i < TASKS; i++) {
        struct safetensors *file;
        struct api_answer document = ask(*state, i, rows_json, "application/json"),
                          tensors = ask(*state, i, rows_json, "application/safetensors");
        json_t *json = answer_take(&document, 200, tasks[i].document);
        answer_expect(&tensors, 200, tasks[i].document);
        assert_done(safetensors_read(tensors.body.data, tensors.body.size, &file, &why));
        check_tensor(file, "outputs", json_object_get(json, "outputs"), tasks[i].outputs);
        check_tensor(file, "probabilities", json_object_get(json, "probabilities"), tasks[i].shares);
        const bool has_classes = tasks[i].shares > 0 && strcmp(tasks[i].task, "multi_label") != 0;
        const struct tensor *classes = safetensors_find(file, "classes");
        assert_true((classes != NULL) == has_classes);
        for (size_t row = 0; has_classes && row < ROWS; row++)
            assert_int_equal((int)tensor_number(classes, row),
                             json_integer_value(json_array_get(json_object_get(json, "classes"), row)));
        safetensors_free(file);
        api_answer_free(&tensors);
        json_decref(json);
    }
}

static struct buffer tensor_body(const char *name, enum tensor_dtype dtype, size_t rank, size_t columns)
{
    static const double numbers[2 * 4] = {1, 0, 2.5, 0, 1, -40};
    static const float floats[2 * 4] = {1, 0, 2.5F, 0, 1, -40};
    struct buffer body = buffer_new(1 << 12);
    const bool is_float = dtype == TENSOR_F32;
    const struct tensor tensor = {.name = (char *)(uintptr_t)name,
                                  .dtype = dtype,
                                  .rank = rank,
                                  .shape = {rank == 1 ? 2 * columns : 2, columns},
                                  .elements = 2 * columns,
                                  .data = is_float ? (const void *)floats : numbers,
                                  .bytes = 2 * columns * (is_float ? sizeof(float) : sizeof(double))};
    assert_done(safetensors_write(&tensor, 1, NULL, 0, &body, &why));
    return body;
}

static struct api_answer ask_tensors(const struct stage *stage, const struct buffer *body)
{
    struct api_answer answer;
    struct api_call *call;
    const struct api_header header = {"Content-Type", "application/safetensors"};
    const struct api_request raw = {.method = "POST",
                                    .target = text_of("/v1/jobs/%s/predict", stage->jobs[1]),
                                    .headers = &header,
                                    .header_count = 1};
    api_open(stage->service->api, &raw, &call, &answer);
    assert_non_null(call);
    assert_true(api_body(call, body->data, body->size, &answer));
    api_handle(call, &answer);
    api_close(call);
    return answer;
}

static void rows_come_as_tensors_of_either_width(void **state)
{
    static const struct {
        const char *name;
        enum tensor_dtype dtype;
        size_t rank, columns;
        int status;
        const char *said;
    } cases[] = {
        {"features", TENSOR_F32, 2, 3, 200, "\"rows\":2"},
        {"features", TENSOR_F64, 2, 3, 200, "\"rows\":2"},
        {"features", TENSOR_I64, 2, 3, 422, "F32 or F64"},
        {"features", TENSOR_F64, 1, 3, 422, "rows × columns"},
        {"features", TENSOR_F64, 2, 4, 422, "a row has 4 numbers; the model takes 3 (city=Bern, …)"},
        {"rows", TENSOR_F64, 2, 3, 422, "/features"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer body = tensor_body(cases[i].name, cases[i].dtype, cases[i].rank, cases[i].columns);
        struct api_answer answer = ask_tensors(*state, &body);
        if (answer.status != cases[i].status || !strstr(answer.body.data, cases[i].said))
            fail_msg("%zu: %d %s", i, answer.status, answer.body.data);
        api_answer_free(&answer);
        buffer_free(&body);
    }
}

// A number where training saw texts is the text of that number.
static void records_give_what_columns_mean(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *said;
    } cases[] = {
        {"{\"features\":[{\"city\":7,\"size\":-40}]}", 200, NULL},
        {"{\"features\":[{\"city\":\"7\",\"size\":-40,\"other\":8,\"more\":true}]}", 200, NULL},
        {"{\"features\":[{\"city=Bern\":0,\"city=7\":1,\"size\":-40}]}", 200, NULL},
        {"{\"features\":[0,1,-40]}", 200, NULL},
        {"{\"features\":[{\"city\":8,\"size\":-40}]}", 422, "the model knows Bern, 7"},
        {"{\"features\":[{\"city\":7,\"size\":1e39}]}", 422, "row 0 (size)"},
        {"{\"features\":[]}", 422, "a row has 0 numbers"},
        {"{\"features\":7}", 422, "a list of rows of numbers"},
        {"{\"features\":[1,2]}", 422, "a row has 2 numbers"},
        {"{\"features\":[1,2,3],\"return\":\"classes\"}", 422, "/return"},
        {"{\"features\":[1,2,3],\"return\":[]}", 422, "/return"},
        {"{\"features\":[1,2,3],\"return\":[\"classes\",\"odds\"]}", 422, "/return"},
        {"{\"features\":[1,2,3],\"return\":[3]}", 422, "/return"},
        {"{\"features\":[1,2,3}", 400, "column 19"},
    };
    char *first = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_answer answer = ask(*state, 1, cases[i].body, "application/json");
        if (!first)
            first = strdup(answer.body.data);
        if (answer.status != cases[i].status ||
            !strstr(answer.body.data, cases[i].said ? cases[i].said : first))
            fail_msg("%s: %d %s", cases[i].body, answer.status, answer.body.data);
        api_answer_free(&answer);
    }
    free(first);
}

// A file in the place of a model that is none.
static void a_damaged_model_is_told(void **state)
{
    struct stage *stage = *state;
    static const struct tensor_metadata metadata[] = {
        {(char *)"nabla", (char *)"model"},     {(char *)"spec", (char *)"{}"},
        {(char *)"task", (char *)"regression"}, {(char *)"feature_names", (char *)"[\"a\"]"},
        {(char *)"class_names", (char *)"[]"},
    };
    static const struct {
        size_t left_out; // of the metadata
        const char *instead;
    } cases[] = {{0, NULL}, {0, "job"}, {1, NULL},  {1, "{"},  {2, NULL}, {2, "guessing"},
                 {3, NULL}, {3, "7"},   {3, "[7]"}, {4, "{}"}, {99, NULL}}; // the last has no tensor that the
                                                                            // spec wants
    char path[192];
    snprintf(path, sizeof path, "%s/jobs/%s/" MODEL_FILE, stage->service->folder, stage->jobs[TASKS - 1]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tensor_metadata given[5];
        size_t count = 0;
        struct buffer file = buffer_new(1 << 12);
        for (size_t j = 0; j < 5; j++)
            if (j != cases[i].left_out || cases[i].instead)
                given[count++] = (struct tensor_metadata){
                    metadata[j].key,
                    j == cases[i].left_out ? (char *)(uintptr_t)cases[i].instead : metadata[j].value};
        assert_done(safetensors_write(NULL, 0, given, count, &file, &why));
        assert_done(file_replace(path, file.data, file.size, &why));
        buffer_free(&file);
        struct api_answer answer = ask(stage, TASKS - 1, rows_json, "application/json");
        if (answer.status < 400)
            fail_msg("case %zu: %d %s", i, answer.status, answer.body.data);
        api_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_says_what_the_outputs_mean),
        cmocka_unit_test(only_what_is_asked_for_is_told),
        cmocka_unit_test(a_table_says_the_same),
        cmocka_unit_test(tensors_say_the_same),
        cmocka_unit_test(rows_come_as_tensors_of_either_width),
        cmocka_unit_test(records_give_what_columns_mean),
        cmocka_unit_test(a_damaged_model_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
