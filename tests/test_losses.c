// POST /v1/losses without sockets: what goes in, what comes out, and what is refused where.
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

// Whole answers: they must not change under their readers.
static const struct {
    const char *comment, *target, *body, *answer;
} whole[] = {
    {"two rows, one apart from the other by a shift", "/v1/losses",
     "{\"logits\":[[0,0],[3,3]],\"labels\":[0,1],\"reduction\":\"sum\"}",
     "{\"loss\":1.3862943611198906,\"gradient\":[[-0.5,0.5],[0.5,-0.5]],\"with_respect_to\":\"logits\","
     "\"rows\":2,\"classes\":2,\"rows_counted\":2,\"denominator\":1,\"gradient_norm\":1,\"accuracy\":0,"
     "\"warnings\":[]}\n"},
    {"only numbers wanted", "/v1/losses",
     "{\"loss\":{\"type\":\"mean_squared_error\"},\"logits\":[[1,2]],\"labels\":[[1,4]],\"return\":[]}",
     "{\"loss\":2,\"with_respect_to\":\"logits\",\"rows\":1,\"classes\":2,\"rows_counted\":1,"
     "\"denominator\":1,\"gradient_norm\":2,\"accuracy\":null,\"warnings\":[]}\n"},
    {"float32 has float32's digits", "/v1/losses",
     "{\"loss\":\"mean_squared_error\",\"logits\":[[0.1]],\"labels\":[[0]],\"dtype\":\"float32\"}",
     "{\"loss\":0.010000001,\"gradient\":[[0.2]],\"with_respect_to\":\"logits\",\"rows\":1,\"classes\":1,"
     "\"rows_counted\":1,\"denominator\":1,\"gradient_norm\":0.20000000298023224,\"accuracy\":null,"
     "\"warnings\":[]}\n"},
};

static void test_answers_stay_the_same(void **state)
{
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct api_answer answer;
        print_message("%s\n", whole[i].comment);
        post(*state, whole[i].target, whole[i].body, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body.data, whole[i].answer);
        assert_string_equal(answer_value(&answer, "Content-Type"), "application/json");
        api_answer_free(&answer);
    }
}

