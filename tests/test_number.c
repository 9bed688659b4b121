#include "base/number.h"
#include "math/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROUND_TRIPS = 20000 };

static void assert_same_bits(double a, double b, const char *text)
{
    if (memcmp(&a, &b, sizeof a) != 0)
        fail_msg("%s: %.17g is not %.17g", text, a, b);
}

static const char *read_double(const char *text, double *ret, bool *ret_overflow)
{
    return number_read_double(text, text + strlen(text), ret, ret_overflow);
}

static const struct {
    const char *text;
    size_t used;
    double value;
    bool overflow;
    const char *comment;
} doubles[] = {
    {"0", 1, 0.0, false, "zero"},
    {"-0", 2, -0.0, false, "negative zero keeps its sign"},
    {"-0.0e5", 6, -0.0, false, "negative zero in full"},
    {"1.5", 3, 1.5, false, "a fraction"},
    {"+2", 2, 2, false, "a plus, as CSV has it"},
    {".5", 2, .5, false, "no digit before the point"},
    {"-.5", 3, -.5, false, "the same, negative"},
    {"+.5e1", 5, 5, false, "the same with everything"},
    {"5.", 2, 5, false, "no digit behind the point"},
    {"007", 3, 7, false, "leading zeros"},
    {"1e3", 3, 1000, false, "exponent"},
    {"1E+3", 4, 1000, false, "exponent with a plus"},
    {"1e", 1, 1, false, "an exponent without digits is not read"},
    {"1e+", 1, 1, false, "nor with a sign alone"},
    {"12abc", 2, 12, false, "stops at what is no number"},
    {"1.2.3", 3, 1.2, false, "one point only"},
    {"0x10", 1, 0, false, "no hexadecimal"},
    {"1e400", 5, INFINITY, true, "too large"},
    {"-1e400", 6, -INFINITY, true, "too large, negative"},
    {"+1e400", 6, INFINITY, true, "too large with a plus"},
    {"1e99999999999999999999", 22, INFINITY, true, "an exponent beyond 64 bits"},
    {"1e-99999999999999999999", 23, 0, false, "and a negative one"},
    {"0e99999999999999999999", 22, 0, false, "zero times anything"},
    {"1e-400", 6, 0, false, "too small"},
    {"-1e-400", 7, -0.0, false, "too small keeps the sign"},
    {"4.9e-324", 8, 0x1p-1074, false, "the smallest subnormal"},
    {"2.5e-324", 8, 0x1p-1074, false, "nearer to it than to 0"},
    {"2.4e-324", 8, 0, false, "nearer to 0"},
    {"2.2250738585072011e-308", 23, 0x0.fffffffffffffp-1022, false, "the number that hung PHP and Java"},
    {"1.7976931348623157e308", 22, DBL_MAX, false, "the largest"},
    {"1.7976931348623158e308", 22, DBL_MAX, false, "rounds to the largest"},
    {"1.7976931348623159e308", 22, INFINITY, true, "rounds beyond the largest"},
    {"9007199254740993", 16, 9007199254740992.0, false, "a tie goes to even"},
    {"9007199254740993.0000000000000000000000000001", 45, 9007199254740994.0, false, "just above the tie"},
};

static void doubles_are_read_correctly_rounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(doubles); i++) {
        double value = NAN;
        bool overflow = !doubles[i].overflow;
        const char *end = read_double(doubles[i].text, &value, &overflow);
        if (end != doubles[i].text + doubles[i].used || overflow != doubles[i].overflow)
            fail_msg("%s (%s): wrong end or overflow", doubles[i].text, doubles[i].comment);
        assert_same_bits(value, doubles[i].value, doubles[i].text);
    }
}

static const char *const no_numbers[] = {"",    "-",    "+",    ".",        "-.",  "+-1", "-+1",
                                         "--1", "++1",  "e5",   ".e5",      "abc", "nan", "NaN",
                                         "inf", "-inf", "+inf", "Infinity", " 1",  "-e1"};

