// POST /v1/losses/compare: every path gives what POST /v1/losses gives, and each row its fate.
#include "tests/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int make_api(void **state)
{
    struct nabla_error err;
    struct api_options options = {.limits = api_limits_defaults()};
    struct api *api;
    if (api_new(&options, &api, &err))
        return 1;
    *state = api;
    return 0;
}

static int drop_api(void **state)
{
    api_free(*state);
    return 0;
}

static void post(struct api *api, const char *target, const char *body, struct api_answer *ret)
{
    struct exchange exchange = {
        .method = "POST", .target = target, .headers = {{"Content-Type", "application/json"}}, .body = body};
    exchange_run(api, &exchange, ret);
}

// The answer as a document, which must be a 200.
static json_t *answered(struct api *api, const char *target, const char *body)
{
    struct api_answer answer;
    post(api, target, body, &answer);
    if (answer.status != 200)
        fail_msg("%s: %s", body, answer.body.data);
    json_t *root = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    api_answer_free(&answer);
    return root;
}

// The entry of a list of paths, or NULL.
static json_t *path_of(const json_t *root, const char *list, const char *path)
{
    const json_t *paths = json_object_get(root, list);
    for (size_t i = 0; i < json_array_size(paths); i++) {
        json_t *entry = json_array_get(paths, i);
        if (strcmp(json_string_value(json_object_get(entry, "path")), path) == 0)
            return entry;
    }
    return NULL;
}

static bool list_has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

// Which paths there are, by request.
static const struct {
    const char *comment, *body, *paths, *unavailable;
} offers[] = {
    {"class ids and logits: the probabilities behind them too", "{\"logits\":[[0,1]],\"labels\":[0]}",
     "exact/logits torch/logits keras/logits keras_tf_sparse/logits optax/logits exact/probabilities "
     "torch/probabilities keras/probabilities keras_tf_sparse/probabilities ",
     "optax/probabilities "},
    {"targets: keras_tf_sparse takes ids only", "{\"logits\":[[0,1]],\"labels\":[[0,1]]}",
     "exact/logits torch/logits keras/logits optax/logits exact/probabilities torch/probabilities "
     "keras/probabilities ",
     "keras_tf_sparse/logits keras_tf_sparse/probabilities optax/probabilities "},
    {"probabilities: nobody knows the logits", "{\"probabilities\":[[0.5,0.5]],\"labels\":[0]}",
     "exact/probabilities torch/probabilities keras/probabilities keras_tf_sparse/probabilities ",
     "optax/probabilities "},
    {"a temperature belongs to the softmax",
     "{\"loss\":{\"temperature\":2},\"logits\":[[0,1]],\"labels\":[0]}",
     "exact/logits torch/logits keras/logits keras_tf_sparse/logits optax/logits ",
     "exact/probabilities torch/probabilities keras/probabilities keras_tf_sparse/probabilities "
     "optax/probabilities "},
    {"a binary loss has sigmoids behind it",
     "{\"loss\":\"binary_cross_entropy\",\"logits\":[[0,1]],\"labels\":[[0,1]]}",
     "exact/logits torch/logits keras/logits optax/logits exact/probabilities torch/probabilities "
     "keras/probabilities ",
     "keras_tf_sparse/logits keras_tf_sparse/probabilities optax/probabilities "},
    {"a regression has nothing behind it", "{\"loss\":\"huber\",\"logits\":[[0,1]],\"labels\":[[0,1]]}",
     "exact/logits torch/logits keras/logits optax/logits ",
     "keras_tf_sparse/logits exact/probabilities torch/probabilities keras/probabilities "
     "keras_tf_sparse/probabilities optax/probabilities "},
    {"torch alone ignores -100 by itself", "{\"logits\":[[0,1],[0,1]],\"labels\":[0,-100]}",
     "torch/logits torch/probabilities ",
     "exact/logits keras/logits keras_tf_sparse/logits optax/logits exact/probabilities keras/probabilities "
     "keras_tf_sparse/probabilities optax/probabilities "},
};

static void list_paths(const json_t *root, const char *list, char *ret, size_t size)
{
    const json_t *paths = json_object_get(root, list);
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < json_array_size(paths) && length < size; i++)
        length += (size_t)snprintf(ret + length, size - length, "%s ",
                                   json_string_value(json_object_get(json_array_get(paths, i), "path")));
}

