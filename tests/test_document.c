// Documents: what is lifted, what is left, and what is refused with which words.
#include "api/document.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *comment, *text;
    enum bulk_shape shape; // of /x
    size_t rows, columns;
    double first, last;
} lifted[] = {
    {"rows", "{\"x\":[[1,2],[3,4],[5,6.5]]}", BULK_ROWS, 3, 2, 1, 6.5},
    {"a flat list", "{\"x\":[7,8,9]}", BULK_LIST, 3, 1, 7, 9},
    {"one entry", "{\"x\":[-0.25]}", BULK_LIST, 1, 1, -0.25, -0.25},
    {"a scalar", "{\"x\":3}", BULK_SCALAR, 1, 1, 3, 3},
    {"words are numbers", "{\"x\":[\"-Infinity\",0,\"Infinity\"]}", BULK_LIST, 3, 1, -INFINITY, INFINITY},
    {"a word alone", "{\"x\":\"Infinity\"}", BULK_SCALAR, 1, 1, INFINITY, INFINITY},
    {"words in rows", "{\"x\":[[\"Infinity\"],[1e300]]}", BULK_ROWS, 2, 1, INFINITY, 1e300},
    {"an escaped key is the same key", "{\"\\u0078\":[4]}", BULK_LIST, 1, 1, 4, 4},
    {"the smallest subnormal", "{\"x\":[5e-324]}", BULK_LIST, 1, 1, 5e-324, 5e-324},
    {"white space anywhere", " {\n\"x\" :\t[ 1 ,\r\n2 ] } ", BULK_LIST, 2, 1, 1, 2},
};

static void test_bulk_becomes_doubles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lifted / sizeof *lifted; i++) {
        struct bulk bulk = {.pointer = "/x"};
        struct nabla_error err = {0};
        json_t *root = NULL;
        print_message("%s\n", lifted[i].comment);
        assert_int_equal(document_read(lifted[i].text, strlen(lifted[i].text), 1000, &bulk, 1, &root, &err),
                         NABLA_OK);
        assert_int_equal(bulk.shape, lifted[i].shape);
        assert_int_equal(bulk.rows, lifted[i].rows);
        assert_int_equal(bulk.columns, lifted[i].columns);
        assert_true(bulk.values[0] == lifted[i].first);
        assert_true(bulk.values[bulk.rows * bulk.columns - 1] == lifted[i].last);
        assert_null(root); // nothing else was there
        bulk_free(&bulk, 1);
    }
}

static const struct {
    const char *comment, *text;
    enum bulk_shape shape; // of /a/x
    const char *rest;      // as jansson writes it, keys sorted
} left[] = {
    {"beside the bulk", "{\"a\":{\"x\":[1,2],\"k\":[{\"d\":1}]},\"t\":\"[1,2]\"}", BULK_LIST,
     "{\"a\":{\"k\":[{\"d\":1}],\"x\":null},\"t\":\"[1,2]\"}"},
    {"the same name elsewhere", "{\"x\":[1],\"a\":{\"a\":{\"x\":[1]}}}", BULK_ABSENT,
     "{\"a\":{\"a\":{\"x\":[1]}},\"x\":[1]}"},
    {"no object on the way", "{\"a\":[{\"x\":[1]}]}", BULK_ABSENT, "{\"a\":[{\"x\":[1]}]}"},
    {"an integer beyond 64 bits", "{\"y\":99999999999999999999}", BULK_ABSENT, "{\"y\":1e20}"},
    {"null is absent", "{\"a\":{\"x\":null}}", BULK_ABSENT, "{\"a\":{\"x\":null}}"},
    {"a text stays", "{\"a\":{\"x\":\"balanced\"}}", BULK_OTHER, "{\"a\":{\"x\":\"balanced\"}}"},
    {"an empty text stays", "{\"a\":{\"x\":\"\"}}", BULK_OTHER, "{\"a\":{\"x\":\"\"}}"},
    {"texts stay", "{\"a\":{\"x\":[\"cat\",[\"dog\"],{}]}}", BULK_OTHER,
     "{\"a\":{\"x\":[\"cat\",[\"dog\"],{}]}}"},
    {"an object stays", "{\"a\":{\"x\":{\"y\":[1]}}}", BULK_OTHER, "{\"a\":{\"x\":{\"y\":[1]}}}"},
    {"true stays", "{\"a\":{\"x\":true}}", BULK_OTHER, "{\"a\":{\"x\":true}}"},
    {"a second field", "{\"a\":{\"x\":[1]},\"b\":[1]}", BULK_LIST, "{\"a\":{\"x\":null},\"b\":[1]}"},
    {"an empty list", "{\"a\":{\"x\":[]}}", BULK_LIST, "{\"a\":{\"x\":null}}"},
    {"an empty row", "{\"a\":{\"x\":[[]]}}", BULK_ROWS, "{\"a\":{\"x\":null}}"},
    {"an empty document", "{}", BULK_ABSENT, "{}"},
    {"quotes and backslashes in keys", "{\"q\\\"\\\\\":1,\"a\":{}}", BULK_ABSENT,
     "{\"a\":{},\"q\\\"\\\\\":1}"},
};

