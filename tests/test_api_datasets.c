// Data sets over the api: uploads in every shape, what they are described as, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/service.h"

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

#define CSV "width,height,kind\n1,2,cat\n3,4,ant\n5,6.5,cat\n"
#define ROWS                                                                                                 \
    "{\"name\":\"pets\",\"features\":[[1,2],[3,4],[5,6.5]],\"labels\":[\"cat\",\"ant\",\"cat\"],"            \
    "\"feature_names\":[\"width\",\"height\"]}"

static struct api_answer upload_csv(struct service *service, const char *target, const char *text)
{
    const struct request request = {
        .method = "POST", .target = target, .body = text, .headers = {{"Content-Type", "text/csv"}}};
    return service_send(service, &request);
}

static void expect_pets(const json_t *got)
{
    assert_int_equal(strncmp(json_text(got, "id"), "ds_", 3), 0);
    assert_string_equal(json_text(got, "name"), "pets");
    assert_int_equal(json_integer_value(json_object_get(got, "rows")), 3);
    assert_int_equal(json_integer_value(json_object_get(got, "features")), 2);
    assert_int_equal(json_integer_value(json_object_get(got, "classes")), 2);
    assert_int_equal(strlen(json_text(got, "sha256")), 64);
    assert_string_not_equal(json_text(got, "created_at"), "");
    const json_t *names = json_object_get(got, "class_names"), *counts = json_object_get(got, "class_counts");
    assert_string_equal(json_string_value(json_array_get(names, 0)), "ant");
    assert_int_equal(json_integer_value(json_array_get(counts, 0)), 1);
    assert_int_equal(json_integer_value(json_array_get(counts, 1)), 2);
    const json_t *width = json_array_get(json_object_get(got, "feature_summaries"), 0);
    assert_string_equal(json_text(width, "name"), "width");
    assert_true(json_number_value(json_object_get(width, "mean")) == 3);
    assert_true(json_number_value(json_object_get(width, "min")) == 1);
    assert_true(json_number_value(json_object_get(width, "max")) == 5);
    assert_int_equal(json_integer_value(json_object_get(width, "missing")), 0);
}

static void a_csv_file_is_described(void **state)
{
    struct api_answer answer = upload_csv(*state, "/v1/datasets?name=pets&label=kind", CSV);
    char location[80];
    answer_expect(&answer, 201, "csv");
    snprintf(location, sizeof location, "%s", answer_value(&answer, "Location"));
    json_t *made = answer_take(&answer, 201, "csv");
    expect_pets(made);
    assert_string_equal(json_text(made, "label"), "kind");
    assert_string_equal(location, text_of("/v1/datasets/%s", json_text(made, "id")));
    json_t *got = service_json(*state, "GET", location, NULL, 200);
    assert_true(json_equal(made, got));
    json_decref(made);
    json_decref(got);
}

static void rows_in_a_document_are_described_alike(void **state)
{
    json_t *made = service_json(*state, "POST", "/v1/datasets", ROWS, 201);
    expect_pets(made);
    json_decref(made);
}

static void the_same_rows_are_the_same_data_set(void **state)
{
    json_t *first = service_json(*state, "POST", "/v1/datasets", ROWS, 201);
    json_t *second = service_json(*state, "POST", "/v1/datasets?name=again", ROWS, 200);
    assert_string_equal(json_text(first, "id"), json_text(second, "id"));
    json_decref(first);
    json_decref(second);
}

// Each request comes with the key "k" unless it says otherwise, in this order, to one service.
static const struct {
    const char *comment, *key, *target, *type, *body;
    int status;
} repeats[] = {
    {"the first", "k", "/v1/datasets?name=pets", "text/csv", CSV, 201},
    {"the same again: made, as the first time", "k", "/v1/datasets?name=pets", "text/csv", CSV, 201},
    {"another body", "k", "/v1/datasets?name=pets", "text/csv", "a,b\n1,x\n2,y\n", 422},
    {"a body that cannot be read", "k", "/v1/datasets?name=pets", "text/csv", "a,b\n1\n", 422},
    {"another query", "k", "/v1/datasets?name=animals", "text/csv", CSV, 422},
    {"no query", "k", "/v1/datasets", "text/csv", CSV, 422},
    {"another media type", "k", "/v1/datasets?name=pets", "application/json", ROWS, 422},
    {"the same rows without a key: they are there", NULL, "/v1/datasets?name=pets", "text/csv", CSV, 200},
    {"another key for the same rows", "l", "/v1/datasets?name=pets", "text/csv", CSV, 200},
    {"which is answered as it was", "l", "/v1/datasets?name=pets", "text/csv", CSV, 200},
    {"an empty key", "", "/v1/datasets?name=pets", "text/csv", CSV, 400},
    {"a refused request", "m", "/v1/datasets", "text/csv", "a,b\n1,x\nq,y\n", 422},
    {"does not spend its key", "m", "/v1/datasets", "text/csv", "a,b\n1,x\n2,y\n", 201},
};

