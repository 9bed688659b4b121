// RFC 8259 case by case, over both readers of JSON: the pull reader of bulk data and the one of documents.
// A case is a part (a value or a key) in a context (alone, in an array, behind a key, …). y: every reader
// must take it; n: none may; i: the grammar allows it, and a reader may have a limit: it must end one way or
// the other, and both in a plain error. A third reader with no code in common, jansson, is the check on the
// table itself.
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json_readers.h"

enum { STRING_LIMIT = 1 << 20 };

struct part {
    char class; // 'y', 'n', 'i'
    const char *text;
    size_t size; // where the text holds a NUL
};
#define SIZED(text) text, sizeof(text) - 1

static const struct part values[] = {
    // literals
    {'y', SIZED("true")},
    {'y', SIZED("false")},
    {'y', SIZED("null")},
    {'n', SIZED("True")},
    {'n', SIZED("nul")},
    {'n', SIZED("tru")},
    {'n', SIZED("nulll")},
    {'n', SIZED("TRUE")},
    {'n', SIZED("fals")},
    {'n', SIZED("undefined")},
    {'n', SIZED("NaN")},
    {'n', SIZED("Infinity")},
    {'n', SIZED("-Infinity")},
    {'n', SIZED("nan")},
    {'n', SIZED("inf")},
    // numbers
    {'y', SIZED("0")},
    {'y', SIZED("-0")},
    {'y', SIZED("7")},
    {'y', SIZED("-7")},
    {'y', SIZED("10")},
    {'y', SIZED("1234567890")},
    {'y', SIZED("0.5")},
    {'y', SIZED("-0.0")},
    {'y', SIZED("1.25")},
    {'y', SIZED("0e1")},
    {'y', SIZED("0E+1")},
    {'y', SIZED("1e5")},
    {'y', SIZED("1E5")},
    {'y', SIZED("1e+5")},
    {'y', SIZED("1e-5")},
    {'y', SIZED("1.5e02")},
    {'y', SIZED("20e00")},
    {'y', SIZED("123.456e-7")},
    {'y', SIZED("0.000000000000000000000000000000000000000000000000000000000000000000000000000001")},
    {'n', SIZED("+1")},
    {'n', SIZED("01")},
    {'n', SIZED("-01")},
    {'n', SIZED("00")},
    {'n', SIZED("1.")},
    {'n', SIZED(".5")},
    {'n', SIZED("-.5")},
    {'n', SIZED("-")},
    {'n', SIZED("--1")},
    {'n', SIZED("+-1")},
    {'n', SIZED("1e")},
    {'n', SIZED("1e+")},
    {'n', SIZED("1E-")},
    {'n', SIZED("0e")},
    {'n', SIZED("1.e1")},
    {'n', SIZED("1e1.5")},
    {'n', SIZED("1ee2")},
    {'n', SIZED("0x1")},
    {'n', SIZED("1_000")},
    {'n', SIZED("1,5e")},
    {'n', SIZED("1 000")},
    {'n', SIZED("1a")},
    {'n', SIZED("-a")},
    {'n', SIZED("1+2")},
    {'n', SIZED("0.1.2")},
    {'n', SIZED("\xef\xbc\x91")},
    {'n', SIZED("1\x00")},
    {'n', SIZED("1\xff")},
    {'n', SIZED("e1")},
    {'i', SIZED("1e400")},
    {'i', SIZED("-1e400")},
    {'i', SIZED("1e-400")},
    {'i', SIZED("123456789012345678901234567890")},
    {'i', SIZED("-123456789012345678901234567890")},
    {'i', SIZED("1e99999999999999999999")},
    // strings
    {'y', SIZED("\"\"")},
    {'y', SIZED("\"a\"")},
    {'y', SIZED("\" \"")},
    {'y', SIZED("\"\\\"\"")},
    {'y', SIZED("\"\\\\\"")},
    {'y', SIZED("\"\\/\"")},
    {'y', SIZED("\"\\b\\f\\n\\r\\t\"")},
    {'y', SIZED("\"\\u0041\"")},
    {'y', SIZED("\"\\u00e9\"")},
    {'y', SIZED("\"\\uABCD\"")},
    {'y', SIZED("\"\\uabcd\"")},
    {'y', SIZED("\"\\uD83D\\uDE00\"")},
    {'y', SIZED("\"\\uFFFF\"")},
    {'y', SIZED("\"\\\\u0000\"")},
    {'y', SIZED("\"\x7f\"")},
    {'y', SIZED("\"\xc3\xa9\"")},
    {'y', SIZED("\"\xe2\x82\xac\"")},
    {'y', SIZED("\"\xf0\x9f\x98\x80\"")},
    {'y', SIZED("\"\xf4\x8f\xbf\xbf\"")},
    {'y', SIZED("\"\xe2\x80\xa8\"")},
    {'y', SIZED("\"/*c*/\"")},
    {'y', SIZED("\"a,b:[{\"")},
    {'n', SIZED("\"")},
    {'n', SIZED("\"a")},
    {'n', SIZED("a\"")},
    {'n', SIZED("'a'")},
    {'n', SIZED("\"\\\"")},
    {'n', SIZED("\"\\a\"")},
    {'n', SIZED("\"\\x41\"")},
    {'n', SIZED("\"\\'\"")},
    {'n', SIZED("\"\\0\"")},
    {'n', SIZED("\"\\u\"")},
    {'n', SIZED("\"\\u12\"")},
    {'n', SIZED("\"\\u123\"")},
    {'n', SIZED("\"\\u123g\"")},
    {'n', SIZED("\"\\U0041\"")},
    {'n', SIZED("\"\\u{41}\"")},
    {'n', SIZED("\"\n\"")},
    {'n', SIZED("\"\t\"")},
    {'n', SIZED("\"\r\"")},
    {'n', SIZED("\"\x1f\"")},
    {'n', SIZED("\"\x00\"")},
    {'n', SIZED("\"a\x00")},
    {'n', SIZED("\"a\"b")},
    {'n', SIZED("\"a\"\"b\"")},
    {'n', SIZED("\\u0041")},
    {'n', SIZED("\"\\uD83D\\u\"")},
    {'n', SIZED("\"\\uD83D\\u12\"")},
    {'n', SIZED("\"\\")},
    {'i', SIZED("\"\\u0000\"")},
    {'i', SIZED("\"\\uD83D\"")},
    {'i', SIZED("\"\\uDE00\"")},
    {'i', SIZED("\"\\uD83Da\"")},
    {'i', SIZED("\"\\uD83D\\u0041\"")},
    {'i', SIZED("\"\\uDE00\\uD83D\"")},
    {'i', SIZED("\"\xff\"")},
    {'i', SIZED("\"\xc3\"")},
    {'i', SIZED("\"\x80\"")},
    {'i', SIZED("\"\xc0\x80\"")},
    {'i', SIZED("\"\xed\xa0\x80\"")},
    {'i', SIZED("\"\xf4\x90\x80\x80\"")},
    {'i', SIZED("\"\xe2\x82\"")},
    {'i', SIZED("\"\xf8\x88\x80\x80\x80\"")},
    // arrays
    {'y', SIZED("[]")},
    {'y', SIZED("[ ]")},
    {'y', SIZED("[1]")},
    {'y', SIZED("[1,2]")},
    {'y', SIZED("[ 1 , 2 ]")},
    {'y', SIZED("[[]]")},
    {'y', SIZED("[[],[]]")},
    {'y', SIZED("[1,\"a\",null,[{}]]")},
    {'y', SIZED("[\n1\t,\r2 ]")},
    {'n', SIZED("[")},
    {'n', SIZED("[1")},
    {'n', SIZED("[1,")},
    {'n', SIZED("[1,]")},
    {'n', SIZED("[,1]")},
    {'n', SIZED("[1,,2]")},
    {'n', SIZED("[,]")},
    {'n', SIZED("[1 2]")},
    {'n', SIZED("[1:2]")},
    {'n', SIZED("[\"a\":1]")},
    {'n', SIZED("[1}")},
    {'n', SIZED("]")},
    {'n', SIZED("[]]")},
    {'n', SIZED("[[]")},
    {'n', SIZED("[1;2]")},
    {'n', SIZED("[\x0b]")},
    {'n', SIZED("[\x0c]")},
    {'n', SIZED("[\xc2\xa0]")},
    {'n', SIZED("[a]")},
    {'n', SIZED("[*]")},
    {'n', SIZED("[1\x00]")},
    {'n', SIZED("[1]x")},
    {'n', SIZED("[/**/]")},
    {'n', SIZED("[1//\n]")},
    {'n', SIZED("<1>")},
    // objects
    {'y', SIZED("{}")},
    {'y', SIZED("{ }")},
    {'y', SIZED("{\"k\":1}")},
    {'y', SIZED("{\"k\" : 1 , \"l\":[]}")},
    {'y', SIZED("{\"\":0}")},
    {'y', SIZED("{\"k\":{\"k\":{}}}")},
    {'y', SIZED("{\"a\":1,\"A\":1}")},
    {'n', SIZED("{")},
    {'n', SIZED("}")},
    {'n', SIZED("{\"k\"")},
    {'n', SIZED("{\"k\":")},
    {'n', SIZED("{\"k\":1")},
    {'n', SIZED("{\"k\":1,}")},
    {'n', SIZED("{,}")},
    {'n', SIZED("{\"k\"}")},
    {'n', SIZED("{\"k\":}")},
    {'n', SIZED("{:1}")},
    {'n', SIZED("{k:1}")},
    {'n', SIZED("{'k':1}")},
    {'n', SIZED("{1:1}")},
    {'n', SIZED("{null:1}")},
    {'n', SIZED("{\"k\" 1}")},
    {'n', SIZED("{\"k\"::1}")},
    {'n', SIZED("{\"k\"=1}")},
    {'n', SIZED("{\"k\",1}")},
    {'n', SIZED("{\"k\":1 \"l\":2}")},
    {'n', SIZED("{\"k\":1;\"l\":2}")},
    {'n', SIZED("{\"k\":1]")},
    {'n', SIZED("{[]:1}")},
    {'n', SIZED("{\"k\":1}}")},
    {'n', SIZED("{\"k\":1,,\"l\":2}")},
    {'n', SIZED("{\"k\":1}#")},
    {'n', SIZED("{/**/}")},
    {'n', SIZED("{\"k\":a}")},
    {'n', SIZED("{\"k\":1:2}")},
    {'n', SIZED("{{}}")},
    // nothing, and what is around everything
    {'n', SIZED("")},
    {'n', SIZED(" ")},
    {'n', SIZED("\x00")},
    {'n', SIZED("\xef\xbb\xbf")},
    {'n', SIZED("\xef\xbb\xbf{}")},
    {'n', SIZED("\xff\xfe{\x00}\x00")},
    {'n', SIZED("1 1")},
    {'n', SIZED("{}{}")},
    {'n', SIZED("[][]")},
    {'n', SIZED("{},")},
    {'n', SIZED("//\n1")},
    {'n', SIZED("1#")},
    {'n', SIZED("\xe2\x81\xa0")},
};
enum { VALUES = sizeof values / sizeof *values };

