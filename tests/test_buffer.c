#include "base/buffer.h"
#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void appending_keeps_a_terminator(void **state)
{
    (void)state;
    struct buffer buffer = buffer_new(1000);
    assert_null(buffer.data);
    assert_true(buffer_text(&buffer, "a") && buffer_char(&buffer, 'b') && buffer_append(&buffer, "c\0d", 3));
    assert_true(buffer_format(&buffer, "%d%s", 42, "!"));
    assert_int_equal(buffer.size, 8);
    assert_memory_equal(buffer.data, "abc\0d42!", 9);
    buffer_free(&buffer);
    assert_true(buffer.data == NULL && buffer.size == 0 && buffer.limit == 1000);
    buffer_free(NULL);
}

static void reserving_terminates_what_is_there(void **state)
{
    (void)state;
    struct buffer buffer = buffer_new(1000);
    assert_non_null(buffer_reserve(&buffer, 300));
    assert_int_equal(buffer.size, 0);
    assert_string_equal(buffer.data, "");
    buffer_text(&buffer, "abc");
    char *end = buffer_reserve(&buffer, 900); // moves `data`
    assert_ptr_equal(end, buffer.data + 3);
    assert_string_equal(buffer.data, "abc");
    buffer_free(&buffer);
}

static void growth_stops_at_the_limit(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 600; limit += 37) {
        struct buffer buffer = buffer_new(limit);
        for (size_t i = 0; i < limit; i++)
            assert_true(buffer_char(&buffer, 'x'));
        assert_int_equal(buffer.size, limit);
        assert_true(buffer.capacity <= limit + 1);
        assert_false(buffer_char(&buffer, 'x'));
        assert_int_equal(buffer.failed, NABLA_LIMIT);
        buffer_free(&buffer);
    }
}

static void a_failure_changes_nothing_and_sticks(void **state)
{
    (void)state;
    struct buffer buffer = buffer_new(5);
    struct nabla_error err;
    assert_true(buffer_text(&buffer, "abc"));
    assert_int_equal(buffer_status(&buffer, "the text", &err), NABLA_OK);
    assert_false(buffer_text(&buffer, "def"));
    assert_false(buffer_char(&buffer, 'd'));
    assert_false(buffer_format(&buffer, "%d", 1));
    assert_null(buffer_reserve(&buffer, 0));
    assert_string_equal(buffer.data, "abc");
    assert_int_equal(buffer_status(&buffer, "the text", &err), NABLA_LIMIT);
    assert_string_equal(err.text, "the text does not fit into its limit of 5 bytes");
    assert_null(buffer_steal(&buffer, NULL));
    buffer_free(&buffer);
    assert_true(buffer_text(&buffer, "again"));
    buffer_free(&buffer);
}

static void formatting_fills_the_room_or_changes_nothing(void **state)
{
    (void)state;
    for (int width = 0; width < 600; width += 7) {
        struct buffer buffer = buffer_new(500);
        assert_true(buffer_text(&buffer, "begin"));
        bool fits = 5 + width <= 500;
        assert_int_equal(buffer_format(&buffer, "%*s", width, ""), fits);
        assert_int_equal(buffer.size, fits ? 5 + width : 5);
        assert_int_equal(strlen(buffer.data), buffer.size);
        assert_int_equal(buffer.failed, fits ? NABLA_OK : NABLA_LIMIT);
        buffer_free(&buffer);
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct buffer buffer = buffer_new(SIZE_MAX);
    buffer_char(&buffer, 'x');
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.failed, NABLA_LIMIT);
    buffer_free(&buffer);
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.failed, NABLA_LIMIT);
    buffer_free(&buffer);
}

static void stealing_leaves_an_empty_buffer(void **state)
{
    (void)state;
    size_t size = 42;
    struct buffer buffer = buffer_new(100);
    assert_null(buffer_steal(&buffer, &size));
    assert_int_equal(size, 42);
    buffer_text(&buffer, "abc");
    char *data = buffer_steal(&buffer, &size);
    assert_string_equal(data, "abc");
    assert_true(size == 3 && buffer.data == NULL && buffer.size == 0 && buffer.limit == 100);
    free(data);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    struct buffer buffer = buffer_new(1000);
    assert_true(buffer_json_string(&buffer, "a\"\\\n\r\t\x01\x1f/\xc3\xa9"));
    assert_string_equal(buffer.data, "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f/\xc3\xa9\"");
    buffer_free(&buffer);
}

static void size_arithmetic_is_checked(void **state)
{
    (void)state;
    size_t result = 42;
    assert_true(size_mul(SIZE_MAX / 2, 2, &result) && result == SIZE_MAX - 1);
    assert_true(size_mul(0, SIZE_MAX, &result) && result == 0);
    assert_true(size_add(SIZE_MAX - 1, 1, &result) && result == SIZE_MAX);
    result = 42;
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &result) || size_add(SIZE_MAX, 1, &result));
    assert_int_equal(result, 42);
}

static void allocations_are_zeroed_aligned_and_checked(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 17, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        float *memory = size_alloc(counts[i], 3, sizeof *memory);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t k = 0; k < counts[i] * 3; k++)
            assert_true(memory[k] == 0);
        free(memory);
    }
    assert_null(size_alloc(SIZE_MAX / 2, 3, 1));
    assert_null(size_alloc(SIZE_MAX / 4, 2, 4));
    assert_null(size_alloc(SIZE_MAX, 1, 1)); // rounding up to the alignment would wrap
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_keeps_a_terminator),
        cmocka_unit_test(reserving_terminates_what_is_there),
        cmocka_unit_test(growth_stops_at_the_limit),
        cmocka_unit_test(a_failure_changes_nothing_and_sticks),
        cmocka_unit_test(formatting_fills_the_room_or_changes_nothing),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(stealing_leaves_an_empty_buffer),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(size_arithmetic_is_checked),
        cmocka_unit_test(allocations_are_zeroed_aligned_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