static void a_key_repeats_its_request_alone(void **state)
{
    char first[1024] = "";
    for (size_t i = 0; i < sizeof repeats / sizeof *repeats; i++) {
        const char *name = repeats[i].key ? "Idempotency-Key" : NULL;
        const struct request request = {
            .method = "POST",
            .target = repeats[i].target,
            .body = repeats[i].body,
            .headers = {{"Content-Type", repeats[i].type}, {name, repeats[i].key}}};
        struct api_answer answer = service_send(*state, &request);
        answer_expect(&answer, repeats[i].status, repeats[i].comment);
        if (i == 0)
            snprintf(first, sizeof first, "%s", answer.body.data);
        if (i == 1)
            assert_string_equal(answer.body.data, first);
        assert_int_equal(answer_value(&answer, "Location") != NULL, repeats[i].status == 201);
        api_answer_free(&answer);
    }
}

static void a_generator_makes_a_data_set(void **state)
{
    json_t *made = service_json(*state, "POST", "/v1/datasets?name=b",
                                "{\"generator\":\"blobs\",\"rows\":30,\"features\":4,\"classes\":3}", 201);
    assert_string_equal(json_text(made, "name"), "b");
    assert_int_equal(json_integer_value(json_object_get(made, "rows")), 30);
    assert_int_equal(json_integer_value(json_object_get(made, "features")), 4);
    assert_int_equal(json_array_size(json_object_get(made, "feature_summaries")), 4);
    json_decref(made);
}

static const struct {
    const char *comment, *target, *type, *body;
    int status;
    const char *pointer, *text;
} refusals[] = {
    {"nothing", "/v1/datasets", "application/json", "", 400, "", ""},
    {"no JSON", "/v1/datasets", "application/json", "{\"a\"}", 400, "", ""},
    {"no object", "/v1/datasets", "application/json", "3", 422, "", ""},
    {"an empty document", "/v1/datasets", "application/json", "{}", 422, "/generator", ""},
    {"an unknown generator", "/v1/datasets", "application/json", "{\"generator\":\"sheep\"}", 422,
     "/generator", "blobs"},
    {"a generator with an unknown field", "/v1/datasets", "application/json",
     "{\"generator\":\"blobs\",\"wool\":1}", 422, "/wool", ""},
    {"a generator with labels", "/v1/datasets", "application/json",
     "{\"generator\":\"blobs\",\"labels\":\"x\"}", 422, "/labels", ""},
    {"one class", "/v1/datasets", "application/json", "{\"generator\":\"blobs\",\"rows\":4,\"classes\":1}",
     422, "/classes", ""},
    {"features without labels", "/v1/datasets", "application/json", "{\"features\":[[1],[2]]}", 422,
     "/labels", ""},
    {"labels without features", "/v1/datasets", "application/json", "{\"labels\":[0,1]}", 422, "/features",
     ""},
    {"mixed labels", "/v1/datasets", "application/json", "{\"features\":[[1],[2]],\"labels\":[\"a\",1]}", 422,
     "/labels", ""},
    {"names of too few features", "/v1/datasets", "application/json",
     "{\"features\":[[1,2],[2,3]],\"labels\":[0,1],\"feature_names\":[\"a\"]}", 422, "/feature_names", ""},
    {"names of too few classes", "/v1/datasets", "application/json",
     "{\"features\":[[1,2],[2,3]],\"labels\":[0,1],\"class_names\":[\"a\"]}", 422, "/class_names", ""},
    {"too many rows: the limit is 5", "/v1/datasets", "application/json",
     "{\"features\":[[1],[2],[3],[4],[5],[6]],\"labels\":[0,1,0,1,0,1]}", 422, "/features", "limits"},
    {"a label column for JSON", "/v1/datasets?label=a", "application/json", ROWS, 400, "", "label"},
    {"an unknown parameter", "/v1/datasets?title=a", "application/json", ROWS, 400, "", "title"},
    {"another media type", "/v1/datasets", "application/xml", "<a/>", 415, "", "text/csv"},
    {"a cell that is no number", "/v1/datasets", "text/csv", "a,b\n1,x\nq,y\n", 422, "", "row 2, column 1"},
    {"no such column", "/v1/datasets?label=c", "text/csv", "a,b\n1,x\n2,y\n", 422, "", "c"},
    {"a task for JSON", "/v1/datasets?task=regression", "application/json", ROWS, 400, "", "task"},
    {"no such task", "/v1/datasets?task=sheep", "text/csv", CSV, 400, "", "multi_label"},
    {"no such treatment", "/v1/datasets?missing=drop", "text/csv", CSV, 400, "", "missing is keep"},
    {"no such coding", "/v1/datasets?categorical=two_hot", "text/csv", CSV, 400, "", "one_hot"},
    {"label and labels", "/v1/datasets?label=kind&labels=width,kind", "text/csv", CSV, 400, "",
     "one of them"},
    {"a weight that is a text", "/v1/datasets?label=width&weight=kind", "text/csv", CSV, 422, "",
     "column 3 (kind)"},
    {"a label column for an archive", "/v1/datasets?label=a", "application/x-npz", "PK", 400, "", "label"},
    {"no archive", "/v1/datasets", "application/zip", "hello, world", 400, "", "central directory"},
    {"no safetensors", "/v1/datasets", "application/safetensors", "hello, world", 400, "", ""},
};

