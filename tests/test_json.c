// The table follows the categories of JSONTestSuite (N. Seriot, "Parsing JSON is a minefield"): what must be
// read, what must be refused, and our choice where RFC 8259 leaves one.
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) (literal), sizeof(literal) - 1
#define STRING_LIMIT  1000

// Reads to the end. The text lies in memory of its exact size, so that a sanitizer sees a read beyond it.
static enum nabla_code read_all(const char *text, size_t size, struct nabla_error *err)
{
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, text, size);
    struct json_reader reader = json_open(exact, size, STRING_LIMIT);
    enum json_token token = JSON_NULL;
    enum nabla_code code = NABLA_OK;
    while (!code && token != JSON_END)
        code = json_next(&reader, &token, err);
    json_close(&reader);
    free(exact);
    return code;
}

struct text_case {
    const char *text;
    size_t size;
    const char *comment;
};

static const struct text_case accepted[] = {
    {TEXT("[]"), "empty array"},
    {TEXT("{}"), "empty object"},
    {TEXT(" \t\r\n[ \t\r\n] \t\r\n"), "every kind of white space"},
    {TEXT("null"), "a lone null"},
    {TEXT("true"), "a lone true"},
    {TEXT("false"), "a lone false"},
    {TEXT("-1"), "a lone number"},
    {TEXT("\"\""), "a lone empty string"},
    {TEXT("[[[]],{},[{}]]"), "nested empties"},
    {TEXT("{\"a\":1,\"a\":2}"), "duplicate keys are the caller's"},
    {TEXT("{\"\":0}"), "an empty key"},
    {TEXT("{\"a\":{\"b\":[1,{\"c\":null}]}}"), "nested"},
    {TEXT("[0]"), "zero"},
    {TEXT("[-0]"), "negative zero"},
    {TEXT("[-0.0e-0]"), "negative zero in full"},
    {TEXT("[1E22,1e+2,1e-2,1.25]"), "exponents and fractions"},
    {TEXT("[123456789012345678901234567890]"), "an integer beyond 64 bits"},
    {TEXT("[1e999]"), "beyond a double: the caller decides"},
    {TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), "every short escape"},
    {TEXT("[\"\\u0041\\u00e9\\u20AC\"]"), "\\u in either case"},
    {TEXT("[\"\\uD834\\uDD1E\"]"), "a surrogate pair"},
    {TEXT("[\"\\uDBFF\\uDFFF\"]"), "the last code point"},
    {TEXT("[\"\\u0000\"]"), "an escaped NUL"},
    {TEXT("[\"\\uFFFF\"]"), "a noncharacter"},
    {TEXT("[\"\x7f\"]"), "DEL needs no escape"},
    {TEXT("[\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\"]"), "UTF-8 of 2, 3 and 4 bytes"},
    {TEXT("[\"\xf4\x8f\xbf\xbf\"]"), "UTF-8 of the last code point"},
    {TEXT("[\"\xe2\x80\xa8\"]"), "U+2028"},
};