static void test_the_rest_stays_a_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        struct bulk bulk = {.pointer = "/a/x"};
        struct nabla_error err = {0};
        json_t *root = NULL;
        print_message("%s\n", left[i].comment);
        assert_int_equal(document_read(left[i].text, strlen(left[i].text), 1000, &bulk, 1, &root, &err),
                         NABLA_OK);
        assert_int_equal(bulk.shape, left[i].shape);
        char *rest = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(rest, left[i].rest);
        free(rest);
        json_decref(root);
        bulk_free(&bulk, 1);
    }
}

#define NINES "999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"

static const struct {
    const char *comment, *text;
    enum nabla_code code;
    const char *pointer, *part; // of the error
} refused[] = {
    {"a ragged row", "{\"x\":[[1,2],[3]]}", NABLA_INVALID, "/x/1", "1 numbers where row 0 has 2"},
    {"a longer row", "{\"x\":[[1],[3,4]]}", NABLA_INVALID, "/x/1", "2 numbers where row 0 has 1"},
    {"a number among rows", "{\"x\":[[1],2]}", NABLA_INVALID, "/x/1", "row 1"},
    {"a row among numbers", "{\"x\":[1,[2]]}", NABLA_INVALID, "/x/1", "entry 1"},
    {"a text in a row", "{\"x\":[[1,2],[3,\"4\"]]}", NABLA_INVALID, "/x/1/1", "row 1, entry 1"},
    {"null in a list", "{\"x\":[1,null]}", NABLA_INVALID, "/x/1", "entry 1"},
    {"null at the front", "{\"x\":[null,1]}", NABLA_INVALID, "/x/0", "expected a number"},
    {"three levels", "{\"x\":[[[1]]]}", NABLA_INVALID, "/x/0/0", "expected a number"},
    {"too large a number", "{\"x\":[1,1e400]}", NABLA_INVALID, "/x/1", "entry 1"},
    {"too large a scalar", "{\"x\":1e400}", NABLA_INVALID, "/x", "too large"},
    {"too large elsewhere", "{\"y\":1e400}", NABLA_INVALID, "", "cannot be taken"},
    {"an integer beyond a double", "{\"y\":1" NINES NINES NINES NINES "}", NABLA_INVALID, "",
     "cannot be taken"},
    {"a bare NaN", "{\"x\":[1, NaN]}", NABLA_MALFORMED, "", "write it as a string: \"NaN\""},
    {"its place", "{\"x\":[1,\n NaN]}", NABLA_MALFORMED, "", "line 2, column 2"},
    {"a bare NaN as the value", "{\"y\":NaN}", NABLA_MALFORMED, "", "write it as a string: \"NaN\""},
    {"a bare NaN in front", "{\"x\":[NaN]}", NABLA_MALFORMED, "", "write it as a string: \"NaN\""},
    {"a bare -Infinity", "{\"x\":[-Infinity]}", NABLA_MALFORMED, "", "as a string: \"-Infinity\""},
    {"a bare Infinity", "{\"x\":[1,Infinity]}", NABLA_MALFORMED, "", "as a string: \"Infinity\""},
    {"C's words", "{\"x\":[1,nan]}", NABLA_MALFORMED, "", "as a string: \"NaN\""},
    {"a bulk field twice", "{\"x\":[1],\"x\":[2]}", NABLA_MALFORMED, "/x", "twice"},
    {"a bulk field twice, once null", "{\"x\":null,\"x\":[2]}", NABLA_MALFORMED, "", "duplicate"},
    {"a small field twice", "{\"y\":1,\"y\":1}", NABLA_MALFORMED, "", "duplicate"},
    {"a deep field twice", "{\"y\":{\"z\":1,\"z\":1}}", NABLA_MALFORMED, "", "duplicate"},
    {"nothing", "", NABLA_MALFORMED, "", "line 1"},
    {"no object", "[1]", NABLA_INVALID, "", "must be a JSON object"},
    {"a number", "3", NABLA_INVALID, "", "must be a JSON object"},
    {"two documents", "{}{}", NABLA_MALFORMED, "", "line 1, column 3"},
    {"a trailing comma", "{\"x\":[1,]}", NABLA_MALFORMED, "", "line 1"},
    {"cut off in a list", "{\"x\":[1,2", NABLA_MALFORMED, "", "line 1"},
    {"cut off in a row", "{\"x\":[[1,2],[", NABLA_MALFORMED, "", "line 1"},
    {"a leading zero", "{\"x\":[01]}", NABLA_MALFORMED, "", "line 1"},
    {"a lone surrogate", "{\"y\":\"\\ud800\"}", NABLA_MALFORMED, "", "line 1"},
    {"bad UTF-8", "{\"y\":\"\xff\"}", NABLA_MALFORMED, "", "line 1"},
};