static void a_bad_upload_is_refused_with_its_place(void **state)
{
    (void)state;
    struct api_limits limits = api_limits_defaults();
    limits.dataset_rows = 5;
    struct service *service = service_open_limited(&limits);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct request request = {.method = "POST",
                                        .target = refusals[i].target,
                                        .body = refusals[i].body,
                                        .headers = {{"Content-Type", refusals[i].type}}};
        service_refuses(service, &request, refusals[i].status, refusals[i].pointer, refusals[i].comment);
        struct api_answer answer = service_send(service, &request);
        if (!strstr(answer.body.data, refusals[i].text))
            fail_msg("%s: no \"%s\" in %s", refusals[i].comment, refusals[i].text, answer.body.data);
        api_answer_free(&answer);
    }
    json_t *list = service_json(service, "GET", "/v1/datasets", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "datasets")), 0);
    json_decref(list);
    service_close(service);
}

static void a_list_leaves_out_what_grows(void **state)
{
    json_decref(service_json(*state, "POST", "/v1/datasets", ROWS, 201));
    json_decref(service_json(*state, "POST", "/v1/datasets", "{\"generator\":\"blobs\"}", 201));
    json_t *page = service_json(*state, "GET", "/v1/datasets?limit=1", NULL, 200);
    const json_t *newest = json_array_get(json_object_get(page, "datasets"), 0);
    assert_int_equal(json_array_size(json_object_get(page, "datasets")), 1);
    assert_null(json_object_get(newest, "feature_summaries"));
    assert_non_null(json_object_get(newest, "class_counts"));
    json_t *rest = service_json(
        *state, "GET", text_of("/v1/datasets?limit=1&cursor=%s", json_text(page, "next")), NULL, 200);
    assert_string_equal(json_text(json_array_get(json_object_get(rest, "datasets"), 0), "name"), "pets");
    assert_true(json_is_null(json_object_get(rest, "next")));
    json_decref(page);
    json_decref(rest);
}

static void its_rows_come_back_as_they_were(void **state)
{
    struct api_answer answer = upload_csv(*state, "/v1/datasets", CSV);
    json_t *made = answer_take(&answer, 201, "csv");
    struct request request = {.method = "GET",
                              .target = text_of("/v1/datasets/%s/data", json_text(made, "id")),
                              .headers = {{"Accept", "text/csv"}}};
    answer = service_send(*state, &request);
    answer_expect(&answer, 200, "as CSV");
    assert_int_equal(strncmp(answer.body.data, "width,height,kind", 17), 0);
    assert_non_null(strstr(answer.body.data, "5,6.5,cat"));
    json_t *again = NULL;
    struct api_answer second = upload_csv(*state, "/v1/datasets", answer.body.data);
    again = answer_take(&second, 200, "its own CSV is the same data set");
    assert_string_equal(json_text(made, "id"), json_text(again, "id"));
    api_answer_free(&answer);
    request.headers[0].name = NULL;
    answer = service_send(*state, &request);
    assert_int_equal(answer.kind, API_FILE);
    assert_int_equal(answer.size, json_integer_value(json_object_get(made, "bytes")));
    assert_string_equal(answer_value(&answer, "Content-Type"), "application/safetensors");
    char magic[9];
    assert_int_equal(read(answer.fd, magic, sizeof magic), sizeof magic);
    assert_int_equal(magic[8], '{');
    api_answer_free(&answer);
    json_decref(made);
    json_decref(again);
}

