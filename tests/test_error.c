#include "base/error.h"
#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void every_code_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < NABLA_CODE_COUNT; i++) {
        const char *name = nabla_code_name((enum nabla_code)i);
        assert_true(name[0] && strcmp(name, "unknown") != 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, nabla_code_name((enum nabla_code)j));
    }
    assert_string_equal(nabla_code_name(NABLA_NOT_FOUND), "not_found");
    assert_string_equal(nabla_code_name(NABLA_CODE_COUNT), "unknown");
    assert_string_equal(nabla_code_name((enum nabla_code) - 1), "unknown");
}

static void failing_fills_the_error_and_returns_the_code(void **state)
{
    (void)state;
    struct nabla_error err;
    assert_int_equal(nabla_fail(&err, NABLA_LIMIT, "/rows", "%d of %s", 7, "them"), NABLA_LIMIT);
    assert_int_equal(err.code, NABLA_LIMIT);
    assert_string_equal(err.pointer, "/rows");
    assert_string_equal(err.text, "7 of them");
    assert_int_equal(nabla_fail(&err, NABLA_BUSY, NULL, "later"), NABLA_BUSY);
    assert_string_equal(err.pointer, "");
    assert_int_equal(nabla_fail(NULL, NABLA_IO, "/x", "nobody listens"), NABLA_IO);
    assert_int_equal(nabla_fail_memory(&err, "a matrix"), NABLA_NO_MEMORY);
    assert_string_equal(err.text, "cannot allocate a matrix");
}

// Texts of every length around the room, of characters of 1 to 4 bytes.
static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9d\x84\x9e"};
    for (size_t k = 0; k < COUNT(characters); k++)
        for (size_t lead = 0; lead < 5; lead++) {
            char text[1200] = "";
            size_t step = strlen(characters[k]);
            memset(text, 'x', lead);
            for (size_t at = lead; at + step < sizeof text; at += step)
                strcpy(text + at, characters[k]);
            struct nabla_error err;
            nabla_fail(&err, NABLA_IO, text, "%s", text);
            assert_true(utf8_valid(err.text, strlen(err.text)));
            assert_true(utf8_valid(err.pointer, strlen(err.pointer)));
            assert_in_range(strlen(err.text), sizeof err.text - 5, sizeof err.text - 1);
            assert_in_range(strlen(err.pointer), sizeof err.pointer - 5, sizeof err.pointer - 1);
        }
}

static const struct {
    int number;
    enum nabla_code code;
    const char *reason;
} numbers[] = {
    {ENOSPC, NABLA_DISK_FULL, "No space left on device"},
    {EDQUOT, NABLA_DISK_FULL, "quota"},
    {ENOMEM, NABLA_NO_MEMORY, "Cannot allocate memory"},
    {EACCES, NABLA_IO, "Permission denied"},
    {99999, NABLA_IO, "99999"},
};

static void system_errors_give_their_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct nabla_error err;
        errno = numbers[i].number;
        assert_int_equal(nabla_fail_errno(&err, "open", "/tmp/x"), numbers[i].code);
        if (strncmp(err.text, "cannot open /tmp/x: ", 20) != 0 || !strstr(err.text, numbers[i].reason))
            fail_msg("%s", err.text);
    }
}

static const struct {
    const char *text;
    size_t size;
    const char *excerpt;
} excerpts[] = {
    {"", 0, ""},
    {"abc", 3, "abc"},
    {"a\nb\x7f\0c", 6, "a?b??c"},
    {"\xc3\xa9\xff\xe2\x82", 5, "\xc3\xa9???"},
};

static void excerpts_show_foreign_bytes_as_text(void **state)
{
    (void)state;
    char shown[UTF8_EXCERPT_SIZE];
    for (size_t i = 0; i < COUNT(excerpts); i++)
        assert_string_equal(utf8_excerpt(shown, excerpts[i].text, excerpts[i].size), excerpts[i].excerpt);
    char text[300];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'x', lead);
        for (size_t at = lead; at + 4 <= sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9d\x84\x9e", 4);
        size_t length = strlen(utf8_excerpt(shown, text, 200 + lead));
        assert_true(utf8_valid(shown, length) && length > 50);
        assert_string_equal(shown + length - 3, "…");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name),
        cmocka_unit_test(failing_fills_the_error_and_returns_the_code),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(system_errors_give_their_reason),
        cmocka_unit_test(excerpts_show_foreign_bytes_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