static const struct text_case refused[] = {
    {TEXT(""), "nothing"},
    {TEXT(" "), "only white space"},
    {TEXT("["), "open array"},
    {TEXT("{"), "open object"},
    {TEXT("]"), "closing what is not open"},
    {TEXT("}"), "closing what is not open"},
    {TEXT("[}"), "closed by the other"},
    {TEXT("{]"), "closed by the other"},
    {TEXT("[1"), "no end"},
    {TEXT("[1,"), "no end behind a comma"},
    {TEXT("[1,]"), "trailing comma"},
    {TEXT("[,1]"), "leading comma"},
    {TEXT("[,]"), "only a comma"},
    {TEXT("[1,,2]"), "two commas"},
    {TEXT("[1 2]"), "no comma"},
    {TEXT("[1:2]"), "a colon in an array"},
    {TEXT("[1]]"), "closed twice"},
    {TEXT("[1]x"), "something behind"},
    {TEXT("1 2"), "two values"},
    {TEXT("[]{}"), "two containers"},
    {TEXT("{\"a\""), "no colon"},
    {TEXT("{\"a\":"), "no value"},
    {TEXT("{\"a\":}"), "no value"},
    {TEXT("{\"a\":1"), "no end"},
    {TEXT("{\"a\":1,"), "no end behind a comma"},
    {TEXT("{\"a\":1,}"), "trailing comma"},
    {TEXT("{,}"), "only a comma"},
    {TEXT("{\"a\" 1}"), "no colon"},
    {TEXT("{\"a\",1}"), "a comma for a colon"},
    {TEXT("{\"a\":1:2}"), "two colons"},
    {TEXT("{\"a\"::1}"), "two colons"},
    {TEXT("{\"a\":1 \"b\":2}"), "no comma"},
    {TEXT("{a:1}"), "a key without quotes"},
    {TEXT("{'a':1}"), "single quotes"},
    {TEXT("{1:1}"), "a number as key"},
    {TEXT("{null:1}"), "null as key"},
    {TEXT("{[]:1}"), "an array as key"},
    {TEXT("[01]"), "leading zero"},
    {TEXT("[-01]"), "leading zero, negative"},
    {TEXT("[00]"), "two zeros"},
    {TEXT("[+1]"), "a plus"},
    {TEXT("[-]"), "a minus alone"},
    {TEXT("[--1]"), "two minuses"},
    {TEXT("[.5]"), "no digit before the point"},
    {TEXT("[-.5]"), "no digit before the point"},
    {TEXT("[1.]"), "no digit behind the point"},
    {TEXT("[1.e3]"), "no digit behind the point"},
    {TEXT("[1e]"), "no exponent"},
    {TEXT("[1e+]"), "no exponent"},
    {TEXT("[1e1.5]"), "a fraction as exponent"},
    {TEXT("[1.2.3]"), "two points"},
    {TEXT("[0x1]"), "hexadecimal"},
    {TEXT("[1_000]"), "an underscore"},
    {TEXT("[1a]"), "a letter behind a number"},
    {TEXT("[\xef\xbc\x91]"), "a full-width digit"},
    {TEXT("[NaN]"), "NaN"},
    {TEXT("[-NaN]"), "-NaN"},
    {TEXT("[nan]"), "nan"},
    {TEXT("[Infinity]"), "Infinity"},
    {TEXT("[-Infinity]"), "-Infinity"},
    {TEXT("[inf]"), "inf"},
    {TEXT("[tru]"), "half a word"},
    {TEXT("[nul"), "half a word at the end"},
    {TEXT("[True]"), "capitals"},
    {TEXT("[truefalse]"), "two words"},
    {TEXT("nullx"), "more than a word"},
    {TEXT("[\"a]"), "an open string"},
    {TEXT("[\"a\\\"]"), "an open string behind an escaped quote"},
    {TEXT("\""), "a quote"},
    {TEXT("\"\\"), "a backslash at the end"},
    {TEXT("[\"\\x41\"]"), "no such escape"},
    {TEXT("[\"\\'\"]"), "no such escape"},
    {TEXT("[\"\\\0\"]"), "an escaped NUL character"},
    {TEXT("[\"\\u\"]"), "no digits"},
    {TEXT("[\"\\u00A\"]"), "three digits"},
    {TEXT("[\"\\u00G0\"]"), "not hexadecimal"},
    {TEXT("[\"\\u-123\"]"), "a sign"},
    {TEXT("[\"\\uD834\"]"), "a high surrogate alone"},
    {TEXT("[\"\\uDD1E\"]"), "a low surrogate alone"},
    {TEXT("[\"\\uDD1E\\uD834\"]"), "surrogates the wrong way round"},
    {TEXT("[\"\\uD834\\uD834\"]"), "two high surrogates"},
    {TEXT("[\"\\uD834\\n\"]"), "a high surrogate and another escape"},
    {TEXT("[\"\\uD834x\"]"), "a high surrogate and a letter"},
    {TEXT("[\"\\uD834\\u00\"]"), "half a low surrogate"},
    {TEXT("[\"\\uD834\\u"), "cut within the pair"},
    {TEXT("[\"a\nb\"]"), "a bare newline"},
    {TEXT("[\"a\tb\"]"), "a bare tab"},
    {TEXT("[\"a\0b\"]"), "a bare NUL"},
    {TEXT("[\0]"), "NUL between tokens"},
    {TEXT("[1]\0"), "NUL behind the end"},
    {TEXT("[\f]"), "a form feed"},
    {TEXT("[\xc2\xa0]"), "a no-break space"},
    {TEXT("[\xe2\x81\xa0]"), "a word joiner"},
    {TEXT("[1] // no"), "a comment"},
    {TEXT("[1/* no */]"), "a comment"},
    {TEXT("# no\n[]"), "a comment"},
    {TEXT("\xef\xbb\xbf[]"), "a byte order mark"},
    {TEXT("\xff\xfe[\0]\0"), "UTF-16"},
    {TEXT("[\"\xff\"]"), "no UTF-8: FF"},
    {TEXT("[\"\x80\"]"), "no UTF-8: a continuation alone"},
    {TEXT("[\"\xc3\"]"), "no UTF-8: cut before the quote"},
    {TEXT("[\"\xc3"), "no UTF-8: cut at the end of the text"},
    {TEXT("[\"\xe2\x82"), "no UTF-8: 2 bytes of 3"},
    {TEXT("[\"\xf0\x9d\x84"), "no UTF-8: 3 bytes of 4"},
    {TEXT("[\"\xc0\xaf\"]"), "no UTF-8: overlong, 2 bytes"},
    {TEXT("[\"\xe0\x80\xaf\"]"), "no UTF-8: overlong, 3 bytes"},
    {TEXT("[\"\xf0\x80\x80\xaf\"]"), "no UTF-8: overlong, 4 bytes"},
    {TEXT("[\"\xed\xa0\x80\"]"), "no UTF-8: a surrogate"},
    {TEXT("[\"\xf4\x90\x80\x80\"]"), "no UTF-8: beyond the last code point"},
    {TEXT("{\"\xff\":1}"), "no UTF-8 in a key"},
};

