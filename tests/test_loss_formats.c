// POST /v1/losses in its binary forms: every way in gives the same numbers on every way out, and what is
// wrong in a file is named by its tensor.
#include "data/npy.h"
#include "data/tensor_dtype.h"
#include "tests/exchange.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TENSORS_MAX = 4, ELEMENTS_MAX = 8 };

static int make_api(void **state)
{
    struct nabla_error err;
    struct api_options options = {.limits = api_limits_defaults()};
    struct api *api;
    options.limits.body_bytes = 32 << 20;
    options.limits.document_bytes = 4096;
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

// ---- bodies ----

// A small tensor as a table writes it; a list of them ends at one without a name.
struct given {
    const char *name;
    enum tensor_dtype dtype;
    size_t rank, shape[3];
    double values[ELEMENTS_MAX];
};

static void put_value(enum tensor_dtype dtype, double value, char *place)
{
    const float narrow = (float)value;
    const int64_t whole = (int64_t)value;
    const int32_t half = (int32_t)value;
    const uint8_t byte = (uint8_t)whole;
    const void *const from[TENSOR_DTYPE_COUNT] = {[TENSOR_F64] = &value,
                                                  [TENSOR_F32] = &narrow,
                                                  [TENSOR_I64] = &whole,
                                                  [TENSOR_I32] = &half,
                                                  [TENSOR_U8] = &byte};
    memcpy(place, from[dtype], tensor_dtypes[dtype].size);
}

static struct tensor tensor_of(const struct given *given, char storage[ELEMENTS_MAX * 8])
{
    struct tensor tensor = {
        .name = (char *)given->name, .dtype = given->dtype, .rank = given->rank, .elements = 1};
    size_t width = tensor_dtypes[given->dtype].size;
    for (size_t i = 0; i < given->rank; i++) {
        tensor.shape[i] = given->shape[i];
        tensor.elements *= given->shape[i];
    }
    for (size_t i = 0; i < tensor.elements; i++)
        put_value(given->dtype, given->values[i], storage + i * width);
    tensor.bytes = tensor.elements * width;
    tensor.data = storage;
    return tensor;
}

// `request` NULL: no metadata.
static struct buffer safetensors_of(const struct given *given, const char *request)
{
    struct tensor tensors[TENSORS_MAX];
    char storage[TENSORS_MAX][ELEMENTS_MAX * 8];
    const struct tensor_metadata metadata = {(char *)"request", (char *)request};
    struct buffer body = buffer_new(65536);
    size_t count = 0;
    for (; count < TENSORS_MAX && given[count].name; count++)
        tensors[count] = tensor_of(&given[count], storage[count]);
    assert_int_equal(safetensors_write(tensors, count, &metadata, request != NULL, &body, NULL), NABLA_OK);
    return body;
}

static struct buffer npy_of(const struct given *given)
{
    char storage[ELEMENTS_MAX * 8];
    struct tensor tensor = tensor_of(given, storage);
    struct buffer body = buffer_new(65536);
    assert_int_equal(npy_write_header(tensor.dtype, tensor.rank, tensor.shape, &body, NULL), NABLA_OK);
    buffer_append(&body, storage, tensor.bytes);
    return body;
}

#define JSON_TYPE        "application/json"
#define SAFETENSORS_TYPE "application/safetensors"
#define NPY_TYPE         "application/x-npy"

static void send(struct api *api, const char *target, const char *type, const char *accept,
                 const struct buffer *body, struct api_answer *ret)
{
    struct exchange exchange = {.method = "POST",
                                .target = target,
                                .headers = {{"Content-Type", type}, {"Accept", accept}},
                                .body = body->data,
                                .size = body->size};
    exchange_run(api, &exchange, ret);
}

// ---- answers ----

// The gradient's numbers, whatever form the answer has.
static void json_gradient(const struct api_answer *answer, double *ret)
{
    json_t *root = json_loadb(answer->body.data, answer->body.size, 0, NULL), *row, *value;
    size_t i, k, count = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "gradient"), i, row)
    {
        json_array_foreach(row, k, value)
        {
            ret[count++] = json_number_value(value);
        }
    }
    json_decref(root);
}