// What stands around a value.
static const struct context {
    const char *before, *after;
    bool is_list; // "[" + "" + "]" would be something else
} contexts[] = {
    {"", "", false},        {" \t\r\n", "\n ", false},         {"[", "]", true},
    {"[0,", ",0]", false},  {"{\"before\":", "}", false},      {"{\"a\":0,\"before\":", ",\"z\":0}", false},
    {"[[[[", "]]]]", true}, {"{\"a\":[{\"b\":", "}]}", false}, {"[ ", " ]", true},
};
enum { CONTEXTS = sizeof contexts / sizeof *contexts };

// A blank in an empty list is no missing value.
static bool fits(const struct part *part, const struct context *context)
{
    bool is_blank = strspn(part->text, " ") == part->size;
    return !(context->is_list && is_blank);
}

static size_t compose(const struct part *part, const struct context *context, char *ret)
{
    size_t before = strlen(context->before), after = strlen(context->after);
    memcpy(ret, context->before, before);
    memcpy(ret + before, part->text, part->size);
    memcpy(ret + before + part->size, context->after, after + 1);
    return before + part->size + after;
}

static enum nabla_code pull(const char *text, size_t size)
{
    struct json_reader reader = json_open(text, size, STRING_LIMIT);
    enum json_token token = JSON_NULL;
    enum nabla_code code = NABLA_OK;
    while (!code && token != JSON_END)
        code = json_next(&reader, &token, NULL);
    json_close(&reader);
    return code;
}