static void json_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct nabla_error err = {0};
        if (read_all(accepted[i].text, accepted[i].size, &err))
            fail_msg("%s (%s): %s", accepted[i].text, accepted[i].comment, err.text);
    }
}

static void everything_else_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct nabla_error err = {0};
        if (read_all(refused[i].text, refused[i].size, &err) != NABLA_MALFORMED)
            fail_msg("%s (%s) was not refused", refused[i].text, refused[i].comment);
        assert_int_equal(err.code, NABLA_MALFORMED);
        assert_memory_equal(err.text, "line ", 5);
    }
}

// Every head of a text is itself refused, and never read beyond.
static void every_cut_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\\u00e9\":[1.5e+3,-2,\"\xf0\x9d\x84\x9e\\uD834\\uDD1E\",true,null,{}],\"b\":false}";
    struct nabla_error err;
    for (size_t size = 0; size < sizeof text - 1; size++)
        assert_int_equal(read_all(text, size, &err), NABLA_MALFORMED);
    assert_int_equal(read_all(text, sizeof text - 1, &err), NABLA_OK);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    static const char opening[] = "[{";
    for (int kind = 0; kind < 2; kind++) {
        char *text = malloc(MANY);
        assert_non_null(text);
        memset(text, opening[kind], MANY);
        struct nabla_error err;
        assert_int_equal(read_all(text, MANY, &err), NABLA_MALFORMED);
        free(text);
    }
    char text[2 * JSON_DEPTH_MAX + 2];
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        struct nabla_error err = {0};
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(read_all(text, 2 * depth, &err),
                         depth > JSON_DEPTH_MAX ? NABLA_MALFORMED : NABLA_OK);
    }
}