static void read_values(enum tensor_dtype dtype, const void *data, size_t count, double *ret)
{
    for (size_t i = 0; i < count; i++) {
        float narrow;
        if (dtype == TENSOR_F64) {
            memcpy(&ret[i], (const char *)data + i * sizeof *ret, sizeof *ret);
            continue;
        }
        memcpy(&narrow, (const char *)data + i * sizeof narrow, sizeof narrow);
        ret[i] = (double)narrow;
    }
}

static struct safetensors *answer_file(const struct api_answer *answer)
{
    struct safetensors *file;
    struct nabla_error err;
    if (safetensors_read(answer->body.data, answer->body.size, &file, &err))
        fail_msg("%s", err.text);
    return file;
}

static void safetensors_gradient(const struct api_answer *answer, double *ret)
{
    struct safetensors *file = answer_file(answer);
    const struct tensor *gradient = safetensors_find(file, "gradient");
    assert_non_null(gradient);
    assert_int_equal(gradient->rank, 2);
    read_values(gradient->dtype, gradient->data, gradient->elements, ret);
    safetensors_free(file);
}

static void npy_gradient(const struct api_answer *answer, double *ret)
{
    struct npy npy;
    assert_int_equal(npy_read(answer->body.data, answer->body.size, &npy, NULL), NABLA_OK);
    assert_int_equal(npy.rank, 2);
    read_values(npy.dtype, npy.data, npy.elements, ret);
}

static const struct {
    const char *type;
    void (*gradient)(const struct api_answer *answer, double *ret);
} outs[] = {{JSON_TYPE, json_gradient}, {SAFETENSORS_TYPE, safetensors_gradient}, {NPY_TYPE, npy_gradient}};

// Exact in both widths, so that every way in carries the same numbers.
static const char json_body[] =
    "{\"logits\":[[1.5,-2.25,0.125],[0,40,-3]],\"labels\":[2,0],\"dtype\":\"%s\",\"reduction\":\"sum\"}";
static const char small_document[] = "{\"labels\":[2,0],\"reduction\":\"sum\"}";
static const char npy_target[] =
    "/v1/losses?request=%7B%22labels%22%3A%5B2%2C0%5D%2C%22reduction%22%3A%22sum%22%7D";

static void assert_same(struct api *api, const char *target, const char *type, const struct buffer *body,
                        bool is_narrow, const double *wanted)
{
    for (size_t out = 0; out < sizeof outs / sizeof *outs; out++) {
        struct api_answer answer;
        double values[6] = {0};
        print_message("%s to %s\n", type, outs[out].type);
        send(api, target, type, outs[out].type, body, &answer);
        if (answer.status != 200)
            fail_msg("%s", answer.body.data);
        assert_string_equal(answer_value(&answer, "Content-Type"), outs[out].type);
        outs[out].gradient(&answer, values);
        for (size_t i = 0; i < 6 && is_narrow; i++) // a float's shortest text is no double's
            values[i] = (double)(float)values[i];
        assert_memory_equal(values, wanted, sizeof values);
        api_answer_free(&answer);
    }
}

static void compare_forms(struct api *api, enum tensor_dtype dtype, const char *dtype_name)
{
    const struct given logits = {"logits", dtype, 2, {2, 3}, {1.5, -2.25, 0.125, 0, 40, -3}};
    const struct given tensors[TENSORS_MAX + 1] = {logits, {"labels", TENSOR_I64, 1, {2}, {2, 0}}};
    const struct given alone[TENSORS_MAX + 1] = {logits};
    struct buffer json = buffer_new(1000), file = safetensors_of(tensors, "{\"reduction\":\"sum\"}"),
                  mixed = safetensors_of(alone, small_document), npy = npy_of(&logits);
    struct api_answer answer;
    double wanted[6];
    buffer_format(&json, json_body, dtype_name);
    send(api, "/v1/losses", JSON_TYPE, JSON_TYPE, &json, &answer);
    json_gradient(&answer, wanted);
    for (size_t i = 0; i < 6 && dtype == TENSOR_F32; i++)
        wanted[i] = (double)(float)wanted[i];
    api_answer_free(&answer);
    assert_true(wanted[0] > 0 && wanted[3] == -1);
    assert_same(api, "/v1/losses", JSON_TYPE, &json, dtype == TENSOR_F32, wanted);
    assert_same(api, "/v1/losses", SAFETENSORS_TYPE, &file, dtype == TENSOR_F32, wanted);
    assert_same(api, "/v1/losses", SAFETENSORS_TYPE, &mixed, dtype == TENSOR_F32, wanted);
    assert_same(api, npy_target, NPY_TYPE, &npy, dtype == TENSOR_F32, wanted);
    buffer_free(&json);
    buffer_free(&file);
    buffer_free(&mixed);
    buffer_free(&npy);
}

