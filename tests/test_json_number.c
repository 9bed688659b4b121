// JSON's numbers, against the C library's strtod: the same bits for every spelling.
#include "base/json_number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// In memory of exactly its size, so that reading behind the end is noticed.
static const char *read_alone(const char *text, double *ret, bool *ret_overflow, size_t *ret_length)
{
    size_t size = strlen(text);
    const char *wrong = NULL;
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    const char *end = json_number_read(copy, copy + size, ret, ret_overflow, &wrong);
    *ret_length = (size_t)((end ? end : wrong) - copy);
    free(copy);
    return end ? text + *ret_length : NULL;
}

static void assert_read(const char *text)
{
    double value = NAN, wanted = strtod(text, NULL);
    bool overflow = true;
    size_t length;
    if (!read_alone(text, &value, &overflow, &length) || length != strlen(text))
        fail_msg("%s is not read", text);
    if (memcmp(&value, &wanted, sizeof value) != 0)
        fail_msg("%s is read as %.17g", text, value);
    assert_int_equal(overflow, isinf(wanted) != 0);
}

static const char *const texts[] = {
    "0",
    "-0",
    "0.0",
    "-0.000",
    "0e5",
    "0e-400",
    "0.0e400",
    "1",
    "-1",
    "9",
    "10",
    "0.1",
    "0.30000000000000004",
    "1e22",
    "1e23",
    "123456789012345678",
    "9999999999999999999",
    "18446744073709551615",
    "18446744073709551616",
    // Halfway between doubles: to the even one. Without and with a division, and a digit off the middle.
    "9007199254740993",
    "9007199254740995",
    "9007199254740993.0",
    "4503599627370497.5",
    "4503599627370498.5",
    "4503599627370497.501",
    "4503599627370497.499",
    "900719925474099.25",
    "9007199254740993.00000000000000000001",
    "2251799813685249.75",
    "0.500000000000000166533453693773481063544750213623046875",
    // The ends of what is divided exactly.
    "1234567890123456789e-27",
    "1234567890123456789e-28",
    "9999999999999999999e-1",
    "9007199254740993e-27",
    "1e-22",
    "1e-23",
    "1e-27",
    "1e-28",
    "9007199254740991e22",
    "9007199254740992e22",
    "9007199254740993e1",
    // Leading and trailing zeros.
    "0.00000000000000000000001234567890123456789",
    "1.00000000000000000000000000000000",
    "100000000000000000000",
    "0.000012345678",
    "1234567.0000000000000",
    // The ends of the range.
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "-1e309",
    "2.2250738585072014e-308",
    "5e-324",
    "2e-324",
    "1e-99999999999999999999",
    "1e99999999999999999999",
    "0.1e-00000000000000001",
    "1E+5",
    "1E-5",
    // Blocks of eight and their ends.
    "1234567",
    "12345678",
    "123456789",
    "1.2345678",
    "1.23456789",
    "12345678.12345678",
    "12345678e1",
};

static void test_texts_are_read_as_by_strtod(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_read(texts[i]);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void test_random_doubles_come_back(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252;
    for (int i = 0; i < 100000; i++) {
        char text[64];
        double value,
            wide = ldexp((double)(next_random(&random) >> 11), (int)(next_random(&random) % 160) - 120);
        uint64_t bits = next_random(&random);
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            snprintf(text, sizeof text, "%.*e", (int)(bits % 20), value);
            assert_read(text);
        }
        snprintf(text, sizeof text, "%.*g", (int)(bits % 20) + 1, wide);
        assert_read(text);
    }
}

// Digits and a point anywhere: this is where halfway cases and long fractions come from.
static void test_random_decimals_are_read_as_by_strtod(void **state)
{
    (void)state;
    uint64_t random = 1442695040888963407;
    for (int i = 0; i < 100000; i++) {
        char text[64];
        unsigned whole = (unsigned)(next_random(&random) % 20),
                 part = (unsigned)(next_random(&random) % 20) + 1;
        int length = snprintf(text, sizeof text, "%llu", (unsigned long long)next_random(&random));
        length = whole < (unsigned)length ? (int)whole : length;
        if (length == 0)
            text[length++] = '0';
        length += snprintf(text + length, sizeof text - (size_t)length, ".%0*llu", (int)part,
                           (unsigned long long)next_random(&random) >> (next_random(&random) % 64));
        assert_read(text);
    }
}

static const struct {
    const char *comment, *text;
    size_t wrong;
} refused[] = {
    {"nothing", "", 0},
    {"a sign", "-", 1},
    {"a plus", "+1", 0},
    {"a leading zero", "01", 1},
    {"a bare point", ".5", 0},
    {"no fraction", "1.", 2},
    {"no exponent", "1e", 2},
    {"no exponent's digits", "1e+", 3},
    {"a letter", "x", 0},
    {"two zeros", "-00", 2},
    {"a fraction that is none", "1.e5", 2},
};

static void test_what_is_no_number_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        double value = 42;
        bool overflow;
        size_t wrong;
        print_message("%s\n", refused[i].comment);
        assert_null(read_alone(refused[i].text, &value, &overflow, &wrong));
        assert_int_equal(wrong, refused[i].wrong);
        assert_true(value == 42);
    }
}

static void test_numbers_end_where_they_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        double value;
    } ends[] = {{"12,3456789", 2, 12},
                {"1.5]aaaaaaaa", 3, 1.5},
                {"1234567:12345678", 7, 1234567},
                {"12345678/12345678", 8, 12345678},
                {"1e2\xff\xff\xff\xff\xff\xff\xff\xff", 3, 100},
                {"0 ", 1, 0}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        double value;
        bool overflow;
        size_t length;
        assert_non_null(read_alone(ends[i].text, &value, &overflow, &length));
        assert_int_equal(length, ends[i].length);
        assert_true(value == ends[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_read_as_by_strtod),
        cmocka_unit_test(test_random_doubles_come_back),
        cmocka_unit_test(test_random_decimals_are_read_as_by_strtod),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_numbers_end_where_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