// Parts of answers.
static const struct {
    const char *comment, *target, *body, *part;
} parts[] = {
    {"the first example's loss", "/v1/losses", "{\"logits\":[[1.0,2.0,0.1,-1.0]],\"labels\":[1]}",
     "{\"loss\":0.44931300238035"},
    {"and its gradient", "/v1/losses", "{\"logits\":[[1.0,2.0,0.1,-1.0]],\"labels\":[1]}",
     "\"gradient\":[[0.2347314"},
    {"a flat row answers flat", "/v1/losses", "{\"logits\":[0,0],\"labels\":0}", "\"gradient\":[-0.5,0.5],"},
    {"flat targets", "/v1/losses", "{\"logits\":[0,0],\"labels\":[0,1]}", "\"gradient\":[0.5,-0.5],"},
    {"one row in rows answers in rows", "/v1/losses", "{\"logits\":[[0,0]],\"labels\":[[0,1]]}",
     "\"gradient\":[[0.5,-0.5]],"},
    {"the dying path keeps no gradient", "/v1/losses",
     "{\"probabilities\":[[3e-8,0.73,0.27]],\"labels\":[[1,0,0]],\"convention\":\"keras\"}",
     "\"gradient\":[[0,0,0]],\"gradient_logits\":[[0,0,0]],\"with_respect_to\":\"probabilities\""},
    {"and a word on it", "/v1/losses",
     "{\"probabilities\":[[3e-8,0.73,0.27]],\"labels\":[[1,0,0]],\"convention\":\"keras\"}",
     "{\"code\":\"gradient_clipped\",\"count\":1,\"rows\":[0],\"detail\":\""},
    {"from logits it lives", "/v1/losses", "{\"logits\":[[0,17,16]],\"labels\":[0]}", "{\"loss\":17.31326"},
    {"none: per sample, and no loss", "/v1/losses",
     "{\"logits\":[[0,0],[0,0]],\"labels\":[0,1],\"reduction\":\"none\"}",
     "{\"loss\":null,\"gradient\":[[-0.5,0.5],[0.5,-0.5]],\"per_sample\":[0.6931471805599453,0."},
    {"per sample on request", "/v1/losses",
     "{\"logits\":[[0,0]],\"labels\":[0],\"return\":[\"per_sample\",\"probabilities\"]}",
     "\"probabilities\":[[0.5,0.5]],\"per_sample\":[0.6931471805599453],\"with_respect_to\""},
    {"null is as absent", "/v1/losses",
     "{\"logits\":[[0,0]],\"labels\":[0],\"probabilities\":null,\"sample_weights\":null,\"loss\":null,"
     "\"reduction\":null}",
     "{\"loss\":0.6931471805599453"},
    {"NaN comes in and goes out as text", "/v1/losses", "{\"logits\":[[\"NaN\",0]],\"labels\":[0]}",
     "{\"loss\":\"NaN\",\"gradient\":[[\"NaN\",\"NaN\"]]"},
    {"or as null on request", "/v1/losses?nonfinite=null", "{\"logits\":[[\"NaN\",0]],\"labels\":[0]}",
     "{\"loss\":null,\"gradient\":[[null,null]]"},
    {"infinite losses are told", "/v1/losses", "{\"logits\":[[\"-Infinity\",0]],\"labels\":[0]}",
     "{\"loss\":\"Infinity\""},
    {"class weights", "/v1/losses",
     "{\"loss\":{\"class_weights\":[1,3]},\"logits\":[[0,0],[0,0]],\"labels\":[0,1]}", "\"denominator\":4,"},
    {"a certificate", "/v1/losses", "{\"logits\":[0,0],\"labels\":0,\"certify\":true}",
     "\"warnings\":[],\"certificate\":{\"largest_deviation_ulp\":0,\"largest_deviation\":0,\"row\":0,"
     "\"column\":0,\"precision_bits\":113}}\n"},
    {"a certificate of a gradient that takes its place", "/v1/losses",
     "{\"probabilities\":[[0.5,0.5],[1,0]],\"labels\":[0,0],\"certify\":true,\"convention\":\"keras\"}",
     "\"certificate\":{\"largest_deviation_ulp\":0,"},
    {"no certificate", "/v1/losses", "{\"logits\":[0,0],\"labels\":0,\"certify\":false}",
     "\"warnings\":[]}\n"},
    {"ignored rows", "/v1/losses",
     "{\"loss\":{\"ignore_index\":-100},\"logits\":[[0,0],[0,0]],\"labels\":[0,-100]}",
     "\"rows\":2,\"classes\":2,\"rows_counted\":1"},
    {"torch ignores -100 by itself", "/v1/losses",
     "{\"convention\":\"torch\",\"logits\":[[0,0],[0,0]],\"labels\":[0,-100]}", "\"rows_counted\":1"},
    {"pos_weight", "/v1/losses",
     "{\"loss\":{\"type\":\"binary_cross_entropy\",\"pos_weight\":[2,2]},\"logits\":[[0,0]],\"labels\":[[1,1]"
     "]}",
     "{\"loss\":1.3862943611198906"},
};

static void test_answers_hold_what_was_asked(void **state)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct api_answer answer;
        print_message("%s\n", parts[i].comment);
        post(*state, parts[i].target, parts[i].body, &answer);
        if (!strstr(answer.body.data, parts[i].part))
            fail_msg("%s lacks %s", answer.body.data, parts[i].part);
        assert_int_equal(answer.status, 200);
        api_answer_free(&answer);
    }
}