static void test_refusals_name_the_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct bulk bulk = {.pointer = "/x"};
        struct nabla_error err = {0};
        json_t *root = NULL;
        // A copy without terminator: reading past the end is for the sanitizers to see.
        size_t size = strlen(refused[i].text);
        char *text = malloc(size ? size : 1);
        memcpy(text, refused[i].text, size);
        print_message("%s\n", refused[i].comment);
        assert_int_equal(document_read(text, size, 1000, &bulk, 1, &root, &err), refused[i].code);
        assert_int_equal(err.code, refused[i].code);
        assert_string_equal(err.pointer, refused[i].pointer);
        if (!strstr(err.text, refused[i].part))
            fail_msg("\"%s\" lacks \"%s\"", err.text, refused[i].part);
        assert_null(bulk.values);
        assert_null(root);
        free(text);
    }
}

// `unit` repeated up to `size` bytes or more, within head and tail; free it.
static char *repeat(const char *head, const char *unit, const char *tail, size_t size)
{
    size_t length = strlen(unit), count = size / length + 1;
    char *text = malloc(strlen(head) + count * length + strlen(tail) + 1), *at = stpcpy(text, head);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, unit);
    strcpy(at, tail);
    return text;
}

static const struct {
    const char *comment, *head, *unit, *tail;
    enum nabla_code code;
} bombs[] = {
    {"many empty objects", "{\"y\":[0", ",{}", "]}", NABLA_LIMIT},
    {"many keys", "{\"y\":0", ",\"k\":0", "}", NABLA_LIMIT},
    {"a long text", "{\"y\":\"", "aaaaaaaa", "\"}", NABLA_LIMIT},
    {"a long bulk list is no document", "{\"x\":[0", ",1", "]}", NABLA_OK},
    {"deep nesting", "{\"y\":", "[", "", NABLA_MALFORMED},
};

static void test_the_document_has_a_limit_and_bulk_has_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        struct bulk bulk = {.pointer = "/x"};
        struct nabla_error err = {0};
        json_t *root = NULL;
        char *text = repeat(bombs[i].head, bombs[i].unit, bombs[i].tail, 4000);
        print_message("%s\n", bombs[i].comment);
        assert_int_equal(document_read(text, strlen(text), 1000, &bulk, 1, &root, &err), bombs[i].code);
        if (bombs[i].code == NABLA_LIMIT && !strstr(err.text, "max_document"))
            fail_msg("\"%s\" does not name the limit", err.text);
        json_decref(root);
        bulk_free(&bulk, 1);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk_becomes_doubles),
        cmocka_unit_test(test_the_rest_stays_a_document),
        cmocka_unit_test(test_refusals_name_the_place),
        cmocka_unit_test(test_the_document_has_a_limit_and_bulk_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