static void tokens_come_in_order_with_their_text(void **state)
{
    (void)state;
    static const char text[] =
        "{\"k\\n\": [-1.5e3, \"\\uD834\\uDD1E\\u00e9\", true, false, null], \"e\": {}}";
    static const struct {
        enum json_token token;
        const char *string;
    } expected[] = {
        {JSON_OBJECT_BEGIN, NULL},
        {JSON_KEY, "k\n"},
        {JSON_ARRAY_BEGIN, NULL},
        {JSON_NUMBER, "-1.5e3"},
        {JSON_STRING, "\xf0\x9d\x84\x9e\xc3\xa9"},
        {JSON_TRUE, NULL},
        {JSON_FALSE, NULL},
        {JSON_NULL, NULL},
        {JSON_ARRAY_END, NULL},
        {JSON_KEY, "e"},
        {JSON_OBJECT_BEGIN, NULL},
        {JSON_OBJECT_END, NULL},
        {JSON_OBJECT_END, NULL},
        {JSON_END, NULL},
        {JSON_END, NULL},
    };
    struct json_reader reader = json_open(TEXT(text), STRING_LIMIT);
    for (size_t i = 0; i < COUNT(expected); i++) {
        enum json_token token;
        assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
        assert_int_equal(token, expected[i].token);
        if (token == JSON_NUMBER)
            assert_memory_equal(reader.token, expected[i].string, (size_t)(reader.at - reader.token));
        else if (expected[i].string)
            assert_string_equal(reader.string.data, expected[i].string);
    }
    json_close(&reader);
}

static void an_escaped_nul_counts_into_the_length(void **state)
{
    (void)state;
    enum json_token token;
    struct json_reader reader = json_open(TEXT("\"a\\u0000b\""), STRING_LIMIT);
    assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
    assert_int_equal(reader.string.size, 3);
    assert_memory_equal(reader.string.data, "a\0b", 4);
    json_close(&reader);
}

static void a_string_is_limited(void **state)
{
    (void)state;
    struct nabla_error err;
    enum json_token token;
    struct json_reader reader = json_open(TEXT("[\"12345\",\"123456\"]"), 5);
    assert_int_equal(json_next(&reader, &token, &err), NABLA_OK);
    assert_int_equal(json_next(&reader, &token, &err), NABLA_OK);
    assert_string_equal(reader.string.data, "12345");
    assert_int_equal(json_next(&reader, &token, &err), NABLA_LIMIT);
    json_close(&reader);
}

static const struct {
    const char *text;
    size_t size;
    const char *place, *comment;
} places[] = {
    {TEXT("[1,\n  2,\n   x]"), "line 3, column 4", "line and column"},
    {TEXT("[\"\xc3\xa9\xe2\x82\xac\", x]"), "line 1, column 8", "a column is a character"},
    {TEXT("[\n1"), "line 2, column 2", "the end"},
    {TEXT("[1.x]"), "line 1, column 4", "within a number"},
    {TEXT("[\"ab\\q\"]"), "line 1, column 6", "within a string"},
    {TEXT("[1,]"), "line 1, column 4", "behind a comma"},
};

static void errors_name_line_and_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        struct nabla_error err = {0};
        assert_int_equal(read_all(places[i].text, places[i].size, &err), NABLA_MALFORMED);
        if (strncmp(err.text, places[i].place, strlen(places[i].place)) != 0)
            fail_msg("%s: %s is not at %s", places[i].comment, err.text, places[i].place);
    }
}

static void bare_words_name_their_remedy(void **state)
{
    (void)state;
    struct nabla_error err = {0};
    read_all(TEXT("[NaN]"), &err);
    assert_non_null(strstr(err.text, "write the string \"NaN\""));
    read_all(TEXT("[-Infinity]"), &err);
    assert_non_null(strstr(err.text, "write the string \"-Infinity\""));
}

