// What a request is called, and the trace that it belongs to.
#include "server/request_id.h"

#include "api/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_sound_name_is_kept_and_any_other_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        bool is_kept;
    } cases[] = {
        {"a", true},
        {"7f3c-AZ_09.:+/=@", true},
        {"0123456789012345678901234567890123456789012345678901234567890123", true},
        {"01234567890123456789012345678901234567890123456789012345678901234", false},
        {"", false},
        {NULL, false},
        {"two words", false},
        {"quote\"", false},
        {"tab\t", false},
        {"\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[REQUEST_ID_SIZE];
        request_id_make(cases[i].given, 7, id);
        if (cases[i].is_kept)
            assert_string_equal(id, cases[i].given);
        else
            assert_int_equal(strlen(id), 16);
    }
}

static void numbers_in_a_row_give_different_names(void **state)
{
    (void)state;
    char first[REQUEST_ID_SIZE], second[REQUEST_ID_SIZE];
    request_id_make(NULL, 1, first);
    request_id_make(NULL, 2, second);
    assert_string_not_equal(first, second);
}

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void a_traceparent_is_taken_by_the_rules(void **state)
{
    (void)state;
    static const struct {
        const char *comment, *given;
        bool is_taken;
    } cases[] = {
        {"sampled", "00-" TRACE "-" PARENT "-01", true},
        {"not sampled", "00-" TRACE "-" PARENT "-00", true},
        {"none", NULL, false},
        {"empty", "", false},
        {"another version", "01-" TRACE "-" PARENT "-01", false},
        {"upper case", "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", false},
        {"no trace", "00-00000000000000000000000000000000-" PARENT "-01", false},
        {"no parent", "00-" TRACE "-0000000000000000-01", false},
        {"a part more", "00-" TRACE "-" PARENT "-01-x", false},
        {"a digit short", "00-" TRACE "-" PARENT "-1", false},
        {"other separators", "00_" TRACE "_" PARENT "_01", false},
        {"a line break", "00-" TRACE "-" PARENT "-0\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char trace[TRACEPARENT_SIZE];
        print_message("%s\n", cases[i].comment);
        trace_parse(cases[i].given, trace);
        assert_string_equal(trace, cases[i].is_taken ? cases[i].given : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_name_is_kept_and_any_other_replaced),
        cmocka_unit_test(numbers_in_a_row_give_different_names),
        cmocka_unit_test(a_traceparent_is_taken_by_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