static void test_every_path_is_answered_or_excused(void **state)
{
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        char paths[512], unavailable[512];
        print_message("%s\n", offers[i].comment);
        json_t *root = answered(*state, "/v1/losses/compare", offers[i].body);
        list_paths(root, "paths", paths, sizeof paths);
        list_paths(root, "unavailable", unavailable, sizeof unavailable);
        assert_string_equal(paths, offers[i].paths);
        assert_string_equal(unavailable, offers[i].unavailable);
        size_t index;
        json_t *excuse;
        json_array_foreach(json_object_get(root, "unavailable"), index, excuse)
        {
            assert_true(json_string_length(json_object_get(excuse, "reason")) > 10);
        }
        json_decref(root);
    }
}

// Requests without their closing brace.
static const struct {
    const char *comment, *body;
} requests[] = {
    {"a batch with a lost row",
     "{\"logits\":[[0,17,16],[5,0,0]],\"labels\":[0,1],\"return\":[\"gradient\",\"per_sample\","
     "\"probabilities\"]"},
    {"float32, weights, no reduction",
     "{\"loss\":{\"class_weights\":[1,2,3]},\"logits\":[[0,17,16],[5,0,0]],\"labels\":[0,1],"
     "\"dtype\":\"float32\",\"sample_weights\":[1,0.5],\"reduction\":\"none\""},
    {"a flat row of probabilities and targets", "{\"probabilities\":[0.2,0.3,0.5],\"labels\":[0,1,0]"},
    {"focal", "{\"loss\":{\"type\":\"focal\",\"gamma\":3},\"logits\":[[0,17,16],[5,0,0]],\"labels\":[0,1]"},
    {"only numbers", "{\"logits\":[[0,17,16]],\"labels\":[0],\"return\":[]"},
};

// The request of one path: its convention and, where only logits were posted, their softmax in their place.
static json_t *request_of_path(struct api *api, const char *text, const json_t *path)
{
    json_t *request = json_loads(text, 0, NULL);
    const char *input = json_string_value(json_object_get(path, "input"));
    json_object_set(request, "convention", json_object_get(path, "convention"));
    if (json_object_get(request, input))
        return request;
    json_object_set_new(request, "return", json_pack("[s]", "probabilities"));
    json_object_set_new(request, "convention", json_string("exact"));
    char *softmax = json_dumps(request, 0);
    json_t *answer = answered(api, "/v1/losses", softmax);
    json_decref(request);
    free(softmax);
    request = json_loads(text, 0, NULL);
    json_object_del(request, "logits");
    json_object_set(request, "probabilities", json_object_get(answer, "probabilities"));
    json_object_set(request, "convention", json_object_get(path, "convention"));
    json_decref(answer);
    return request;
}

static void test_a_path_is_what_losses_answers(void **state)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        char text[512];
        size_t index;
        json_t *path;
        print_message("%s\n", requests[i].comment);
        snprintf(text, sizeof text, "%s}", requests[i].body);
        json_t *root = answered(*state, "/v1/losses/compare", text);
        assert_true(json_array_size(json_object_get(root, "paths")) >= 3);
        json_array_foreach(json_object_get(root, "paths"), index, path)
        {
            const char *name;
            json_t *value, *request = request_of_path(*state, text, path);
            char *single = json_dumps(request, JSON_REAL_PRECISION(17));
            json_t *answer = answered(*state, "/v1/losses", single);
            json_object_foreach(answer, name, value)
            {
                if (!json_equal(value, json_object_get(path, name)))
                    fail_msg("%s of %s differs", name, json_string_value(json_object_get(path, "path")));
            }
            json_decref(answer);
            free(single);
            json_decref(request);
        }
        json_decref(root);
    }
}

