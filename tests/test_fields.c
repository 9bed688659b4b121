// The readers of fields: what they take, what they answer for nothing, and which problem each wrong value is.
#include "api/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int colour_find(const char *name)
{
    static const char *const names[] = {"red", "green"};
    for (int i = 0; i < 2; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

// One read of the field "f" by each reader; the number that it gave.
static double read_number(struct fields *fields)
{
    return fields_number(fields, "f", -7, 0, 1);
}

static double read_any(struct fields *fields)
{
    return fields_number(fields, "f", -7, -1.7976931348623157e308, 1.7976931348623157e308);
}

static double read_whole(struct fields *fields)
{
    return (double)fields_whole(fields, "f", 7, 1, UINT64_MAX);
}

static double read_bool(struct fields *fields)
{
    return fields_bool(fields, "f", true);
}

static double read_choice(struct fields *fields)
{
    return fields_choice(fields, "f", 0, colour_find, "red or green");
}

static double read_text(struct fields *fields)
{
    return (double)strlen(fields_text(fields, "f", "ab"));
}

static const struct {
    const char *comment;
    double (*read)(struct fields *fields);
    const char *object;
    double value;
    const char *problem; // part of its detail, NULL for none
} reads[] = {
    {"a number", read_number, "{\"f\":0.5}", 0.5, NULL},
    {"an integer is a number", read_number, "{\"f\":1}", 1, NULL},
    {"absent", read_number, "{}", -7, NULL},
    {"null is absent", read_number, "{\"f\":null}", -7, NULL},
    {"above its range", read_number, "{\"f\":1.5}", -7, "a number from 0 to 1"},
    {"below its range", read_number, "{\"f\":-1e-300}", -7, "a number from 0 to 1"},
    {"a text is no number", read_number, "{\"f\":\"0.5\"}", -7, "a number"},
    {"nor is true", read_number, "{\"f\":true}", -7, "a number"},
    {"no bounds are not spelled out", read_any, "{\"f\":[]}", -7, "must be a finite number"},
    {"a whole number", read_whole, "{\"f\":3}", 3, NULL},
    {"written with a fraction", read_whole, "{\"f\":3.0}", 3, NULL},
    {"written with an exponent", read_whole, "{\"f\":3e2}", 300, NULL},
    {"the largest", read_whole, "{\"f\":9007199254740991}", 9007199254740991, NULL},
    {"one beyond", read_whole, "{\"f\":9007199254740992}", 7, "from 1 to 9007199254740991"},
    {"a fraction", read_whole, "{\"f\":3.5}", 7, "a whole number"},
    {"too small", read_whole, "{\"f\":0}", 7, "a whole number from 1"},
    {"negative", read_whole, "{\"f\":-1}", 7, "a whole number from 1"},
    {"far beyond", read_whole, "{\"f\":1e300}", 7, "a whole number"},
    {"false", read_bool, "{\"f\":false}", 0, NULL},
    {"absent is the default", read_bool, "{}", 1, NULL},
    {"0 is not false", read_bool, "{\"f\":0}", 1, "true or false"},
    {"a name", read_choice, "{\"f\":\"green\"}", 1, NULL},
    {"an unknown name", read_choice, "{\"f\":\"blue\"}", 0, "must be red or green, not \"blue\""},
    {"names have their case", read_choice, "{\"f\":\"Green\"}", 0, "red or green"},
    {"a name with a NUL", read_choice, "{\"f\":\"green\\u0000\"}", 0, "red or green"},
    {"no name", read_choice, "{\"f\":1}", 0, "must be red or green"},
    {"a text", read_text, "{\"f\":\"abc\"}", 3, NULL},
    {"an empty text is one", read_text, "{\"f\":\"\"}", 0, NULL},
    {"no text", read_text, "{\"f\":{}}", 2, "a text"},
    {"an unknown field", read_text, "{\"g\":1}", 2, "no such field"},
};

static void test_each_reader_takes_its_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        struct problems problems = {0};
        json_t *object = json_loads(reads[i].object, JSON_ALLOW_NUL, NULL);
        print_message("%s\n", reads[i].comment);
        assert_non_null(object);
        struct fields fields = fields_begin(object, "/at", &problems);
        assert_true(reads[i].read(&fields) == reads[i].value);
        fields_end(&fields);
        assert_int_equal(problems.count, reads[i].problem ? 1 : 0);
        if (reads[i].problem && !strstr(problems.fields[0].detail, reads[i].problem))
            fail_msg("\"%s\" lacks \"%s\"", problems.fields[0].detail, reads[i].problem);
        if (reads[i].problem)
            assert_string_equal(problems.fields[0].pointer, json_object_get(object, "g") ? "/at/g" : "/at/f");
        json_decref(object);
    }
}

static void test_what_is_no_object_is_one_problem(void **state)
{
    (void)state;
    struct problems problems = {0};
    json_t *list = json_array();
    struct fields fields = fields_begin(list, "/at", &problems);
    assert_false(fields_has(&fields, "f"));
    fields_end(&fields);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.fields[0].pointer, "/at");
    json_decref(list);
}

static void test_nothing_reads_as_empty(void **state)
{
    (void)state;
    struct problems problems = {0};
    struct fields fields = fields_begin(NULL, "/at", &problems);
    assert_true(fields_number(&fields, "f", 3, 0, 9) == 3);
    fields_end(&fields);
    assert_int_equal(problems.count, 0);
}

static void test_pointers_are_escaped_and_never_overflow(void **state)
{
    (void)state;
    char pointer[160], name[400];
    struct problems problems = {0};
    struct fields fields = fields_begin(NULL, "/a", &problems);
    fields_pointer(&fields, "x/y~z", pointer);
    assert_string_equal(pointer, "/a/x~1y~0z");
    memset(name, '~', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    fields_pointer(&fields, name, pointer);
    assert_true(strlen(pointer) < sizeof pointer);
    assert_string_equal(pointer + strlen(pointer) - 2, "~0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_reader_takes_its_type),
        cmocka_unit_test(test_what_is_no_object_is_one_problem),
        cmocka_unit_test(test_nothing_reads_as_empty),
        cmocka_unit_test(test_pointers_are_escaped_and_never_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