static enum nabla_code document(const char *text, size_t size)
{
    struct nabla_error err = {0};
    enum nabla_code code = json_read_document(text, size, &err);
    assert_true(!code == !err.text[0]);
    return code;
}

static void check(char class, const char *text, size_t size)
{
    static const char *const names[] = {"the pull reader", "the document reader"};
    // A document is an object: any other sound value is one that is wrong, not malformed.
    const enum nabla_code codes[] = {pull(text, size), document(text, size)};
    for (size_t i = 0; i < 2; i++) {
        bool is_error = codes[i] == NABLA_OK || codes[i] == NABLA_MALFORMED || codes[i] == NABLA_INVALID ||
                        codes[i] == NABLA_LIMIT;
        if (!is_error || (class == 'y' && codes[i] && !(i == 1 && codes[i] == NABLA_INVALID)) ||
            (class == 'n' && codes[i] != NABLA_MALFORMED))
            fail_msg("%c by %s: %s for %s", class, names[i], nabla_code_name(codes[i]), text);
    }
    if (class != 'i' && !memchr(text, 0, size) && json_read_plain(text, size) != (class == 'y'))
        fail_msg("the table calls this %c: %s", class, text);
}

static void every_part_in_every_context(void **state)
{
    (void)state;
    char text[512];
    size_t counts[3] = {0};
    for (size_t i = 0; i < VALUES; i++) {
        for (size_t j = 0; j < CONTEXTS; j++) {
            if (!fits(&values[i], &contexts[j]))
                continue;
            size_t size = compose(&values[i], &contexts[j], text);
            check(values[i].class, text, size);
            counts[values[i].class == 'y' ? 0 : values[i].class == 'n' ? 1 : 2]++;
        }
    }
    print_message("y %zu, n %zu, i %zu\n", counts[0], counts[1], counts[2]);
}

