// The strict JSON reader (base/json.h), held against jansson: both take a text or both refuse it, but for
// what only one of them knows (its depth, numbers that no double holds, NUL in keys).
#include "base/json.h"
#include "base/number.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

enum { STRING_LIMIT = 1 << 16 };

// jansson.h and base/json.h do not get on in one file.
int fuzz_jansson_takes(const char *text, size_t size);

static enum nabla_code read_whole(const char *text, size_t size, unsigned *ret_depth, bool *ret_has_escape,
                                  struct nabla_error *err)
{
    struct json_reader reader = json_open(text, size, STRING_LIMIT);
    enum json_token token = JSON_NULL;
    enum nabla_code code;
    size_t tokens = 0;
    while ((code = json_next(&reader, &token, err)) == NABLA_OK && token != JSON_END) {
        fuzz_require(reader.token >= text && reader.token < reader.at && reader.at <= text + size);
        fuzz_require(++tokens <= size);
        *ret_depth = reader.depth > *ret_depth ? reader.depth : *ret_depth;
        if (token == JSON_KEY || token == JSON_STRING)
            fuzz_require(reader.string.data[reader.string.size] == '\0');
        if (token == JSON_NUMBER) {
            double value;
            bool overflow = false;
            fuzz_require(number_read_double(reader.token, reader.at, &value, &overflow) == reader.at);
            fuzz_require(!isnan(value));
        }
    }
    *ret_has_escape = memchr(text, '\\', size) != NULL;
    size_t line, column;
    json_position(&reader, &line, &column);
    fuzz_require(line >= 1 && column >= 1);
    json_close(&reader);
    return code;
}

// What bulk arrays go through: the same numbers one by one and many at once.
static void read_numbers(const char *text, size_t size)
{
    struct json_reader one = json_open(text, size, STRING_LIMIT);
    struct json_reader many = json_open(text, size, STRING_LIMIT);
    struct nabla_error err = {0};
    enum json_token token;
    if (json_next(&one, &token, &err) == NABLA_OK && token == JSON_ARRAY_BEGIN &&
        json_next(&many, &token, &err) == NABLA_OK) {
        double values[7];
        size_t count = 0;
        bool many_end = false, one_end = false;
        enum nabla_code many_code = NABLA_OK, one_code = NABLA_OK;
        while (!many_end && !many_code) {
            many_code = json_next_doubles(&many, values, 7, &count, &many_end, &err);
            fuzz_require(count <= 7);
            for (size_t i = 0; i < count; i++) {
                double value;
                fuzz_require(json_next_double(&one, &value, &one_end, &err) == NABLA_OK && !one_end);
                fuzz_require(memcmp(&value, &values[i], sizeof value) == 0);
            }
        }
        double value;
        one_code = json_next_double(&one, &value, &one_end, &err);
        fuzz_require(one_code == many_code);
        fuzz_require(one_code || one_end);
    }
    json_close(&one);
    json_close(&many);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *text = (const char *)bytes;
    struct nabla_error err = {0};
    unsigned depth = 0;
    bool has_escape = false;
    enum nabla_code code = read_whole(text, size, &depth, &has_escape, &err);
    const bool has_nul = memchr(text, '\0', size) != NULL; // which jansson takes for the text's end
    if (code) {
        fuzz_require_reason(code, &err);
        // What we refuse jansson refuses, but for our limits (depth, length of strings).
        if (code == NABLA_MALFORMED && !strstr(err.text, "deep") && !has_nul)
            fuzz_require(fuzz_jansson_takes(text, size) <= 0);
    } else if (!has_escape) { // a NUL that an escape makes is refused by jansson alone
        fuzz_require(fuzz_jansson_takes(text, size) != 0);
    }
    read_numbers(text, size);
    return 0;
}