// What the service gave out as a file it takes back as the same data set.
static void its_own_file_is_the_same_data_set(void **state)
{
    struct service *service = *state;
    json_t *made = service_json(service, "POST", "/v1/datasets", ROWS, 201);
    struct api_answer answer =
        service_ask(service, "GET", text_of("/v1/datasets/%s/data", json_text(made, "id")), NULL);
    assert_int_equal(answer.kind, API_FILE);
    char *bytes = malloc(answer.size);
    assert_int_equal(read(answer.fd, bytes, answer.size), answer.size);
    const struct api_header type = {"Content-Type", "application/safetensors"};
    const struct api_request raw = {
        .method = "POST", .target = "/v1/datasets", .headers = &type, .header_count = 1};
    struct api_call *call;
    struct api_answer second;
    api_open(service->api, &raw, &call, &second);
    assert_non_null(call);
    assert_true(api_body(call, bytes, answer.size, &second));
    api_handle(call, &second);
    json_t *again = answer_take(&second, 200, "its own file");
    assert_string_equal(json_text(made, "id"), json_text(again, "id"));
    api_close(call);
    free(bytes);
    api_answer_free(&answer);
    json_decref(made);
    json_decref(again);
}

static void columns_of_a_csv_file_have_roles(void **state)
{
    json_t *made = NULL;
    struct api_answer answer =
        upload_csv(*state, "/v1/datasets?labels=width,height&task=regression&categorical=one_hot", CSV);
    made = answer_take(&answer, 201, "targets");
    assert_int_equal(json_integer_value(json_object_get(made, "classes")), 0);
    assert_string_equal(json_text(made, "label"), "width,height");
    assert_string_equal(json_text(json_array_get(json_object_get(made, "feature_summaries"), 1), "name"),
                        "kind=cat");
    json_decref(made);
    answer = upload_csv(*state, "/v1/datasets?label=kind&weight=width", CSV);
    made = answer_take(&answer, 201, "weights");
    assert_int_equal(json_integer_value(json_object_get(made, "features")), 1);
    assert_int_equal(json_integer_value(json_object_get(made, "classes")), 2);
    json_decref(made);
}

#define HOLES "a,b,kind\n1,,x\n2,5,y\nNA,3,x\n4,1,y\n"

static void missing_values_are_kept_where_asked_for(void **state)
{
    json_t *made;
    struct api_answer answer = upload_csv(*state, "/v1/datasets", HOLES);
    made = answer_take(&answer, 422, "holes");
    assert_non_null(strstr(json_text(made, "detail"), "row 1, column 2 (b)"));
    json_decref(made);
    answer = upload_csv(*state, "/v1/datasets?missing=keep", HOLES);
    made = answer_take(&answer, 201, "holes that are kept");
    const json_t *summary = json_array_get(json_object_get(made, "feature_summaries"), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "missing")), 1);
    assert_true(json_number_value(json_object_get(summary, "mean")) == 3);
    const char *id = json_text(made, "id");
    const struct request refused = {
        .method = "POST", .target = "/v1/jobs", .body = text_of("{\"dataset\":\"%s\",\"model\":{}}", id)};
    service_refuses(*state, &refused, 422, "/training/missing", "nothing fills them in");
    json_t *job = service_json(
        *state, "POST", "/v1/jobs",
        text_of("{\"dataset\":\"%s\",\"model\":{},\"training\":{\"missing\":\"median\"}}", id), 202);
    json_decref(job);
    json_decref(made);
}