// A valid text with one byte less, more or other: whatever becomes of it, the readers agree with jansson, but
// where a limit of one of them is met.
static void one_byte_off(void **state)
{
    (void)state;
    static const char *const valid[] = {
        "{\"a\":[1,-2.5e3,\"x\\n\\u00e9\",true,null,{\"b\":{}}],\"c\":\"\\\\\"}",
        "[0,10,1.5,1e5,[],{},\"\",\"\xc3\xa9\",false]",
    };
    static const char bytes[] = "{}[]:,\"\\ \n\t0123456789-+.eEtrufalsn/*\x00\x01\x7f\x80\xff";
    size_t count = 0;
    for (size_t v = 0; v < sizeof valid / sizeof *valid; v++) {
        size_t size = strlen(valid[v]);
        for (size_t at = 0; at <= size; at++) {
            for (size_t b = 0; b < 2 * sizeof bytes; b++) {
                bool inserts = b >= sizeof bytes;
                char text[256];
                memcpy(text, valid[v], at);
                text[at] = bytes[b % sizeof bytes];
                memcpy(text + at + 1, valid[v] + at + !inserts, size - at + inserts);
                size_t length = size + inserts;
                bool takes = json_read_plain(text, length);
                if (memchr(text, 0, length)) // which jansson overlooks behind a number
                    takes = false;
                if ((pull(text, length) == NABLA_OK) != takes)
                    fail_msg("jansson %s: %s", takes ? "takes" : "refuses", text);
                count++;
            }
        }
    }
    print_message("%zu texts\n", count);
}

static void keys_are_strings(void **state)
{
    (void)state;
    char text[512];
    for (size_t i = 0; i < VALUES; i++) {
        const struct part *part = &values[i];
        bool is_string = part->text[0] == '"';
        char class = is_string ? part->class : 'n';
        if (part->size == 0)
            continue;
        check(class, text, compose(part, &(struct context){"{", ":0}", false}, text));
    }
}

// Depth and duplicates are refused by limits of Nabla's own, not by the grammar.
static void what_the_grammar_allows_and_nabla_does_not(void **state)
{
    (void)state;
    char deep[2 * 100000 + 1];
    for (size_t depth = 1; depth <= 100000; depth *= 10) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        assert_int_equal(pull(deep, 2 * depth), depth <= 10 ? NABLA_OK : NABLA_MALFORMED);
        assert_int_equal(pull(deep, depth), NABLA_MALFORMED);
        assert_int_equal(document(deep, 2 * depth), depth <= 10 ? NABLA_INVALID : NABLA_MALFORMED);
    }
    static const char twice[] = "{\"a\":1,\"a\":1}", escaped[] = "{\"a\":1,\"\\u0061\":1}";
    assert_int_equal(document(twice, sizeof twice - 1), NABLA_MALFORMED);
    assert_int_equal(document(escaped, sizeof escaped - 1), NABLA_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_in_every_context),
        cmocka_unit_test(keys_are_strings),
        cmocka_unit_test(one_byte_off),
        cmocka_unit_test(what_the_grammar_allows_and_nabla_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
