// Which answers are compressed, and that they say the same.
#include "api/encoding.h"
#include "base/gzip.h"
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

static enum nabla_code append(void *context, const void *bytes, size_t size, struct nabla_error *err)
{
    (void)err;
    return buffer_append(context, bytes, size) ? NABLA_OK : NABLA_NO_MEMORY;
}

static struct buffer unpack(const struct buffer *packed)
{
    struct buffer plain = buffer_new(64 << 20);
    struct inflater *inflater = inflater_new();
    assert_non_null(inflater);
    assert_int_equal(inflater_feed(inflater, packed->data, packed->size, append, &plain, NULL), NABLA_OK);
    assert_true(inflater_is_whole(inflater));
    inflater_free(inflater);
    return plain;
}

static const struct {
    const char *comment, *first, *second; // Accept-Encoding headers
    bool packed;
} accepts[] = {
    {"no header", NULL, NULL, false},
    {"gzip", "gzip", NULL, true},
    {"its old name", "x-gzip", NULL, true},
    {"any case", "GZip", NULL, true},
    {"what browsers send", "gzip, deflate, br, zstd", NULL, true},
    {"a weight", "deflate, gzip;q=0.001", NULL, true},
    {"a weight of 0", "gzip;q=0", NULL, false},
    {"everything", "*", NULL, true},
    {"everything but", "*, gzip;q=0", NULL, false},
    {"nothing but", "gzip, *;q=0", NULL, true},
    {"rather plain", "gzip;q=0.5, identity;q=0.6", NULL, false},
    {"rather packed", "gzip;q=0.6, identity;q=0.5", NULL, true},
    {"others", "br, deflate", NULL, false},
    {"an empty header", "", NULL, false},
    {"two headers", "br", "gzip", true},
    {"a weight that is none", "gzip;q=x", NULL, false},
};

static void ask(struct api *api, size_t row, struct api_answer *ret)
{
    struct exchange exchange = {.method = "GET", .target = "/openapi.json"};
    if (accepts[row].first)
        exchange.headers[0] = (struct api_header){"Accept-Encoding", accepts[row].first};
    if (accepts[row].second)
        exchange.headers[1] = (struct api_header){"accept-encoding", accepts[row].second};
    exchange_run(api, &exchange, ret);
}

static void test_answers_are_packed_where_the_client_takes_it(void **state)
{
    struct api_answer plain;
    ask(*state, 0, &plain);
    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        struct api_answer answer;
        print_message("%s\n", accepts[i].comment);
        ask(*state, i, &answer);
        assert_string_equal(answer_value(&answer, "Content-Encoding"), accepts[i].packed ? "gzip" : "");
        assert_string_equal(answer_value(&answer, "Content-Type"), "application/json");
        assert_string_equal(answer_value(&answer, "Vary"), "Accept-Encoding");
        if (accepts[i].packed) {
            struct buffer content = unpack(&answer.body);
            assert_true(answer.body.size < plain.body.size / 2);
            assert_int_equal(content.size, plain.body.size);
            assert_memory_equal(content.data, plain.body.data, content.size);
            buffer_free(&content);
        } else {
            assert_int_equal(answer.body.size, plain.body.size);
        }
        api_answer_free(&answer);
    }
    api_answer_free(&plain);
}

// `classes` zeros as one row.
static void post_zeros(struct api *api, size_t classes, const char *accept, struct api_answer *ret)
{
    struct buffer body = buffer_new(64 << 20);
    struct exchange exchange = {
        .method = "POST",
        .target = "/v1/losses",
        .headers = {{"Content-Type", "application/json"}, {"Accept-Encoding", "gzip"}, {"Accept", accept}}};
    buffer_text(&body, "{\"labels\":0,\"logits\":[0");
    for (size_t i = 1; i < classes; i++)
        buffer_text(&body, ",0");
    buffer_text(&body, "]}");
    exchange.body = body.data;
    exchange.size = body.size;
    exchange_run(api, &exchange, ret);
    buffer_free(&body);
}

static const struct {
    const char *comment;
    size_t classes;
    const char *accept;
    const char *encoding;
} sizes[] = {
    {"a small answer is not", 10, "*/*", ""},
    {"a larger one is", 1000, "*/*", "gzip"},
    {"a bulk of digits is not", 1000000, "*/*", ""},
    {"tensors are not", 1000, "application/safetensors", ""},
    {"arrays are not", 1000, "application/x-npy", ""},
};

static void test_only_what_is_worth_it_is_packed(void **state)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct api_answer answer;
        print_message("%s\n", sizes[i].comment);
        post_zeros(*state, sizes[i].classes, sizes[i].accept, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer_value(&answer, "Content-Encoding"), sizes[i].encoding);
        api_answer_free(&answer);
    }
}

static void test_packing_nothing_and_much(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 100000, 3000000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buffer content = buffer_new(64 << 20), plain = buffer_new(64 << 20), back;
        uint32_t random = 1;
        for (size_t k = 0; k < counts[i]; k++) { // does not compress: the most that deflate makes
            random = random * 1664525 + 1013904223;
            buffer_char(&plain, (char)(random >> 24));
        }
        buffer_append(&content, plain.data, plain.size);
        assert_true(gzip_pack(&content));
        back = unpack(&content);
        assert_int_equal(back.size, plain.size);
        assert_memory_equal(back.data, plain.data, plain.size);
        buffer_free(&content);
        buffer_free(&plain);
        buffer_free(&back);
    }
}

static void test_a_packed_answer_has_a_weak_etag(void **state)
{
    (void)state;
    struct api_header headers[] = {{"Accept-Encoding", "gzip"}};
    struct api_call call = {.headers = headers, .header_count = 1};
    static const struct {
        const char *etag, *becomes;
    } etags[] = {{"\"5-csv\"", "W/\"5-csv\""}, {"W/\"5\"", "W/\"5\""}};
    for (size_t i = 0; i < sizeof etags / sizeof *etags; i++) {
        struct api_answer answer;
        answer_begin(&answer, 200, "text/csv");
        answer_header(&answer, "ETag", "%s", etags[i].etag);
        for (int k = 0; k < 1000; k++)
            buffer_text(&answer.body, "1,2\n");
        answer_encode(&answer, &call);
        assert_string_equal(answer_value(&answer, "Content-Encoding"), "gzip");
        assert_string_equal(answer_value(&answer, "ETag"), etags[i].becomes);
        api_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_packed_where_the_client_takes_it),
        cmocka_unit_test(test_only_what_is_worth_it_is_packed),
        cmocka_unit_test(test_packing_nothing_and_much),
        cmocka_unit_test(test_a_packed_answer_has_a_weak_etag),
    };
    return cmocka_run_group_tests(tests, make_api, drop_api);
}