static void test_every_form_carries_the_same_numbers(void **state)
{
    compare_forms(*state, TENSOR_F64, "float64");
    compare_forms(*state, TENSOR_F32, "float32");
}

// ---- single answers ----

static const struct {
    const char *comment;
    struct given tensors[TENSORS_MAX + 1];
    const char *request, *part; // what the answer as JSON holds
} taken[] = {
    {"no document: the defaults",
     {{"logits", TENSOR_F64, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_I64, 1, {1}, {0}}},
     NULL,
     "\"gradient\":[[-0.5,0.5]]"},
    {"ids of 32 bits",
     {{"logits", TENSOR_F64, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_I32, 1, {1}, {1}}},
     "{}",
     "[[0.5,-0.5]]"},
    {"ids of 8 bits",
     {{"logits", TENSOR_F64, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_U8, 1, {1}, {1}}},
     "{}",
     "[[0.5,-0.5]]"},
    {"a negative id of 32 bits is ignored where that is asked",
     {{"logits", TENSOR_F64, 2, {2, 2}, {0, 0, 0, 0}}, {"labels", TENSOR_I32, 1, {2}, {1, -7}}},
     "{\"loss\":{\"ignore_index\":-7}}",
     "\"rows_counted\":1"},
    {"targets",
     {{"logits", TENSOR_F64, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_F64, 2, {1, 2}, {0, 1}}},
     "{}",
     "[[0.5,-0.5]]"},
    {"targets are narrowed",
     {{"logits", TENSOR_F32, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_F64, 2, {1, 2}, {0, 1}}},
     "{}",
     "\"loss\":0.6931472,"},
    {"targets are widened",
     {{"logits", TENSOR_F64, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_F32, 2, {1, 2}, {0, 1}}},
     "{}",
     "\"loss\":0.6931471805599453,"},
    {"one flat row",
     {{"logits", TENSOR_F64, 1, {2}, {0, 0}}, {"labels", TENSOR_I64, 0, {0}, {1}}},
     "{}",
     "\"gradient\":[0.5,-0.5]"},
    {"probabilities",
     {{"probabilities", TENSOR_F64, 2, {1, 2}, {0.5, 0.5}}, {"labels", TENSOR_I64, 1, {1}, {0}}},
     "{}",
     "\"gradient\":[[-2,0]],\"gradient_logits\":[[-0.5,0.5]]"},
    {"weights of either width",
     {{"logits", TENSOR_F64, 2, {2, 2}, {0, 0, 0, 0}},
      {"labels", TENSOR_I64, 1, {2}, {0, 1}},
      {"sample_weights", TENSOR_F32, 1, {2}, {1, 2}},
      {"class_weights", TENSOR_F64, 1, {2}, {1, 3}}},
     "{}",
     "\"denominator\":7,"},
    {"class weights in the document",
     {{"logits", TENSOR_F64, 2, {2, 2}, {0, 0, 0, 0}}, {"labels", TENSOR_I64, 1, {2}, {0, 1}}},
     "{\"loss\":{\"class_weights\":[1,3]}}",
     "\"denominator\":4,"},
    {"the dtype may be named where it is the tensor's",
     {{"logits", TENSOR_F32, 2, {1, 2}, {0, 0}}, {"labels", TENSOR_I64, 1, {1}, {0}}},
     "{\"dtype\":\"float32\"}",
     "\"loss\":0.6931472,"},
};

static void test_tensors_are_taken(void **state)
{
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        struct buffer body = safetensors_of(taken[i].tensors, taken[i].request);
        struct api_answer answer;
        print_message("%s\n", taken[i].comment);
        send(*state, "/v1/losses", SAFETENSORS_TYPE, JSON_TYPE, &body, &answer);
        assert_int_equal(answer.status, 200);
        if (!strstr(answer.body.data, taken[i].part))
            fail_msg("%s lacks %s", answer.body.data, taken[i].part);
        api_answer_free(&answer);
        buffer_free(&body);
    }
}

