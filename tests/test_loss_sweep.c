// POST /v1/losses/sweep: the curves' values and the probabilities at which gradients die.
#include "tests/exchange.h"

#include <float.h>
#include <math.h>
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

static void post(struct api *api, const char *body, struct api_answer *ret)
{
    struct exchange exchange = {.method = "POST",
                                .target = "/v1/losses/sweep",
                                .headers = {{"Content-Type", "application/json"}},
                                .body = body};
    exchange_run(api, &exchange, ret);
}

// The answer as a document, which must be a 200.
static json_t *answered(struct api *api, const char *body)
{
    struct api_answer answer;
    post(api, body, &answer);
    if (answer.status != 200)
        fail_msg("%s: %s", body, answer.body.data);
    json_t *root = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    api_answer_free(&answer);
    return root;
}

static json_t *curve_of(const json_t *root, const char *path, const char *dtype)
{
    size_t index;
    json_t *curve;
    json_array_foreach(json_object_get(root, "paths"), index, curve)
    {
        if (strcmp(json_string_value(json_object_get(curve, "path")), path) == 0 &&
            strcmp(json_string_value(json_object_get(curve, "dtype")), dtype) == 0)
            return curve;
    }
    fail_msg("no curve %s in %s", path, dtype);
    return NULL;
}

static double number_at(const json_t *curve, const char *column, size_t index)
{
    json_t *value = json_array_get(json_object_get(curve, column), index);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void test_nothing_is_needed(void **state)
{
    json_t *root = answered(*state, "{}");
    json_t *grid = json_object_get(root, "probability");
    assert_string_equal(json_string_value(json_object_get(root, "loss_type")), "cross_entropy");
    assert_int_equal(json_integer_value(json_object_get(root, "classes")), 3);
    assert_int_equal(json_array_size(json_object_get(root, "paths")), 18);
    assert_int_equal(json_array_size(json_object_get(root, "unavailable")), 1);
    assert_int_equal(json_array_size(grid), 46);
    for (size_t i = 0; i < 46; i++) {
        char text[16];
        snprintf(text, sizeof text, "1e-%zu", i);
        assert_true(json_number_value(json_array_get(grid, i)) == strtod(text, NULL));
    }
    json_decref(root);
}

enum below { NEVER, ONE_BELOW_DOUBLE, ONE_BELOW_FLOAT, ELSEWHERE };

// Where gradients die. Keras' clip lets 1e-7 itself through: the number below it is the first that is dead.
static const struct {
    const char *comment, *body, *path, *dtype;
    enum below zero, tiny;
} thresholds[] = {
    {"logits never die", "{}", "exact/logits", "float64", NEVER, NEVER},
    {"nor Keras'", "{}", "keras/logits", "float64", NEVER, NEVER},
    {"nor in float32", "{}", "keras/logits", "float32", NEVER, NEVER},
    {"optax", "{}", "optax/logits", "float32", NEVER, NEVER},
    {"probabilities as they are", "{}", "exact/probabilities", "float64", NEVER, NEVER},
    {"and as floats", "{}", "torch/probabilities", "float32", NEVER, NEVER},
    {"Keras' clip", "{}", "keras/probabilities", "float64", ONE_BELOW_DOUBLE, ONE_BELOW_DOUBLE},
    {"as floats", "{}", "keras/probabilities", "float32", ONE_BELOW_FLOAT, ONE_BELOW_FLOAT},
    {"the sparse one leaves p of it", "{}", "keras_tf_sparse/probabilities", "float64", NEVER,
     ONE_BELOW_DOUBLE},
    {"as floats", "{}", "keras_tf_sparse/probabilities", "float32", NEVER, ONE_BELOW_FLOAT},
    {"two classes", "{\"classes\":2}", "keras/probabilities", "float64", ONE_BELOW_DOUBLE, ONE_BELOW_DOUBLE},
    {"few points move no threshold", "{\"points\":2}", "keras/probabilities", "float32", ONE_BELOW_FLOAT,
     ONE_BELOW_FLOAT},
    {"Keras' focal clips logits too", "{\"loss\":\"focal\"}", "keras/logits", "float64", ELSEWHERE,
     ELSEWHERE},
    {"focal in log space does not", "{\"loss\":\"focal\"}", "exact/logits", "float64", NEVER, NEVER},
    {"smoothing lives on in other classes that differ",
     "{\"loss\":{\"type\":\"cross_entropy\",\"label_smoothing\":0.1},\"others\":[0.25,0.75]}",
     "keras/probabilities", "float64", NEVER, NEVER},
    {"p^q fades by itself", "{\"loss\":{\"type\":\"generalized_cross_entropy\",\"q\":1}}", "exact/logits",
     "float64", NEVER, ELSEWHERE},
};

static void check_threshold(const json_t *curve, const char *name, enum below below)
{
    json_t *value = json_object_get(json_object_get(curve, "thresholds"), name);
    assert_non_null(value);
    if (below == NEVER)
        assert_true(json_is_null(value));
    else if (below == ONE_BELOW_DOUBLE)
        assert_true(json_number_value(value) == nextafter(1e-7, 0));
    else if (below == ONE_BELOW_FLOAT)
        assert_true((float)json_number_value(value) == nextafterf(1e-7f, 0));
    else
        assert_true(json_number_value(value) > 0.9e-7 && json_number_value(value) < 1.1e-7);
}

static void test_gradients_die_where_they_die(void **state)
{
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        print_message("%s\n", thresholds[i].comment);
        json_t *root = answered(*state, thresholds[i].body);
        json_t *curve = curve_of(root, thresholds[i].path, thresholds[i].dtype);
        check_threshold(curve, "zero", thresholds[i].zero);
        check_threshold(curve, "tiny", thresholds[i].tiny);
        json_decref(root);
    }
}