// An archive by its media type, whichever of its two names; golden files of scripts/golden/npz_golden.py.
static void an_archive_of_arrays_is_a_data_set(void **state)
{
    static const struct {
        const char *type, *path;
        int status; // of which the first three hold the same rows
    } archives[] = {{"application/x-npz", "tests/golden/npz/savez.npz", 201},
                    {"application/zip", "tests/golden/npz/savez_compressed.npz", 200},
                    {"application/zip", "tests/golden/npz/zip64.npz", 200},
                    {"application/zip", "tests/golden/npz/idx_gz.zip", 201},
                    {"application/zip", "tests/test_api_datasets.c", 400}};
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
        struct buffer file = buffer_new(1 << 20);
        const struct api_header type = {"Content-Type", archives[i].type};
        const struct api_request raw = {
            .method = "POST", .target = "/v1/datasets", .headers = &type, .header_count = 1};
        struct api_call *call;
        struct api_answer answer;
        assert_int_equal(file_read(archives[i].path, &file, NULL), NABLA_OK);
        api_open(((struct service *)*state)->api, &raw, &call, &answer);
        assert_non_null(call);
        assert_true(api_body(call, file.data, file.size, &answer));
        api_handle(call, &answer);
        answer_expect(&answer, archives[i].status, archives[i].path);
        api_answer_free(&answer);
        api_close(call);
        buffer_free(&file);
    }
}

static void a_needed_data_set_stays(void **state)
{
    json_t *made = service_json(*state, "POST", "/v1/datasets",
                                "{\"generator\":\"blobs\",\"rows\":60,\"classes\":3}", 201);
    const char *id = json_text(made, "id");
    json_t *job =
        service_json(*state, "POST", "/v1/jobs", text_of("{\"dataset\":\"%s\",\"model\":{}}", id), 202);
    service_expect(*state, "DELETE", text_of("/v1/datasets/%s", id), NULL, 409);
    service_expect(*state, "POST", text_of("/v1/jobs/%s/cancel", json_text(job, "id")), NULL, 202);
    service_expect(*state, "DELETE", text_of("/v1/datasets/%s", id), NULL, 204);
    service_expect(*state, "GET", text_of("/v1/datasets/%s", id), NULL, 404);
    service_expect(*state, "GET", text_of("/v1/datasets/%s/data", id), NULL, 404);
    service_expect(*state, "DELETE", text_of("/v1/datasets/%s", id), NULL, 404);
    json_decref(job);
    json_decref(made);
}

// With the folder of data sets gone, whatever touches it fails inside.
static void what_fails_inside_goes_to_the_log_alone(void **state)
{
    struct service *service = *state;
    json_t *made = service_json(service, "POST", "/v1/datasets", ROWS, 201);
    const char *data = text_of("/v1/datasets/%s/data", json_text(made, "id"));
    const struct {
        const char *comment;
        struct request request;
    } cases[] = {
        {"as CSV", {.method = "GET", .target = data, .headers = {{"Accept", "text/csv"}}}},
        {"as it is kept", {.method = "GET", .target = data}},
        {"a new one", {.method = "POST", .target = "/v1/datasets", .body = "{\"generator\":\"moons\"}"}},
        {"a job that needs it",
         {.method = "POST",
          .target = "/v1/jobs",
          .body = text_of("{\"dataset\":\"%s\",\"model\":{}}", json_text(made, "id"))}},
    };
    char folder[128];
    snprintf(folder, sizeof folder, "%s/datasets", service->folder);
    assert_int_equal(nftw(folder, service_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        service->failure[0] = '\0';
        struct api_answer answer = service_send(service, &cases[i].request);
        answer_expect(&answer, 500, cases[i].comment);
        if (strstr(answer.body.data, service->folder) || !strstr(service->failure, "No such file"))
            fail_msg("%s: %s\nlog: %s", cases[i].comment, answer.body.data, service->failure);
        assert_int_equal(strncmp(service->failure, cases[i].request.method, 3), 0);
        api_answer_free(&answer);
    }
    json_decref(made);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_csv_file_is_described),
        TEST(rows_in_a_document_are_described_alike),
        TEST(the_same_rows_are_the_same_data_set),
        TEST(a_key_repeats_its_request_alone),
        TEST(a_generator_makes_a_data_set),
        cmocka_unit_test(a_bad_upload_is_refused_with_its_place),
        TEST(a_list_leaves_out_what_grows),
        TEST(its_rows_come_back_as_they_were),
        TEST(its_own_file_is_the_same_data_set),
        TEST(columns_of_a_csv_file_have_roles),
        TEST(missing_values_are_kept_where_asked_for),
        TEST(an_archive_of_arrays_is_a_data_set),
        TEST(a_needed_data_set_stays),
        TEST(what_fails_inside_goes_to_the_log_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