#define ROW                                                                                                  \
    {                                                                                                        \
        "logits", TENSOR_F64, 2, {2, 2},                                                                     \
        {                                                                                                    \
            0, 0, 0, 0                                                                                       \
        }                                                                                                    \
    }
#define IDS                                                                                                  \
    {                                                                                                        \
        "labels", TENSOR_I64, 1, {2},                                                                        \
        {                                                                                                    \
            0, 1                                                                                             \
        }                                                                                                    \
    }

static const struct {
    const char *comment;
    struct given tensors[TENSORS_MAX + 1];
    const char *request;
    int status;
    const char *pointers, *says;
} refused[] = {
    {"no tensors", {{0}}, "{}", 422, "/logits", "exactly one"},
    {"two kinds of scores",
     {ROW, {"probabilities", TENSOR_F64, 2, {1, 1}, {1}}, IDS},
     "{}",
     422,
     "/probabilities",
     "exactly one"},
    {"no labels", {ROW}, "{}", 422, "/labels", "is needed"},
    {"scores of whole numbers",
     {{"logits", TENSOR_I64, 2, {1, 2}, {0}}},
     "{}",
     422,
     "/logits",
     "has the dtype I64"},
    {"scores without dimensions", {{"logits", TENSOR_F64, 0, {0}, {1}}, IDS}, "{}", 422, "/logits", "rows"},
    {"scores of three dimensions",
     {{"logits", TENSOR_F64, 3, {1, 2, 2}, {0}}, IDS},
     "{}",
     422,
     "/logits",
     "[1, 2, 2]"},
    {"no rows",
     {{"logits", TENSOR_F64, 2, {0, 2}, {0}}, {"labels", TENSOR_I64, 1, {0}, {0}}},
     "{}",
     422,
     "/logits",
     "at least one"},
    {"no classes", {{"logits", TENSOR_F64, 2, {2, 0}, {0}}, IDS}, "{}", 422, "/logits", "at least one"},
    {"too few ids",
     {ROW, {"labels", TENSOR_I64, 1, {1}, {0}}},
     "{}",
     422,
     "/labels",
     "has 1 class ids where the scores have 2 rows"},
    {"targets of another shape",
     {ROW, {"labels", TENSOR_F64, 2, {2, 3}, {0}}},
     "{}",
     422,
     "/labels",
     "2 rows of 3 targets"},
    {"ids that are floats",
     {ROW, {"labels", TENSOR_F32, 1, {2}, {0, 1}}},
     "{}",
     422,
     "/labels",
     "its dtype is F32; ids are"},
    {"targets that are whole",
     {ROW, {"labels", TENSOR_I32, 2, {2, 2}, {0}}},
     "{}",
     422,
     "/labels",
     "its dtype is I32; targets are"},
    {"an id out of range", {ROW, {"labels", TENSOR_I64, 1, {2}, {0, 2}}}, "{}", 422, "/labels/1", "2"},
    {"weights of whole numbers",
     {ROW, IDS, {"sample_weights", TENSOR_I64, 1, {2}, {1, 1}}},
     "{}",
     422,
     "/sample_weights",
     "has the dtype I64"},
    {"too many weights",
     {ROW, IDS, {"class_weights", TENSOR_F64, 1, {3}, {1, 1, 1}}},
     "{}",
     422,
     "/loss/class_weights",
     "has 3 numbers; it needs 2"},
    {"an unknown tensor",
     {ROW, IDS, {"weights", TENSOR_F64, 1, {2}, {1, 1}}},
     "{}",
     422,
     "/weights",
     "no such tensor"},
    {"labels twice", {ROW, IDS}, "{\"labels\":[0,1]}", 422, "/labels", "is given twice"},
    {"another dtype", {ROW, IDS}, "{\"dtype\":\"float32\"}", 422, "/dtype", "tensor of F64"},
    {"an unknown option", {ROW, IDS}, "{\"reductions\":\"sum\"}", 422, "/reductions", "no such field"},
    {"a document that is no JSON",
     {ROW, IDS},
     "{'a':1}",
     400,
     "",
     "\\\"request\\\" of __metadata__: line 1, column 2"},
    {"a document that is no object", {ROW, IDS}, "[1]", 422, "", "must be a JSON object"},
};