static void what_is_no_number_is_refused_and_sets_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(no_numbers); i++) {
        double value = 42;
        float small = 42;
        bool overflow = true;
        const char *text = no_numbers[i], *end = text + strlen(text);
        if (number_read_double(text, end, &value, &overflow) ||
            number_read_float(text, end, &small, &overflow))
            fail_msg("'%s' was read", text);
        assert_true(value == 42 && small == 42 && overflow);
    }
}

static const struct {
    const char *text;
    float value;
    bool overflow;
    const char *comment;
} floats[] = {
    {"3.4028235e38", FLT_MAX, false, "the largest"},
    {"3.4028236e38", INFINITY, true, "beyond it"},
    {"-1e39", -INFINITY, true, "beyond it, negative"},
    {"1e-45", 0x1p-149f, false, "the smallest subnormal"},
    {"1e-46", 0, false, "below it"},
    {"-1e-46", -0.0f, false, "below it, negative"},
    {"0.00000000000000000000000000000000000000000000000000001", 0, false, "small without an exponent"},
    {"100000000000000000000000000000000000000000", INFINITY, true, "large without an exponent"},
    {"1.00000005960464477539062500001", 0x1.000002p0f, false, "above a tie: twice rounded it would go down"},
    {"16777217", 16777216, false, "a tie goes to even"},
};

static void floats_are_rounded_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(floats); i++) {
        float value = NAN;
        bool overflow = !floats[i].overflow;
        const char *text = floats[i].text, *end = text + strlen(text);
        assert_ptr_equal(number_read_float(text, end, &value, &overflow), end);
        assert_int_equal(overflow, floats[i].overflow);
        assert_same_bits((double)value, (double)floats[i].value, text);
    }
}

static void only_the_given_characters_are_read(void **state)
{
    (void)state;
    const char text[] = "12345";
    double value;
    bool overflow;
    assert_ptr_equal(number_read_double(text, text + 2, &value, &overflow), text + 2);
    assert_true(value == 12);
    assert_null(number_read_double(text, text, &value, &overflow));
}

static void any_double_reads_back_to_its_bits(void **state)
{
    (void)state;
    struct random random = random_new(1, 0);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        uint64_t bits = random_u64(&random);
        if (i % 4 == 0)
            bits &= UINT64_C(0x800FFFFFFFFFFFFF); // a subnormal
        double value, again = NAN;
        char text[NUMBER_TEXT_SIZE];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        size_t length = number_write_double(text, value);
        assert_int_equal(length, strlen(text));
        bool overflow = true;
        assert_ptr_equal(number_read_double(text, text + length, &again, &overflow), text + length);
        assert_false(overflow);
        assert_same_bits(value, again, text);
    }
}

static void any_float_reads_back_to_its_bits(void **state)
{
    (void)state;
    struct random random = random_new(2, 0);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        uint32_t bits = random_u32(&random);
        if (i % 4 == 0)
            bits &= 0x807FFFFF; // a subnormal
        float value, again = NAN;
        char text[NUMBER_TEXT_SIZE];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        size_t length = number_write_float(text, value);
        bool overflow = true;
        assert_ptr_equal(number_read_float(text, text + length, &again, &overflow), text + length);
        assert_false(overflow);
        assert_memory_equal(&value, &again, sizeof value);
    }
}