static void skipping_returns_the_values_text(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, {\"b\": [2]}] , \"c\": \"x\\ny\", \"d\":7}";
    static const char *const values[] = {"[1, {\"b\": [2]}]", "\"x\\ny\"", "7"};
    enum json_token token;
    struct json_reader reader = json_open(TEXT(text), STRING_LIMIT);
    assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
    for (size_t i = 0; i < COUNT(values); i++) {
        const char *begin, *end;
        assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
        assert_int_equal(token, JSON_KEY);
        assert_int_equal(json_skip(&reader, &begin, &end, NULL), NABLA_OK);
        assert_int_equal(end - begin, strlen(values[i]));
        assert_memory_equal(begin, values[i], strlen(values[i]));
    }
    assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
    assert_int_equal(token, JSON_OBJECT_END);
    json_close(&reader);
}

static void skipping_needs_a_value_and_a_whole_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        enum nabla_code code;
    } cases[] = {
        {TEXT("[]"), NABLA_INVALID}, {TEXT("{\"a\":1}"), NABLA_INVALID}, {TEXT("[[1,2}]"), NABLA_MALFORMED}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum json_token token;
        const char *begin = NULL, *end = NULL;
        struct json_reader reader = json_open(cases[i].text, cases[i].size, STRING_LIMIT);
        assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
        assert_int_equal(json_skip(&reader, &begin, &end, NULL), cases[i].code);
        assert_true(begin == NULL && end == NULL);
        json_close(&reader);
    }
}

static struct json_reader open_array(const char *text, size_t size)
{
    enum json_token token;
    struct json_reader reader = json_open(text, size, STRING_LIMIT);
    assert_int_equal(json_next(&reader, &token, NULL), NABLA_OK);
    assert_int_equal(token, JSON_ARRAY_BEGIN);
    return reader;
}

static void bulk_numbers_are_read_with_their_words(void **state)
{
    (void)state;
    static const char text[] = "[1, -2.5e3 ,\"NaN\",0.1,\"-Infinity\" , -0,\"Infinity\"\n]";
    const double expected[] = {1, -2500, NAN, 0.1, -INFINITY, -0.0, INFINITY};
    struct json_reader doubles = open_array(TEXT(text)), floats = open_array(TEXT(text));
    for (size_t i = 0; i <= COUNT(expected); i++) {
        double x = 42;
        float y = 42;
        bool end = i < COUNT(expected), end_float = end;
        assert_int_equal(json_next_double(&doubles, &x, &end, NULL), NABLA_OK);
        assert_int_equal(json_next_float(&floats, &y, &end_float, NULL), NABLA_OK);
        assert_int_equal(end, i == COUNT(expected));
        assert_int_equal(end_float, i == COUNT(expected));
        if (i == COUNT(expected))
            assert_true(x == 42 && y == 42);
        else if (isnan(expected[i]))
            assert_true(isnan(x) && isnan(y));
        else
            assert_true(x == expected[i] && signbit(x) == signbit(expected[i]) && y == (float)expected[i]);
    }
    enum json_token token;
    assert_int_equal(json_next(&doubles, &token, NULL), NABLA_OK);
    assert_int_equal(token, JSON_END);
    json_close(&doubles);
    json_close(&floats);
}

static const struct {
    const char *text;
    size_t size;
    enum nabla_code code, code_float;
    const char *comment;
} bulk_refused[] = {
    {TEXT("[null]"), NABLA_INVALID, NABLA_INVALID, "null"},
    {TEXT("[true]"), NABLA_INVALID, NABLA_INVALID, "a boolean"},
    {TEXT("[[1]]"), NABLA_INVALID, NABLA_INVALID, "an array"},
    {TEXT("[{}]"), NABLA_INVALID, NABLA_INVALID, "an object"},
    {TEXT("[\"1\"]"), NABLA_INVALID, NABLA_INVALID, "a number as string"},
    {TEXT("[\"nan\"]"), NABLA_INVALID, NABLA_INVALID, "another spelling"},
    {TEXT("[\"NaN\\u0000\"]"), NABLA_INVALID, NABLA_INVALID, "a word and a NUL"},
    {TEXT("[1e400]"), NABLA_INVALID, NABLA_INVALID, "beyond a double"},
    {TEXT("[-1e400]"), NABLA_INVALID, NABLA_INVALID, "beyond a double"},
    {TEXT("[1e39]"), NABLA_OK, NABLA_INVALID, "beyond a float"},
    {TEXT("[1e-400]"), NABLA_OK, NABLA_OK, "nearest to 0"},
    {TEXT("[NaN]"), NABLA_MALFORMED, NABLA_MALFORMED, "a bare NaN"},
    {TEXT("[01]"), NABLA_MALFORMED, NABLA_MALFORMED, "a leading zero"},
    {TEXT("[.5]"), NABLA_MALFORMED, NABLA_MALFORMED, "no digit before the point"},
    {TEXT("[+1]"), NABLA_MALFORMED, NABLA_MALFORMED, "a plus"},
    {TEXT("[,1]"), NABLA_MALFORMED, NABLA_MALFORMED, "a comma first"},
    {TEXT("["), NABLA_MALFORMED, NABLA_MALFORMED, "the end"},
};

