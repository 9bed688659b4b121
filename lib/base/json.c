// What may come next is one small state (`expect`); what encloses it is a stack of '{' and '['. A token moves
// the state on; the separators between tokens are consumed by the token that follows them.
#include "base/json.h"

#include "base/json_number.h"
#include "base/json_string.h"
#include "base/number.h"

#include <math.h>
#include <string.h>

enum expect {
    EXPECT_VALUE,       // at the start, behind a key, behind a comma in an array
    EXPECT_FIRST_VALUE, // behind '[': a value or the end
    EXPECT_KEY,         // behind a comma in an object
    EXPECT_FIRST_KEY,   // behind '{': a key or the end
    EXPECT_SEPARATOR,   // behind a value inside something: a comma or the end
    EXPECT_NOTHING      // behind the outermost value
};

struct json_reader json_open(const char *text, size_t size, size_t string_limit)
{
    return (struct json_reader){.begin = text,
                                .at = text,
                                .end = text + size,
                                .token = text,
                                .string = buffer_new(string_limit),
                                .expect = EXPECT_VALUE};
}

void json_close(struct json_reader *reader)
{
    if (reader)
        buffer_free(&reader->string);
}

void json_position(const struct json_reader *reader, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1, column = 1;
    for (const char *c = reader->begin; c < reader->token; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*c & 0xC0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

// Fails at `place`: "line 3, column 7: <what>".
static enum nabla_code fail_at(struct json_reader *reader, const char *place, enum nabla_code code,
                               struct nabla_error *err, const char *what)
{
    size_t line, column;
    reader->token = place;
    json_position(reader, &line, &column);
    return nabla_fail(err, code, NULL, "line %zu, column %zu: %s", line, column, what);
}

static enum nabla_code malformed(struct json_reader *reader, struct nabla_error *err, const char *what)
{
    return fail_at(reader, reader->at, NABLA_MALFORMED, err,
                   reader->at == reader->end ? "the text ends too early" : what);
}

static const char *after_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

static void skip_space(struct json_reader *reader)
{
    reader->at = after_space(reader->at, reader->end);
}

// A value is complete: what follows depends on whether something encloses it.
static void value_read(struct json_reader *reader)
{
    reader->expect = reader->depth > 0 ? EXPECT_SEPARATOR : EXPECT_NOTHING;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Whether `word` stands at the reader, as a whole.
static bool at_word(const struct json_reader *reader, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(reader->end - reader->at) >= length && memcmp(reader->at, word, length) == 0;
}

static enum nabla_code read_number(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    if (at_word(reader, "-Infinity"))
        return malformed(reader, err, "JSON has no -Infinity: write the string \"-Infinity\"");
    const char *wrong;
    const char *end = json_number_end(reader->at, reader->end, &wrong);
    if (!end) {
        reader->at = wrong;
        return malformed(reader, err, "this cannot stand in a number");
    }
    reader->at = end;
    *ret = JSON_NUMBER;
    value_read(reader);
    return NABLA_OK;
}

static enum nabla_code read_word(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    static const struct {
        const char *text;
        enum json_token token;
    } words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (at_word(reader, words[i].text)) {
            reader->at += strlen(words[i].text);
            *ret = words[i].token;
            value_read(reader);
            return NABLA_OK;
        }
    if (at_word(reader, "NaN"))
        return malformed(reader, err, "JSON has no NaN: write the string \"NaN\"");
    if (at_word(reader, "Infinity"))
        return malformed(reader, err, "JSON has no Infinity: write the string \"Infinity\"");
    return malformed(reader, err, "expected a value");
}

// At the opening quote; afterwards behind the closing one.
static enum nabla_code read_string(struct json_reader *reader, struct nabla_error *err)
{
    struct json_fault fault;
    reader->string.size = 0;
    buffer_append(&reader->string, "", 0);
    const char *behind = json_string_read(reader->at, reader->end, &reader->string, &fault);
    if (reader->string.failed)
        return buffer_status(&reader->string, "a JSON string", err);
    reader->at = behind ? behind : fault.at;
    return behind ? NABLA_OK : malformed(reader, err, fault.what);
}

static enum nabla_code read_begin(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    if (reader->depth == JSON_DEPTH_MAX)
        return malformed(reader, err, "the nesting is deeper than 64 levels");
    bool object = *reader->at == '{';
    reader->stack[reader->depth++] = (unsigned char)*reader->at++;
    reader->expect = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_VALUE;
    *ret = object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
    return NABLA_OK;
}
_Static_assert(JSON_DEPTH_MAX == 64, "the text of the error names the limit");

static enum nabla_code read_end(struct json_reader *reader, enum json_token *ret)
{
    *ret = *reader->at == '}' ? JSON_OBJECT_END : JSON_ARRAY_END;
    reader->at++;
    reader->depth--;
    value_read(reader);
    return NABLA_OK;
}

static enum nabla_code read_value(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    if (reader->at == reader->end)
        return malformed(reader, err, "");
    switch (*reader->at) {
    case '{':
    case '[':
        return read_begin(reader, ret, err);
    case '"': {
        enum nabla_code code = read_string(reader, err);
        if (code)
            return code;
        *ret = JSON_STRING;
        value_read(reader);
        return NABLA_OK;
    }
    default:
        if (*reader->at == '-' || is_digit(*reader->at))
            return read_number(reader, ret, err);
        return read_word(reader, ret, err);
    }
}

// A key and the colon behind it.
static enum nabla_code read_key(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    if (reader->at == reader->end || *reader->at != '"')
        return malformed(reader, err, "expected a key in quotes");
    enum nabla_code code = read_string(reader, err);
    if (code)
        return code;
    skip_space(reader);
    const char *token = reader->token;
    if (reader->at == reader->end || *reader->at != ':')
        return malformed(reader, err, "expected a colon");
    reader->at++;
    reader->token = token;
    reader->expect = EXPECT_VALUE;
    *ret = JSON_KEY;
    return NABLA_OK;
}

static bool in_object(const struct json_reader *reader)
{
    return reader->stack[reader->depth - 1] == '{';
}

static bool at_end_of_container(const struct json_reader *reader)
{
    return reader->at < reader->end && *reader->at == (in_object(reader) ? '}' : ']');
}

// Consumes the comma, after which an end may not follow.
static enum nabla_code read_separator(struct json_reader *reader, struct nabla_error *err)
{
    if (reader->at == reader->end || *reader->at != ',')
        return malformed(reader, err, in_object(reader) ? "expected ',' or '}'" : "expected ',' or ']'");
    reader->at++;
    skip_space(reader);
    if (at_end_of_container(reader))
        return malformed(reader, err, "a comma stands before the end");
    reader->expect = in_object(reader) ? EXPECT_KEY : EXPECT_VALUE;
    return NABLA_OK;
}

static enum nabla_code read_nothing(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    if (reader->at < reader->end)
        return malformed(reader, err, "something follows the end of the JSON value");
    *ret = JSON_END;
    return NABLA_OK;
}

static enum nabla_code refuse_byte_order_mark(struct json_reader *reader, struct nabla_error *err)
{
    if (reader->at == reader->begin && at_word(reader, "\xEF\xBB\xBF"))
        return malformed(reader, err, "JSON has no byte order mark");
    return NABLA_OK;
}

enum nabla_code json_next(struct json_reader *reader, enum json_token *ret, struct nabla_error *err)
{
    enum nabla_code code = refuse_byte_order_mark(reader, err);
    if (code)
        return code;
    skip_space(reader);
    reader->token = reader->at;
    if (reader->expect == EXPECT_NOTHING)
        return read_nothing(reader, ret, err);
    bool may_close = reader->expect == EXPECT_FIRST_VALUE || reader->expect == EXPECT_FIRST_KEY ||
                     reader->expect == EXPECT_SEPARATOR;
    if (may_close && at_end_of_container(reader))
        return read_end(reader, ret);
    if (reader->expect == EXPECT_SEPARATOR) {
        code = read_separator(reader, err);
        if (code)
            return code;
        reader->token = reader->at;
    }
    if (reader->expect == EXPECT_KEY || reader->expect == EXPECT_FIRST_KEY)
        return read_key(reader, ret, err);
    return read_value(reader, ret, err);
}

enum nabla_code json_skip(struct json_reader *reader, const char **ret_begin, const char **ret_end,
                          struct nabla_error *err)
{
    enum json_token token;
    unsigned depth = reader->depth;
    enum nabla_code code = json_next(reader, &token, err);
    if (code)
        return code;
    const char *begin = reader->token;
    if (reader->depth < depth || token == JSON_KEY || token == JSON_END)
        return fail_at(reader, begin, NABLA_INVALID, err, "expected a value");
    while (!code && reader->depth > depth)
        code = json_next(reader, &token, err);
    if (code)
        return code;
    reader->token = begin;
    *ret_begin = begin;
    *ret_end = reader->at;
    return NABLA_OK;
}

static bool in_array(const struct json_reader *reader)
{
    return reader->depth > 0 && !in_object(reader);
}

// Where the next element of the array stands, behind the comma that it needs; NULL where no comma stands.
static const char *next_element(const struct json_reader *reader)
{
    const char *at = after_space(reader->at, reader->end);
    if (reader->expect != EXPECT_SEPARATOR)
        return at;
    return at < reader->end && *at == ',' ? after_space(at + 1, reader->end) : NULL;
}

static void number_was_read(struct json_reader *reader, const char *begin, const char *end)
{
    reader->token = begin;
    reader->at = end;
    reader->expect = EXPECT_SEPARATOR;
}

// The fast path: reads over a number. False, with nothing changed, where anything else stands.
static bool pass_number(struct json_reader *reader)
{
    const char *at = next_element(reader), *wrong;
    const char *end = at ? json_number_end(at, reader->end, &wrong) : NULL;
    if (end)
        number_was_read(reader, at, end);
    return end != NULL;
}

// The end of the array, a word for a number, or whatever is wrong.
static enum nabla_code read_no_number(struct json_reader *reader, double *ret, bool *ret_end,
                                      struct nabla_error *err)
{
    enum json_token token = JSON_END;
    enum nabla_code code = json_next(reader, &token, err);
    if (code)
        return code;
    bool word = token == JSON_STRING &&
                number_read_word(reader->string.data, reader->string.data + reader->string.size, ret);
    const bool missing = token == JSON_NULL && reader->nulls;
    if (missing)
        *ret = NAN;
    if (!word && !missing && token != JSON_ARRAY_END)
        return fail_at(reader, reader->token, NABLA_INVALID, err, "expected a number");
    *ret_end = token == JSON_ARRAY_END;
    return NABLA_OK;
}

enum nabla_code json_next_doubles(struct json_reader *reader, double *ret, size_t most, size_t *ret_count,
                                  bool *ret_end, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    bool end = false;
    size_t count = 0;
    if (!in_array(reader))
        return nabla_fail(err, NABLA_INTERNAL, NULL, "no JSON array is open");
    while (count < most && !end && !code) {
        bool overflow;
        const char *wrong, *at = next_element(reader);
        const char *stop = at ? json_number_read(at, reader->end, &ret[count], &overflow, &wrong) : NULL;
        if (!stop) {
            code = read_no_number(reader, &ret[count], &end, err);
            count += !code && !end;
            continue;
        }
        number_was_read(reader, at, stop);
        if (overflow)
            code = fail_at(reader, at, NABLA_INVALID, err, "the number is beyond a float64's range");
        else
            count++;
    }
    *ret_count = count;
    *ret_end = end;
    return code;
}

enum nabla_code json_next_double(struct json_reader *reader, double *ret, bool *ret_end,
                                 struct nabla_error *err)
{
    size_t count;
    double value;
    enum nabla_code code = json_next_doubles(reader, &value, 1, &count, ret_end, err);
    if (!code && count > 0)
        *ret = value;
    return code;
}

enum nabla_code json_next_float(struct json_reader *reader, float *ret, bool *ret_end,
                                struct nabla_error *err)
{
    if (!in_array(reader))
        return nabla_fail(err, NABLA_INTERNAL, NULL, "no JSON array is open");
    if (!pass_number(reader)) {
        double word = 0;
        enum nabla_code code = read_no_number(reader, &word, ret_end, err);
        if (!code && !*ret_end)
            *ret = (float)word;
        return code;
    }
    bool overflow;
    float value;
    number_read_float(reader->token, reader->at, &value, &overflow);
    if (overflow)
        return fail_at(reader, reader->token, NABLA_INVALID, err, "the number is beyond a float32's range");
    *ret = value;
    *ret_end = false;
    return NABLA_OK;
}