static void expect_refusal(struct api_answer *answer, int status, const char *pointers, const char *says)
{
    char found[256];
    if (answer->status != status || !strstr(answer->body.data, says))
        fail_msg("not %d and \"%s\": %s", status, says, answer->body.data);
    answer_pointers(answer, found, sizeof found);
    assert_string_equal(found, pointers);
    assert_string_equal(answer_value(answer, "Content-Type"), "application/problem+json");
    api_answer_free(answer);
}

static void test_tensors_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct buffer body = safetensors_of(refused[i].tensors, refused[i].request);
        struct api_answer answer;
        print_message("%s\n", refused[i].comment);
        send(*state, "/v1/losses", SAFETENSORS_TYPE, SAFETENSORS_TYPE, &body, &answer);
        expect_refusal(&answer, refused[i].status, refused[i].pointers, refused[i].says);
        buffer_free(&body);
    }
}

static void test_every_truncated_file_is_refused(void **state)
{
    const struct given tensors[TENSORS_MAX + 1] = {ROW, IDS};
    struct buffer body = safetensors_of(tensors, "{}");
    for (size_t size = 0; size < body.size; size++) {
        struct buffer part = {.data = body.data, .size = size};
        struct api_answer answer;
        send(*state, "/v1/losses", SAFETENSORS_TYPE, SAFETENSORS_TYPE, size ? &part : &(struct buffer){0},
             &answer);
        assert_int_equal(answer.status, 400);
        api_answer_free(&answer);
    }
    buffer_free(&body);
}

static struct buffer file_of_header(const char *header, size_t data_size)
{
    struct buffer body = buffer_new(4096);
    for (int i = 0; i < 8; i++)
        buffer_char(&body, (char)(strlen(header) >> (8 * i) & 0xFF));
    buffer_text(&body, header);
    for (size_t i = 0; i < data_size; i++)
        buffer_char(&body, 0);
    return body;
}

static const struct {
    const char *comment, *header, *says;
} broken[] = {
    {"overlapping",
     "{\"logits\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]},"
     "\"labels\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[8,16]}}",
     "\\\"labels\\\" overlaps"},
    {"behind the end", "{\"logits\":{\"dtype\":\"F64\",\"shape\":[1,3],\"data_offsets\":[0,24]}}",
     "\\\"logits\\\" ends behind"},
    {"offsets that are no shape", "{\"logits\":{\"dtype\":\"F64\",\"shape\":[1,3],\"data_offsets\":[0,16]}}",
     "do not span"},
    {"half precision", "{\"logits\":{\"dtype\":\"F16\",\"shape\":[1,8],\"data_offsets\":[0,16]}}",
     "a dtype besides F64, F32, I64, I32 and U8"},
    {"a shape that overflows",
     "{\"logits\":{\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}",
     "overflows"},
};

static void test_broken_files_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct buffer body = file_of_header(broken[i].header, 16);
        struct api_answer answer;
        print_message("%s\n", broken[i].comment);
        send(*state, "/v1/losses", SAFETENSORS_TYPE, JSON_TYPE, &body, &answer);
        expect_refusal(&answer, 400, "", broken[i].says);
        buffer_free(&body);
    }
}

static void test_tensors_may_lie_unaligned(void **state)
{
    for (size_t spaces = 0; spaces < 8; spaces++) {
        char header[300];
        struct api_answer answer;
        snprintf(header, sizeof header,
                 "{\"logits\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]},"
                 "\"labels\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]}}%.*s",
                 (int)spaces, "        ");
        struct buffer body = file_of_header(header, 24);
        send(*state, "/v1/losses", SAFETENSORS_TYPE, JSON_TYPE, &body, &answer);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.body.data, "\"gradient\":[[-0.5,0.5]]"));
        api_answer_free(&answer);
        buffer_free(&body);
    }
}

// ---- safetensors out ----