static const struct {
    const char *comment, *body;
    int status;
    const char *pointers;
} refused[] = {
    {"nothing", "", 400, ""},
    {"no JSON", "{", 400, ""},
    {"an empty object", "{}", 422, "/logits"},
    {"both inputs", "{\"logits\":[[1]],\"probabilities\":[[1]],\"labels\":[0]}", 422, "/probabilities"},
    {"no labels", "{\"logits\":[[1,2]]}", 422, "/labels"},
    {"unknown fields", "{\"logits\":[[1,2]],\"labels\":[0],\"logit\":1,\"a/b~\":2}", 422, "/logit /a~1b~0"},
    {"an unknown loss", "{\"loss\":\"entropy\",\"logits\":[[1,2]],\"labels\":[0]}", 422, "/loss"},
    {"an unknown type", "{\"loss\":{\"type\":\"x\"},\"logits\":[[1,2]],\"labels\":[0]}", 422, "/loss/type"},
    {"a loss that is a number", "{\"loss\":3,\"logits\":[[1,2]],\"labels\":[0]}", 422, "/loss"},
    {"an option that is none of this loss", "{\"loss\":{\"gamma\":2},\"logits\":[[1,2]],\"labels\":[0]}", 422,
     "/loss/gamma"},
    {"an unknown option", "{\"loss\":{\"gama\":2},\"logits\":[[1,2]],\"labels\":[0]}", 422, "/loss/gama"},
    {"several at once", "{\"logits\":[[1,2]],\"labels\":[0],\"dtype\":\"f8\",\"reduction\":\"max\"}", 422,
     "/reduction /dtype"},
    {"a certificate of nothing", "{\"logits\":[[1,2]],\"labels\":[0],\"return\":[],\"certify\":true}", 422,
     "/certify"},
    {"a certificate that is a text", "{\"logits\":[[1,2]],\"labels\":[0],\"certify\":\"yes\"}", 422,
     "/certify"},
    {"an unknown return", "{\"logits\":[[1,2]],\"labels\":[0],\"return\":[\"hessian\"]}", 422, "/return"},
    {"a return that is no list", "{\"logits\":[[1,2]],\"labels\":[0],\"return\":\"gradient\"}", 422,
     "/return"},
    {"ragged logits", "{\"logits\":[[1,2],[3]],\"labels\":[0,0]}", 422, "/logits/1"},
    {"no rows", "{\"logits\":[],\"labels\":[]}", 422, "/logits"},
    {"no classes", "{\"logits\":[[]],\"labels\":[0]}", 422, "/logits"},
    {"a scalar logit", "{\"logits\":3,\"labels\":0}", 422, "/logits"},
    {"logits as a text", "{\"logits\":\"1\",\"labels\":[0]}", 422, "/logits"},
    {"label C", "{\"logits\":[[1,2],[1,2]],\"labels\":[0,2]}", 422, "/labels/1"},
    {"label -1", "{\"logits\":[[1,2]],\"labels\":[-1]}", 422, "/labels/0"},
    {"a huge label", "{\"logits\":[[1,2]],\"labels\":[1e300]}", 422, "/labels/0"},
    {"a label with a fraction", "{\"logits\":[[1,2]],\"labels\":[0.5]}", 422, "/labels/0"},
    {"a NaN label", "{\"logits\":[[1,2]],\"labels\":[\"NaN\"]}", 422, "/labels/0"},
    {"a flat label out of range", "{\"logits\":[1,2],\"labels\":2}", 422, "/labels"},
    {"a flat label with a fraction", "{\"logits\":[1,2],\"labels\":0.5}", 422, "/labels"},
    {"too few labels", "{\"logits\":[[1,2],[1,2]],\"labels\":[0]}", 422, "/labels"},
    {"targets of another shape", "{\"logits\":[[1,2]],\"labels\":[[1,0,0]]}", 422, "/labels"},
    {"flat targets of another length", "{\"logits\":[1,2,3],\"labels\":[1,0]}", 422, "/labels"},
    {"negative flat targets", "{\"logits\":[1,2],\"labels\":[-1,2]}", 422, "/labels/0"},
    {"ids for rows in one number", "{\"logits\":[[1,2]],\"labels\":0}", 422, "/labels"},
    {"texts for labels", "{\"logits\":[[1,2]],\"labels\":[\"cat\"]}", 422, "/labels"},
    {"weights of another length", "{\"logits\":[[1,2]],\"labels\":[0],\"sample_weights\":[1,2]}", 422,
     "/sample_weights"},
    {"a negative weight", "{\"logits\":[[1,2]],\"labels\":[0],\"sample_weights\":[-1]}", 422,
     "/sample_weights/0"},
    {"class weights of another length",
     "{\"loss\":{\"class_weights\":[1]},\"logits\":[[1,2]],\"labels\":[0]}", 422, "/loss/class_weights"},
    {"balanced is for jobs", "{\"loss\":{\"class_weights\":\"balanced\"},\"logits\":[[1,2]],\"labels\":[0]}",
     422, "/loss/class_weights"},
    {"no such combination", "{\"probabilities\":[[0.5,0.5]],\"labels\":[0],\"convention\":\"optax\"}", 422,
     "/convention"},
    {"no probability", "{\"probabilities\":[[0.5,1.5]],\"labels\":[0]}", 422, "/probabilities/0/1"},
    {"no flat probability", "{\"probabilities\":[0.5,1.5],\"labels\":0}", 422, "/probabilities/1"},
    {"a bare NaN", "{\"logits\":[[NaN,2]],\"labels\":[0]}", 400, ""},
    {"a duplicate", "{\"logits\":[[1,2]],\"labels\":[0],\"dtype\":\"float32\",\"dtype\":\"float64\"}", 400,
     ""},
};

