// Problem answers: the status of every code, the fields named, and texts that are always UTF-8.
#include "tests/exchange.h"

#include "api/handler.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAUSE "cannot open /srv/x"

static const struct {
    enum nabla_code code;
    const char *pointer;
    int status;
    const char *pointers, *retry, *detail;
} codes[] = {
    {NABLA_MALFORMED, "", 400, "", "", CAUSE},
    {NABLA_INVALID, "/labels/3", 422, "/labels/3", "", CAUSE},
    {NABLA_INVALID, "", 422, "", "", CAUSE},
    {NABLA_LIMIT, "", 413, "", "", CAUSE},
    {NABLA_NOT_FOUND, "", 404, "", "", CAUSE},
    {NABLA_CONFLICT, "", 409, "", "", CAUSE},
    {NABLA_DENIED, "", 403, "", "", CAUSE},
    {NABLA_BUSY, "", 503, "", "1", CAUSE},
    {NABLA_NO_MEMORY, "", 503, "", "1", CAUSE},
    {NABLA_DISK_FULL, "", 507, "", "", "is full"},
    {NABLA_IO, "", 500, "", "", "the server's log"},
    {NABLA_IO, "/dataset", 500, "/dataset", "", "the server's log"},
    {NABLA_CANCELLED, "", 503, "", "1", CAUSE},
    {NABLA_INTERNAL, "", 500, "", "", "the server's log"},
};

static void test_every_code_has_its_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct nabla_error err;
        struct api_answer answer;
        char pointers[200];
        nabla_fail(&err, codes[i].code, codes[i].pointer, CAUSE);
        answer_error(&answer, NULL, &err);
        answer_pointers(&answer, pointers, sizeof pointers);
        assert_int_equal(answer.status, codes[i].status);
        assert_string_equal(pointers, codes[i].pointers);
        assert_string_equal(answer_value(&answer, "Retry-After"), codes[i].retry);
        assert_non_null(strstr(answer.body.data, codes[i].detail));
        if (strcmp(codes[i].detail, CAUSE) != 0)
            assert_null(strstr(answer.body.data, CAUSE));
        api_answer_free(&answer);
    }
}

static void test_a_refusal_has_its_own_title(void **state)
{
    (void)state;
    struct api_answer answer;
    api_refuse(&answer, 431, "Too many headers", "there are 200 headers, 100 are taken");
    assert_string_equal(answer.body.data,
                        "{\"type\":\"urn:nabla:problem:headers_too_large\",\"title\":\"Too many "
                        "headers\",\"status\":431,\"detail\":\"there are 200 headers, 100 are "
                        "taken\"}\n");
    api_answer_free(&answer);
}

static void test_all_problems_are_named(void **state)
{
    (void)state;
    struct problems problems = {0};
    struct api_answer answer;
    char pointers[200];
    problems_add(&problems, "/a", "must be %d", 3);
    problems_add(&problems, "/b", "is \"quoted\"");
    answer_problems(&answer, NULL, &problems);
    answer_pointers(&answer, pointers, sizeof pointers);
    assert_string_equal(pointers, "/a /b");
    assert_non_null(strstr(answer.body.data, "\"detail\":\"/a: must be 3 (and 1 more, see errors)\""));
    assert_non_null(strstr(answer.body.data, "is \\\"quoted\\\""));
    api_answer_free(&answer);
}

static void test_more_problems_than_fit_are_left_out(void **state)
{
    (void)state;
    struct problems problems = {0};
    for (int i = 0; i < 3 * PROBLEM_FIELDS_MAX; i++)
        problems_add(&problems, "/x", "wrong");
    assert_int_equal(problems.count, PROBLEM_FIELDS_MAX);
}

// A cut through a character, and bytes that are none, must not make the answer invalid JSON.
static void test_texts_are_utf8_whatever_comes(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        struct problems problems = {0};
        struct api_answer answer;
        char text[600] = "";
        memset(text, 'x', shift);
        for (size_t at = shift; at + 4 < sizeof text - 4; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        problems_add(&problems, text, "%s", text);
        assert_true(utf8_valid(problems.fields[0].pointer, strlen(problems.fields[0].pointer)));
        assert_true(utf8_valid(problems.fields[0].detail, strlen(problems.fields[0].detail)));
        answer_status(&answer, NULL, 400, "bad \xff\xc3 bytes %s", text);
        json_t *root = json_loadb(answer.body.data, answer.body.size, 0, NULL);
        const char *detail = json_string_value(json_object_get(root, "detail"));
        assert_non_null(detail);
        assert_memory_equal(detail, "bad \xef\xbf\xbd\xef\xbf\xbd bytes ", 16);
        json_decref(root);
        api_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_status),
        cmocka_unit_test(test_a_refusal_has_its_own_title),
        cmocka_unit_test(test_all_problems_are_named),
        cmocka_unit_test(test_more_problems_than_fit_are_left_out),
        cmocka_unit_test(test_texts_are_utf8_whatever_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
