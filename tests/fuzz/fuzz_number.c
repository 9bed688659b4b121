// Numbers as text and back (base/number.h), held against the C library's strtod and strtof.
#include "base/json_number.h"
#include "base/number.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

enum { TEXT_MOST = 400 };

static void read_as_libc_does(const char *text, size_t size)
{
    double value = 0;
    float single = 0;
    bool overflow = false, single_overflow = false;
    const char *end = number_read_double(text, text + size, &value, &overflow);
    const char *single_end = number_read_float(text, text + size, &single, &single_overflow);
    fuzz_require(end == single_end);
    if (!end)
        return;
    fuzz_require(end > text && end <= text + size);
    char copy[TEXT_MOST + 1];
    memcpy(copy, text, (size_t)(end - text));
    copy[end - text] = '\0';
    double expected = strtod(copy, NULL);
    float expected_single = strtof(copy, NULL);
    fuzz_require(memcmp(&value, &expected, sizeof value) == 0);
    fuzz_require(memcmp(&single, &expected_single, sizeof single) == 0);
    fuzz_require(overflow == !isfinite(expected) && single_overflow == !isfinite(expected_single));
}

// JSON's reader has ways of its own for most numbers; with room behind them and without.
static void read_json_as_libc_does(const char *text, size_t size)
{
    char copy[TEXT_MOST + 64];
    const char *wrong;
    bool overflow;
    double values[2];
    memset(copy, ']', sizeof copy);
    memcpy(copy, text, size);
    const char *ends[2] = {json_number_read(copy, copy + size, &values[0], &overflow, &wrong),
                           json_number_read(copy, copy + sizeof copy, &values[1], &overflow, &wrong)};
    fuzz_require(ends[0] == ends[1]);
    if (!ends[0])
        return;
    copy[ends[0] - copy] = '\0';
    const double expected = strtod(copy, NULL);
    for (int i = 0; i < 2; i++)
        fuzz_require(memcmp(&values[i], &expected, sizeof expected) == 0);
}

static void write_and_read_back(const uint8_t *bytes, size_t size)
{
    double value, again = 0;
    float single, single_again = 0;
    char text[NUMBER_TEXT_SIZE];
    bool overflow;
    if (size < sizeof value)
        return;
    memcpy(&value, bytes, sizeof value);
    memcpy(&single, bytes, sizeof single);
    size_t length = number_write_double(text, value);
    fuzz_require(length > 0 && length < NUMBER_TEXT_SIZE);
    if (isfinite(value)) {
        fuzz_require(number_read_double(text, text + length, &again, &overflow) == text + length);
        fuzz_require(memcmp(&value, &again, sizeof value) == 0);
    }
    length = number_write_float(text, single);
    fuzz_require(length > 0 && length < NUMBER_TEXT_SIZE);
    if (isfinite(single)) {
        fuzz_require(number_read_float(text, text + length, &single_again, &overflow) == text + length);
        fuzz_require(memcmp(&single, &single_again, sizeof single) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size > TEXT_MOST)
        size = TEXT_MOST;
    int64_t whole;
    read_as_libc_does((const char *)bytes, size);
    read_json_as_libc_does((const char *)bytes, size);
    if (number_read_int((const char *)bytes, (const char *)bytes + size, &whole)) {
        char text[32];
        int length = snprintf(text, sizeof text, "%lld", (long long)whole);
        // The same digits, but for zeros in front and the sign of zero.
        fuzz_require(whole == 0 || (size_t)length <= size);
    }
    write_and_read_back(bytes, size);
    return 0;
}