static const struct {
    double value;
    const char *text;
} written[] = {
    {0.1, "0.1"},
    {-0.0, "-0"},
    {1, "1"},
    {0.30000000000000004, "0.30000000000000004"},
    {1e23, "1e+23"},
    {5e-324, "5e-324"},
    {-1.5, "-1.5"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {NAN, "NaN"},
    {INFINITY, "Infinity"},
    {-INFINITY, "-Infinity"},
};

// How many significant digits a text has: zeros at either end do not count.
static int significant(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (count == 0 && *text == '0'))
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

static void no_text_with_fewer_digits_reads_back(void **state)
{
    (void)state;
    char text[NUMBER_TEXT_SIZE], shorter[40];
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        double value;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        const uint64_t of = i % 4 ? bits : bits & ~((UINT64_C(1) << 52) - 1); // powers of two among them
        memcpy(&value, &of, sizeof value);
        if (!isfinite(value) || value == 0)
            continue;
        text[number_write_double(text, value)] = '\0';
        snprintf(shorter, sizeof shorter, "%.*e", significant(text) - 2, value);
        if (significant(text) > 1)
            assert_true(strtod(shorter, NULL) != value);
        // Of those with as few digits it is the nearest.
        snprintf(shorter, sizeof shorter, "%.*e", significant(text) - 1, value);
        if (strtod(shorter, NULL) == value)
            assert_true(strtod(text, NULL) == value &&
                        fabsl(strtold(text, NULL) - (long double)value) <=
                            fabsl(strtold(shorter, NULL) - (long double)value));
    }
}

static void writing_is_shortest_and_names_what_is_not_finite(void **state)
{
    (void)state;
    char text[NUMBER_TEXT_SIZE];
    for (size_t i = 0; i < COUNT(written); i++) {
        assert_int_equal(number_write_double(text, written[i].value), strlen(written[i].text));
        assert_string_equal(text, written[i].text);
    }
    number_write_float(text, 0.1f);
    assert_string_equal(text, "0.1");
    number_write_float(text, -INFINITY);
    assert_string_equal(text, "-Infinity");
}

static void words_are_read_in_one_spelling(void **state)
{
    (void)state;
    static const char *const wrong[] = {"nan",      "NAN",       "NaN ", "",  "Inf",
                                        "infinity", "+Infinity", "-NaN", "Na"};
    double value = 0;
    const char *words[] = {"NaN", "Infinity", "-Infinity"};
    const double values[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(words); i++) {
        assert_true(number_read_word(words[i], words[i] + strlen(words[i]), &value));
        assert_true(isnan(values[i]) ? isnan(value) : value == values[i]);
    }
    value = 7;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_false(number_read_word(wrong[i], wrong[i] + strlen(wrong[i]), &value));
    assert_true(value == 7);
}

static const struct {
    const char *text;
    bool is_int, is_size;
    int64_t value;
} integers[] = {
    {"0", true, true, 0},
    {"-1", true, false, -1},
    {"9223372036854775807", true, true, INT64_MAX},
    {"-9223372036854775808", true, false, INT64_MIN},
    {"9223372036854775808", false, true, 0},
    {"-9223372036854775809", false, false, 0},
    {"18446744073709551616", false, false, 0},
    {"", false, false, 0},
    {"-", false, false, 0},
    {"+1", false, false, 0},
    {"1 ", false, false, 0},
    {" 1", false, false, 0},
    {"1.0", false, false, 0},
    {"1e3", false, false, 0},
    {"0x1", false, false, 0},
};

static void integers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(integers); i++) {
        const char *text = integers[i].text, *end = text + strlen(text);
        int64_t number = 42;
        size_t size = 42;
        assert_int_equal(number_read_int(text, end, &number), integers[i].is_int);
        assert_true(number == (integers[i].is_int ? integers[i].value : 42));
        assert_int_equal(number_read_size(text, end, &size), integers[i].is_size);
        if (integers[i].is_int && integers[i].is_size)
            assert_true(size == (size_t)integers[i].value);
        else if (!integers[i].is_size)
            assert_true(size == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_read_correctly_rounded),
        cmocka_unit_test(what_is_no_number_is_refused_and_sets_nothing),
        cmocka_unit_test(floats_are_rounded_once),
        cmocka_unit_test(only_the_given_characters_are_read),
        cmocka_unit_test(any_double_reads_back_to_its_bits),
        cmocka_unit_test(any_float_reads_back_to_its_bits),
        cmocka_unit_test(no_text_with_fewer_digits_reads_back),
        cmocka_unit_test(writing_is_shortest_and_names_what_is_not_finite),
        cmocka_unit_test(words_are_read_in_one_spelling),
        cmocka_unit_test(integers_are_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