static void bulk_reading_refuses_what_is_no_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bulk_refused); i++) {
        double x = 42;
        float y = 42;
        bool end;
        struct json_reader doubles = open_array(bulk_refused[i].text, bulk_refused[i].size);
        struct json_reader floats = open_array(bulk_refused[i].text, bulk_refused[i].size);
        if (json_next_double(&doubles, &x, &end, NULL) != bulk_refused[i].code ||
            json_next_float(&floats, &y, &end, NULL) != bulk_refused[i].code_float)
            fail_msg("%s", bulk_refused[i].comment);
        assert_true(!bulk_refused[i].code || x == 42);
        assert_true(!bulk_refused[i].code_float || y == 42);
        json_close(&doubles);
        json_close(&floats);
    }
}

static const struct text_case bulk_broken[] = {
    {TEXT("[1 2]"), "no comma"}, {TEXT("[1,]"), "trailing comma"}, {TEXT("[1,,2]"), "two commas"},
    {TEXT("[1a]"), "a letter"},  {TEXT("[1.2.3]"), "two points"},  {TEXT("[1}"), "closed by the other"},
    {TEXT("[1"), "the end"},     {TEXT("[1,"), "the end"},         {TEXT("[1,2.]"), "no digit"},
};

static void bulk_reading_is_as_strict_between_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bulk_broken); i++) {
        double x;
        bool end = false;
        struct json_reader reader = open_array(bulk_broken[i].text, bulk_broken[i].size);
        assert_int_equal(json_next_double(&reader, &x, &end, NULL), NABLA_OK);
        if (json_next_double(&reader, &x, &end, NULL) != NABLA_MALFORMED)
            fail_msg("%s", bulk_broken[i].comment);
        json_close(&reader);
    }
}

static void bulk_reading_walks_nested_arrays(void **state)
{
    (void)state;
    struct json_reader reader = open_array(TEXT("[[1,2],[],[3]]"));
    double sum = 0, x;
    size_t rows = 0;
    enum json_token token;
    while (json_next(&reader, &token, NULL) == NABLA_OK && token == JSON_ARRAY_BEGIN) {
        bool end = false;
        rows++;
        while (json_next_double(&reader, &x, &end, NULL) == NABLA_OK && !end)
            sum += x;
        assert_true(end);
    }
    assert_int_equal(token, JSON_ARRAY_END);
    assert_int_equal(rows, 3);
    assert_true(sum == 6);
    json_close(&reader);
}

static void bulk_reading_needs_an_open_array(void **state)
{
    (void)state;
    double x;
    bool end;
    struct json_reader reader = json_open(TEXT("1"), STRING_LIMIT);
    assert_int_equal(json_next_double(&reader, &x, &end, NULL), NABLA_INTERNAL);
    json_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_accepted),
        cmocka_unit_test(everything_else_is_refused_with_its_place),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(tokens_come_in_order_with_their_text),
        cmocka_unit_test(an_escaped_nul_counts_into_the_length),
        cmocka_unit_test(a_string_is_limited),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(bare_words_name_their_remedy),
        cmocka_unit_test(skipping_returns_the_values_text),
        cmocka_unit_test(skipping_needs_a_value_and_a_whole_one),
        cmocka_unit_test(bulk_numbers_are_read_with_their_words),
        cmocka_unit_test(bulk_reading_refuses_what_is_no_number),
        cmocka_unit_test(bulk_reading_is_as_strict_between_numbers),
        cmocka_unit_test(bulk_reading_walks_nested_arrays),
        cmocka_unit_test(bulk_reading_needs_an_open_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