static void test_refusals_name_the_fields(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct api_answer answer;
        char pointers[512];
        print_message("%s\n", refused[i].comment);
        post(*state, "/v1/losses", refused[i].body, &answer);
        answer_pointers(&answer, pointers, sizeof pointers);
        assert_string_equal(pointers, refused[i].pointers);
        assert_int_equal(answer.status, refused[i].status);
        assert_string_equal(answer_value(&answer, "Content-Type"), "application/problem+json");
        api_answer_free(&answer);
    }
}

// A thousand rows of a thousand numbers would be slow to write here; a hundred tell the same.
static void test_bulk_goes_through_whole(void **state)
{
    enum { ROWS = 100, CLASSES = 100 };
    struct buffer body = buffer_new(1 << 20);
    struct api_answer answer;
    buffer_text(&body, "{\"logits\":[");
    for (int i = 0; i < ROWS * CLASSES; i++)
        buffer_format(&body, "%s%d.5%s",
                      i == 0             ? "["
                      : i % CLASSES == 0 ? ",["
                                         : ",",
                      i % 7, i % CLASSES == CLASSES - 1 ? "]" : "");
    buffer_text(&body, "],\"labels\":[");
    for (int i = 0; i < ROWS; i++)
        buffer_format(&body, "%s%d", i ? "," : "", i);
    buffer_text(&body, "]}");
    post(*state, "/v1/losses", body.data, &answer);
    assert_int_equal(answer.status, 200);
    json_t *root = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *rows = json_object_get(root, "gradient");
    assert_int_equal(json_array_size(rows), ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0;
        assert_int_equal(json_array_size(json_array_get(rows, i)), CLASSES);
        for (size_t j = 0; j < CLASSES; j++)
            sum += json_number_value(json_array_get(json_array_get(rows, i), j));
        assert_true(sum > -1e-12 && sum < 1e-12);
    }
    json_decref(root);
    api_answer_free(&answer);
    buffer_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_stay_the_same),
        cmocka_unit_test(test_answers_hold_what_was_asked),
        cmocka_unit_test(test_refusals_name_the_fields),
        cmocka_unit_test(test_bulk_goes_through_whole),
    };
    return cmocka_run_group_tests(tests, make_api, drop_api);
}