// What becomes of a row on a path.
static const struct {
    const char *comment, *body;
    size_t row;
    const char *path, *fate;
} fates[] = {
    {"from logits it lives", "{\"logits\":[[0,17,16]],\"labels\":[0]}", 0, "keras/logits", "kept"},
    {"Keras' clip kills it", "{\"logits\":[[0,17,16]],\"labels\":[0]}", 0, "keras/probabilities", "lost"},
    {"its sparse clip nearly so", "{\"logits\":[[0,17,16]],\"labels\":[0]}", 0,
     "keras_tf_sparse/probabilities", "lost"},
    {"exactly evaluated it lives", "{\"logits\":[[0,17,16]],\"labels\":[0]}", 0, "torch/probabilities",
     "kept"},
    {"a flat row", "{\"probabilities\":[1e-8,1],\"labels\":0}", 0, "keras/probabilities", "lost"},
    {"just above the clip", "{\"probabilities\":[1.01e-7,1],\"labels\":0}", 0, "keras/probabilities", "kept"},
    {"the second of two", "{\"logits\":[[1,0],[0,40]],\"labels\":[0,0]}", 1, "keras/probabilities", "lost"},
    {"and the first is well", "{\"logits\":[[1,0],[0,40]],\"labels\":[0,0]}", 0, "keras/probabilities",
     "kept"},
    {"right beyond doubt is not lost", "{\"logits\":[[40,0]],\"labels\":[0]}", 0, "keras/probabilities",
     "saturated"},
    {"nor from logits", "{\"logits\":[[40,0]],\"labels\":[0]}", 0, "exact/logits", "saturated"},
    {"a margin that is kept", "{\"loss\":\"hinge\",\"logits\":[[4,0]],\"labels\":[0]}", 0, "exact/logits",
     "saturated"},
    {"a regression that is right", "{\"loss\":\"mean_squared_error\",\"logits\":[[4,0]],\"labels\":[[4,0]]}",
     0, "torch/logits", "saturated"},
    {"ignored by its label", "{\"loss\":{\"ignore_index\":7},\"logits\":[[0,40],[0,1]],\"labels\":[7,0]}", 0,
     "keras/probabilities", "ignored"},
    {"ignored by its weight", "{\"logits\":[[0,40],[0,1]],\"labels\":[0,0],\"sample_weights\":[0,1]}", 0,
     "keras/probabilities", "ignored"},
    {"NaN", "{\"logits\":[[0,\"NaN\"]],\"labels\":[0]}", 0, "exact/logits", "undefined"},
    {"a tiny sample weight does not kill", "{\"logits\":[[0,1]],\"labels\":[0],\"sample_weights\":[1e-9]}", 0,
     "exact/logits", "kept"},
    {"nor does a mean over rows", "{\"logits\":[[0,1]],\"labels\":[0],\"reduction\":\"mean\"}", 0,
     "keras/probabilities", "kept"},
    {"a light class that is clipped is lost too",
     "{\"loss\":{\"class_weights\":[0.01,1]},\"logits\":[[0,40]],\"labels\":[0]}", 0, "keras/probabilities",
     "lost"},
    {"a sigmoid's clip", "{\"loss\":\"binary_cross_entropy\",\"logits\":[[-20]],\"labels\":[[1]]}", 0,
     "keras/probabilities", "lost"},
    {"focal in log space", "{\"loss\":\"focal\",\"logits\":[[0,40]],\"labels\":[0]}", 0, "exact/logits",
     "kept"},
    {"Keras' focal clips even logits", "{\"loss\":\"focal\",\"logits\":[[0,40]],\"labels\":[0]}", 0,
     "keras/logits", "lost"},
};

static const char *const fate_names[] = {"kept", "lost", "saturated", "ignored", "undefined"};
enum { FATES = sizeof fate_names / sizeof *fate_names };

static void test_rows_have_their_fate(void **state)
{
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++) {
        print_message("%s\n", fates[i].comment);
        json_t *root = answered(*state, "/v1/losses/compare", fates[i].body);
        json_t *row = json_array_get(json_object_get(root, "rows"), fates[i].row);
        assert_int_equal(json_integer_value(json_object_get(row, "row")), fates[i].row);
        for (size_t j = 0; j < FATES; j++) {
            bool wanted = strcmp(fates[i].fate, fate_names[j]) == 0;
            assert_int_equal(list_has(json_object_get(row, fate_names[j]), fates[i].path), wanted);
        }
        json_t *counts = json_object_get(path_of(root, "paths", fates[i].path), "row_counts");
        assert_true(json_integer_value(json_object_get(counts, fates[i].fate)) >= 1);
        assert_non_null(json_object_get(json_object_get(row, "largest_gradient"), fates[i].path));
        json_decref(root);
    }
}

static void test_the_largest_entry_is_the_rows_own(void **state)
{
    json_t *root = answered(*state, "/v1/losses/compare",
                            "{\"logits\":[[0,0],[0,0]],\"labels\":[0,1],\"sample_weights\":[8,0.25]}");
    for (size_t i = 0; i < 2; i++) {
        json_t *largest =
            json_object_get(json_array_get(json_object_get(root, "rows"), i), "largest_gradient");
        assert_true(json_number_value(json_object_get(largest, "exact/logits")) == 0.5);
        assert_true(json_number_value(json_object_get(largest, "exact/probabilities")) == 0.5);
    }
    json_decref(root);
}