static void test_a_file_tells_what_json_tells(void **state)
{
    struct buffer body = buffer_new(1000);
    struct api_answer answer;
    buffer_text(&body, "{\"logits\":[[0,0],[1,1]],\"labels\":[0,1],"
                       "\"return\":[\"gradient\",\"probabilities\",\"per_sample\"]}");
    send(*state, "/v1/losses", JSON_TYPE, SAFETENSORS_TYPE, &body, &answer);
    struct safetensors *file = answer_file(&answer);
    static const struct {
        const char *name;
        size_t rank, elements;
        double last;
    } wanted[] = {{"loss", 0, 1, 0.6931471805599453},
                  {"gradient", 2, 4, -0.25},
                  {"probabilities", 2, 4, 0.5},
                  {"per_sample", 1, 2, 0.6931471805599453}};
    assert_int_equal(file->tensor_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct tensor *tensor = safetensors_find(file, wanted[i].name);
        double values[4];
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, TENSOR_F64);
        assert_int_equal(tensor->rank, wanted[i].rank);
        assert_int_equal(tensor->elements, wanted[i].elements);
        read_values(TENSOR_F64, tensor->data, tensor->elements, values);
        assert_true(values[tensor->elements - 1] == wanted[i].last);
    }
    assert_string_equal(
        safetensors_metadata(file, "response"),
        "{\"loss\":0.6931471805599453,\"with_respect_to\":\"logits\",\"rows\":2,\"classes\":2,"
        "\"rows_counted\":2,\"denominator\":2,\"gradient_norm\":0.5,\"accuracy\":0,"
        "\"warnings\":[]}");
    safetensors_free(file);
    api_answer_free(&answer);
    buffer_free(&body);
}

static void test_no_reduction_has_no_loss(void **state)
{
    const struct given tensors[TENSORS_MAX + 1] = {ROW, IDS};
    struct buffer body = safetensors_of(tensors, "{\"reduction\":\"none\"}");
    struct api_answer answer;
    send(*state, "/v1/losses", SAFETENSORS_TYPE, SAFETENSORS_TYPE, &body, &answer);
    struct safetensors *file = answer_file(&answer);
    assert_null(safetensors_find(file, "loss"));
    assert_non_null(safetensors_find(file, "per_sample"));
    assert_non_null(strstr(safetensors_metadata(file, "response"), "{\"loss\":null,"));
    safetensors_free(file);
    api_answer_free(&answer);
    buffer_free(&body);
}

// Beyond the size at which the header's room is kept rather than closed.
static void test_a_large_file_is_the_same(void **state)
{
    enum { ROWS = 700, CLASSES = 500 };
    struct tensor tensors[2] = {
        {.name = (char *)"logits", .dtype = TENSOR_F32, .rank = 2, .shape = {ROWS, CLASSES}},
        {.name = (char *)"labels", .dtype = TENSOR_I64, .rank = 1, .shape = {ROWS}}};
    struct buffer body = buffer_new(8 << 20);
    struct api_answer answer;
    float *logits = calloc(ROWS * CLASSES, sizeof *logits);
    int64_t *labels = calloc(ROWS, sizeof *labels);
    assert_true(logits && labels);
    for (size_t i = 0; i < ROWS; i++) // half of the rows vanish: the warnings are long
        logits[i * CLASSES] = i % 2 ? 200 : 0;
    tensors[0].data = logits;
    tensors[0].bytes = ROWS * CLASSES * sizeof *logits;
    tensors[1].data = labels;
    tensors[1].bytes = ROWS * sizeof *labels;
    assert_int_equal(safetensors_write(tensors, 2, NULL, 0, &body, NULL), NABLA_OK);
    send(*state, "/v1/losses", SAFETENSORS_TYPE, SAFETENSORS_TYPE, &body, &answer);
    assert_int_equal(answer.status, 200);
    struct safetensors *file = answer_file(&answer);
    const struct tensor *gradient = safetensors_find(file, "gradient");
    assert_int_equal(gradient->elements, ROWS * CLASSES);
    assert_int_equal((uintptr_t)gradient->data % 8, 0);
    for (size_t i = 0; i < ROWS; i++) {
        float first, last;
        memcpy(&first, (const char *)gradient->data + i * CLASSES * sizeof first, sizeof first);
        memcpy(&last, (const char *)gradient->data + ((i + 1) * CLASSES - 1) * sizeof last, sizeof last);
        assert_true(i % 2 ? fabsf(first) < 1e-30F : fabsf(first - (1.0F / CLASSES - 1) / ROWS) < 1e-9F);
        assert_true(i % 2 ? last < 1e-30F : fabsf(last - 1.0F / CLASSES / ROWS) < 1e-12F);
    }
    assert_non_null(
        strstr(safetensors_metadata(file, "response"), "\"code\":\"saturated_correct\",\"count\":350"));
    safetensors_free(file);
    api_answer_free(&answer);
    buffer_free(&body);
    free(logits);
    free(labels);
}

