// A strict pull reader for JSON text (RFC 8259) that builds no tree: the caller asks for one token after the
// other and reads numbers straight to where they belong. It is for bulk arrays and for the small headers of
// binary formats; documents of options go through a JSON library in the api layer.
//
// Strict means: UTF-8 is checked, lone surrogates, bare NaN, trailing commas, leading zeros and control
// characters are refused, and nesting is limited. Duplicate keys are the caller's to notice. A string may
// hold NUL characters ("\u0000"): its length is `string.size`. Errors: NABLA_MALFORMED with line and column
// in the text; NABLA_LIMIT for a string beyond `string_limit`. A reader that failed is of no more use. Thread
// safety: one reader, one thread.
#ifndef NABLA_BASE_JSON_H
#define NABLA_BASE_JSON_H

#include "base/buffer.h"
#include "base/error.h"

enum json_token {
    JSON_END, // the text is over, and it was one whole value
    JSON_OBJECT_BEGIN,
    JSON_OBJECT_END,
    JSON_ARRAY_BEGIN,
    JSON_ARRAY_END,
    JSON_KEY, // text in `string`
    JSON_STRING,
    JSON_NUMBER, // its characters are [token, at)
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

enum { JSON_DEPTH_MAX = 64 };

struct json_reader {
    const char *begin, *at, *end; // the text, and how far it is read
    const char *token;            // where the newest token starts
    struct buffer string;         // the newest key or string, escapes resolved, NUL-terminated
    unsigned depth;
    unsigned char stack[JSON_DEPTH_MAX]; // what encloses: '{' or '['
    unsigned char expect;                // what may come next (json.c)
    bool nulls;                          // the fast path takes null for NaN; the caller sets it
};

// Reads [text, text+size), which must outlive the reader. `string_limit` is the longest string accepted, in
// bytes.
struct json_reader json_open(const char *text, size_t size, size_t string_limit);
void json_close(struct json_reader *reader);

// The next token.
enum nabla_code json_next(struct json_reader *reader, enum json_token *ret, struct nabla_error *err);

// Reads over one whole value. Before it: a key was read, or an array element is due.
// *ret_begin .. *ret_end is the value's own text.
enum nabla_code json_skip(struct json_reader *reader, const char **ret_begin, const char **ret_end,
                          struct nabla_error *err);

// Fast path for bulk arrays: the next element of the open array as a number, or its end. Reads numbers and
// the strings "NaN", "Infinity", "-Infinity"; null, where `nulls` says so. *ret_end is true when the array
// closed instead. Anything else is NABLA_INVALID ("expected a number"), a number beyond the type's range as
// well.
enum nabla_code json_next_double(struct json_reader *reader, double *ret, bool *ret_end,
                                 struct nabla_error *err);
enum nabla_code json_next_float(struct json_reader *reader, float *ret, bool *ret_end,
                                struct nabla_error *err);

// The same for up to `most` elements at once. *ret_count says how many were read, also on failure: the next
// one is at fault.
enum nabla_code json_next_doubles(struct json_reader *reader, double *ret, size_t most, size_t *ret_count,
                                  bool *ret_end, struct nabla_error *err);

// Line and column (from 1) of the newest token.
void json_position(const struct json_reader *reader, size_t *ret_line, size_t *ret_column);

#endif