// 300 rows of which every second is lost to Keras.
static void test_counts_are_exact_where_lists_end(void **state)
{
    struct buffer body = buffer_new(1 << 16);
    buffer_text(&body, "{\"logits\":[");
    for (int i = 0; i < 300; i++)
        buffer_text(&body, i == 0 ? "[1,0]" : i % 2 ? ",[0,40]" : ",[1,0]");
    buffer_text(&body, "],\"labels\":[0");
    for (int i = 1; i < 300; i++)
        buffer_text(&body, ",0");
    buffer_text(&body, "],\"return\":[]}");
    json_t *root = answered(*state, "/v1/losses/compare", body.data);
    json_t *rows = json_object_get(root, "rows");
    json_t *counts = json_object_get(path_of(root, "paths", "keras/probabilities"), "row_counts");
    assert_int_equal(json_array_size(rows), 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, i), "row")), 2 * i + 1);
    assert_int_equal(json_integer_value(json_object_get(root, "rows_lost")), 150);
    assert_int_equal(json_integer_value(json_object_get(counts, "lost")), 150);
    assert_int_equal(json_integer_value(json_object_get(counts, "kept")), 150);
    json_decref(root);
    buffer_free(&body);
}

static const struct {
    const char *comment, *body;
    int status;
    const char *pointers;
} refused[] = {
    {"no JSON", "{", 400, ""},
    {"a convention: all are answered", "{\"logits\":[[1,2]],\"labels\":[0],\"convention\":\"torch\"}", 422,
     "/convention"},
    {"no labels", "{\"logits\":[[1,2]]}", 422, "/labels"},
    {"a label that no path takes", "{\"logits\":[[1,2],[1,2]],\"labels\":[0,2]}", 422, "/labels/1"},
    {"the same in a flat row", "{\"logits\":[1,2],\"labels\":2}", 422, "/labels"},
    {"a loss that takes logits only", "{\"loss\":\"hinge\",\"probabilities\":[[0.5,0.5]],\"labels\":[0]}",
     422, "/probabilities"},
    {"a negative weight", "{\"logits\":[[1,2]],\"labels\":[0],\"sample_weights\":[-1]}", 422,
     "/sample_weights/0"},
};

static void test_refusals_name_the_fields(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct api_answer answer;
        char pointers[512];
        print_message("%s\n", refused[i].comment);
        post(*state, "/v1/losses/compare", refused[i].body, &answer);
        answer_pointers(&answer, pointers, sizeof pointers);
        assert_string_equal(pointers, refused[i].pointers);
        assert_int_equal(answer.status, refused[i].status);
        api_answer_free(&answer);
    }
}

static void flat_body(struct buffer *body, int classes, const char *rest)
{
    *body = buffer_new(1 << 22);
    buffer_text(body, "{\"logits\":[0");
    for (int i = 1; i < classes; i++)
        buffer_text(body, ",0");
    buffer_format(body, "],\"labels\":0%s}", rest);
}

static void test_gradients_are_for_batches_that_an_answer_holds(void **state)
{
    struct buffer body;
    struct api_answer answer;
    flat_body(&body, 65537, "");
    post(*state, "/v1/losses/compare", body.data, &answer);
    assert_int_equal(answer.status, 413);
    api_answer_free(&answer);
    buffer_free(&body);
    flat_body(&body, 65537, ",\"return\":[]");
    post(*state, "/v1/losses/compare", body.data, &answer);
    assert_int_equal(answer.status, 200);
    api_answer_free(&answer);
    buffer_free(&body);
}

static void test_nonfinite_numbers_are_texts_or_null(void **state)
{
    const char *body = "{\"logits\":[[0,\"NaN\"]],\"labels\":[0]}";
    json_t *texts = answered(*state, "/v1/losses/compare", body);
    json_t *nulls = answered(*state, "/v1/losses/compare?nonfinite=null", body);
    json_t *text = json_object_get(path_of(texts, "paths", "exact/logits"), "loss");
    json_t *null = json_object_get(path_of(nulls, "paths", "exact/logits"), "loss");
    assert_string_equal(json_string_value(text), "NaN");
    assert_true(json_is_null(null));
    json_decref(texts);
    json_decref(nulls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_path_is_answered_or_excused),
        cmocka_unit_test(test_a_path_is_what_losses_answers),
        cmocka_unit_test(test_rows_have_their_fate),
        cmocka_unit_test(test_the_largest_entry_is_the_rows_own),
        cmocka_unit_test(test_counts_are_exact_where_lists_end),
        cmocka_unit_test(test_refusals_name_the_fields),
        cmocka_unit_test(test_gradients_are_for_batches_that_an_answer_holds),
        cmocka_unit_test(test_nonfinite_numbers_are_texts_or_null),
    };
    return cmocka_run_group_tests(tests, make_api, drop_api);
}