// ---- NPY ----

#define QUERY(json) "/v1/losses?request=" json
#define LABELS      "%7B%22labels%22%3A%5B0%2C1%5D"

static const struct {
    const char *comment, *target;
    struct given array;
    int status;
    const char *pointers, *says;
} npy_refused[] = {
    {"no document", "/v1/losses", ROW, 400, "", "?request="},
    {"a document that is no JSON", QUERY("labels"), ROW, 400, "",
     "query parameter request: line 1, column 1"},
    {"no labels", QUERY("%7B%7D"), ROW, 422, "/labels", "is needed"},
    {"scores twice", QUERY(LABELS "%2C%22logits%22%3A%5B1%5D%7D"), ROW, 422, "/logits", "is given twice"},
    {"an unknown input", QUERY(LABELS "%7D&input=scores"), ROW, 400, "", "logits or probabilities"},
    {"whole numbers",
     QUERY(LABELS "%7D"),
     {"", TENSOR_I64, 2, {2, 2}, {0}},
     422,
     "/logits",
     "has the dtype I64"},
    {"three dimensions",
     QUERY(LABELS "%7D"),
     {"", TENSOR_F64, 3, {2, 1, 2}, {0}},
     422,
     "/logits",
     "[2, 1, 2]"},
    {"two arrays", QUERY(LABELS "%2C%22return%22%3A%5B%22gradient%22%2C%22per_sample%22%5D%7D"), ROW, 422,
     "/return", "holds one array"},
    {"no array", QUERY(LABELS "%2C%22return%22%3A%5B%5D%7D"), ROW, 422, "/return", "holds one array"},
};

static void test_npy_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof npy_refused / sizeof *npy_refused; i++) {
        struct buffer body = npy_of(&npy_refused[i].array);
        struct api_answer answer;
        print_message("%s\n", npy_refused[i].comment);
        send(*state, npy_refused[i].target, NPY_TYPE, NPY_TYPE, &body, &answer);
        expect_refusal(&answer, npy_refused[i].status, npy_refused[i].pointers, npy_refused[i].says);
        buffer_free(&body);
    }
}

static void test_npy_names_the_byte_that_is_wrong(void **state)
{
    struct buffer body = buffer_new(1000);
    struct api_answer answer;
    buffer_append(&body, "\x93NUMPY\1\0\x40\0", 10);
    buffer_text(&body, "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }       \n\x80\4");
    send(*state, npy_target, NPY_TYPE, NPY_TYPE, &body, &answer);
    expect_refusal(&answer, 400, "", "byte 20, in the header: the array holds Python objects");
    buffer_free(&body);
}

static void test_the_query_document_is_for_npy_only(void **state)
{
    struct buffer body = buffer_new(100);
    struct api_answer answer;
    buffer_text(&body, "{\"logits\":[[1,2]],\"labels\":[0]}");
    send(*state, QUERY("%7B%7D"), JSON_TYPE, JSON_TYPE, &body, &answer);
    expect_refusal(&answer, 400, "", "belong to a body of application/x-npy");
    buffer_free(&body);
}

static const struct {
    const char *comment, *target;
    size_t rank;
    double first;
} npy_out[] = {
    {"the gradient by default", QUERY(LABELS "%7D"), 2, -0.25},
    {"probabilities", QUERY(LABELS "%2C%22return%22%3A%5B%22probabilities%22%5D%7D"), 2, 0.5},
    {"the rows' losses", QUERY(LABELS "%2C%22return%22%3A%5B%22per_sample%22%5D%7D"), 1, 0.6931471805599453},
    {"the gradient, where nothing is reduced", QUERY(LABELS "%2C%22reduction%22%3A%22none%22%7D"), 2, -0.5},
    {"a gradient to probabilities", QUERY(LABELS "%7D&input=probabilities"), 2, -1},
};