// Values by formula. From probabilities Keras gives ln 1e7 and nothing below its clip.
static const struct {
    const char *comment, *path, *dtype;
    size_t index; // p = 10^-index
    double loss, correct, largest;
} values[] = {
    {"p = 0.1", "exact/logits", "float64", 1, 2.302585092994046, -0.9, 0.9},
    {"p = 0.1 through the clip", "keras/probabilities", "float64", 1, 2.302585092994046, -0.9, 0.9},
    {"p = 1e-6 is still seen", "keras/probabilities", "float64", 6, 13.815510557964274, -0.999999, 0.999999},
    {"p = 1e-8 is not", "keras/probabilities", "float64", 8, 16.11809565095832, 0, 0},
    {"p = 1e-8 from logits", "keras/logits", "float64", 8, 18.420680743952367, -0.99999999, 0.99999999},
    {"a hundredth of a millionth of it", "keras_tf_sparse/probabilities", "float64", 8, 16.118095740958316,
     -9.99999900000009e-9, 9.99999900000009e-9},
    {"p = 1e-45 from logits", "torch/logits", "float64", 45, 103.61632918473205, -1, 1},
    {"p = 1e-45 from probabilities", "torch/probabilities", "float64", 45, 103.61632918473205, -1, 1},
    {"the smallest float is 1.4e-45", "torch/probabilities", "float32", 45, 103.27893, -1, 1},
    {"p = 1", "exact/logits", "float64", 0, 0, 0, 0},
};

static void test_curves_have_their_values(void **state)
{
    json_t *root = answered(*state, "{}");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double slack = strcmp(values[i].dtype, "float32") == 0 ? 1e-6 : 1e-13;
        json_t *curve = curve_of(root, values[i].path, values[i].dtype);
        print_message("%s\n", values[i].comment);
        assert_true(fabs(number_at(curve, "loss", values[i].index) - values[i].loss) <=
                    slack * values[i].loss);
        assert_true(fabs(number_at(curve, "gradient_correct", values[i].index) - values[i].correct) <=
                    slack * -values[i].correct);
        assert_true(fabs(number_at(curve, "gradient_largest", values[i].index) - values[i].largest) <=
                    slack * values[i].largest);
    }
    json_decref(root);
}

static void test_others_share_as_given(void **state)
{
    json_t *root = answered(*state, "{\"others\":[0.25,0.75,0],\"points\":3}");
    json_t *others = json_object_get(root, "others");
    assert_int_equal(json_integer_value(json_object_get(root, "classes")), 4);
    assert_true(json_number_value(json_array_get(others, 1)) == 0.75);
    assert_int_equal(json_array_size(json_object_get(root, "probability")), 3);
    assert_true(number_at(curve_of(root, "exact/logits", "float64"), "gradient_largest", 2) == 1);
    json_decref(root);
}

static const struct {
    const char *comment, *body;
    int status;
    const char *pointers;
} refused[] = {
    {"no JSON", "{", 400, ""},
    {"unknown fields", "{\"point\":3,\"labels\":[0]}", 422, "/point /labels"},
    {"one point", "{\"points\":1}", 422, "/points"},
    {"too many points", "{\"points\":1002}", 422, "/points"},
    {"one class", "{\"classes\":1}", 422, "/classes"},
    {"too many of both", "{\"points\":1000,\"classes\":1000}", 422, "/points"},
    {"shares that are none", "{\"others\":3}", 422, "/others"},
    {"no shares", "{\"others\":[]}", 422, "/others"},
    {"texts for shares", "{\"others\":[\"a\"]}", 422, "/others"},
    {"shares beyond 1", "{\"others\":[0.5,0.6]}", 422, "/others"},
    {"a negative share", "{\"others\":[-0.5,1]}", 422, "/others"},
    {"shares of other classes", "{\"others\":[0.5,0.5],\"classes\":4}", 422, "/classes"},
    {"a loss without such a probability", "{\"loss\":\"hinge\"}", 422, "/loss"},
    {"an option that the loss has not", "{\"loss\":{\"gamma\":2}}", 422, "/loss/gamma"},
    {"a temperature", "{\"loss\":{\"temperature\":2}}", 422, "/loss/temperature"},
    {"class weights", "{\"loss\":{\"class_weights\":[1,2,3]}}", 422, "/loss/class_weights"},
    {"rows to ignore", "{\"loss\":{\"ignore_index\":0}}", 422, "/loss/ignore_index"},
};

static void test_refusals_name_the_fields(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct api_answer answer;
        char pointers[512];
        print_message("%s\n", refused[i].comment);
        post(*state, refused[i].body, &answer);
        answer_pointers(&answer, pointers, sizeof pointers);
        assert_string_equal(pointers, refused[i].pointers);
        assert_int_equal(answer.status, refused[i].status);
        api_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_needed),        cmocka_unit_test(test_gradients_die_where_they_die),
        cmocka_unit_test(test_curves_have_their_values), cmocka_unit_test(test_others_share_as_given),
        cmocka_unit_test(test_refusals_name_the_fields),
    };
    return cmocka_run_group_tests(tests, make_api, drop_api);
}