static void test_npy_answers_hold_one_array(void **state)
{
    for (size_t i = 0; i < sizeof npy_out / sizeof *npy_out; i++) {
        const struct given half = {"", TENSOR_F64, 2, {2, 2}, {0.5, 0.5, 0.5, 0.5}};
        struct buffer body = npy_of(&half);
        struct api_answer answer;
        struct npy npy;
        double values[4];
        print_message("%s\n", npy_out[i].comment);
        send(*state, npy_out[i].target, NPY_TYPE, NPY_TYPE, &body, &answer);
        assert_int_equal(answer.status, 200);
        assert_int_equal(npy_read(answer.body.data, answer.body.size, &npy, NULL), NABLA_OK);
        assert_int_equal(npy.rank, npy_out[i].rank);
        read_values(npy.dtype, npy.data, npy.elements, values);
        assert_true(values[0] == npy_out[i].first);
        json_t *summary = json_loads(answer_value(&answer, "Nabla-Response"), 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(summary, "rows")), 2);
        assert_null(json_object_get(summary, "gradient"));
        json_decref(summary);
        api_answer_free(&answer);
        buffer_free(&body);
    }
}

// Certificates stand where the small numbers do.
static void test_certificates_come_in_every_form(void **state)
{
    static const char *const accepts[] = {JSON_TYPE, SAFETENSORS_TYPE, NPY_TYPE};
    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        struct buffer body = buffer_new(1000);
        struct api_answer answer;
        buffer_text(&body, "{\"logits\":[[0,17,16]],\"labels\":[0],\"certify\":true}");
        send(*state, "/v1/losses", JSON_TYPE, accepts[i], &body, &answer);
        assert_int_equal(answer.status, 200);
        struct safetensors *file = i == 1 ? answer_file(&answer) : NULL;
        const char *text = i == 0   ? answer.body.data
                           : i == 1 ? safetensors_metadata(file, "response")
                                    : answer_value(&answer, "Nabla-Response");
        json_t *summary = json_loads(text, 0, NULL);
        json_t *certificate = json_object_get(summary, "certificate");
        double ulps = json_number_value(json_object_get(certificate, "largest_deviation_ulp"));
        assert_true(ulps > 0 && ulps < 4);
        assert_int_equal(json_integer_value(json_object_get(certificate, "precision_bits")), 113);
        json_decref(summary);
        safetensors_free(file);
        api_answer_free(&answer);
        buffer_free(&body);
    }
}

static void test_what_takes_too_long_is_not_certified(void **state)
{
    struct tensor tensors[2] = {
        {.name = (char *)"logits", .dtype = TENSOR_F32, .rank = 2, .shape = {1001, 1000}},
        {.name = (char *)"labels", .dtype = TENSOR_I64, .rank = 1, .shape = {1001}}};
    const struct tensor_metadata metadata = {(char *)"request", (char *)"{\"certify\":true}"};
    struct buffer body = buffer_new(8 << 20);
    struct api_answer answer;
    tensors[0].bytes = 1001 * 1000 * sizeof(float);
    tensors[1].bytes = 1001 * sizeof(int64_t);
    char *zeros = calloc(1, tensors[0].bytes);
    assert_non_null(zeros);
    tensors[0].data = tensors[1].data = zeros;
    assert_int_equal(safetensors_write(tensors, 2, &metadata, 1, &body, NULL), NABLA_OK);
    send(*state, "/v1/losses", SAFETENSORS_TYPE, JSON_TYPE, &body, &answer);
    assert_int_equal(answer.status, 422);
    assert_non_null(strstr(answer.body.data, "not one of 1001 rows of 1000"));
    free(zeros);
    api_answer_free(&answer);
    buffer_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_come_in_every_form),
        cmocka_unit_test(test_what_takes_too_long_is_not_certified),
        cmocka_unit_test(test_every_form_carries_the_same_numbers),
        cmocka_unit_test(test_tensors_are_taken),
        cmocka_unit_test(test_tensors_are_refused),
        cmocka_unit_test(test_every_truncated_file_is_refused),
        cmocka_unit_test(test_broken_files_are_refused),
        cmocka_unit_test(test_tensors_may_lie_unaligned),
        cmocka_unit_test(test_a_file_tells_what_json_tells),
        cmocka_unit_test(test_no_reduction_has_no_loss),
        cmocka_unit_test(test_a_large_file_is_the_same),
        cmocka_unit_test(test_npy_is_refused),
        cmocka_unit_test(test_npy_names_the_byte_that_is_wrong),
        cmocka_unit_test(test_the_query_document_is_for_npy_only),
        cmocka_unit_test(test_npy_answers_hold_one_array),
    };
    return cmocka_run_group_tests(tests, make_api, drop_api);
}
