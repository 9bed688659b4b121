// Numbers as text and back. Writing gives the shortest text that reads back to the same bits; reading is
// correctly rounded. Independent of the locale. Thread safety: pure functions.
#ifndef NABLA_BASE_NUMBER_H
#define NABLA_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The room that the writers below want: a text has 25 characters at most, and what lies behind it within the
// room is overwritten.
enum { NUMBER_TEXT_SIZE = 48 };

// Write a finite number as JSON allows it; return the length. NaN and infinities come out as the words NaN,
// Infinity, -Infinity, without quotes: the caller decides how its format spells them.
size_t number_write_double(char text[NUMBER_TEXT_SIZE], double value);
size_t number_write_float(char text[NUMBER_TEXT_SIZE], float value); // shortest for a float's 24 bits

// Read a number at the start of [text, end): sign, digits, fraction, exponent (a JSON number, or with a
// leading '+', a bare '.5' or '5.' as CSV files have them). Returns the first character behind it, or NULL
// when there is no number; then nothing is set. A magnitude beyond the type becomes an infinity with
// *ret_overflow set; one below becomes the nearest subnormal or zero. Words such as nan or inf are not
// numbers here.
const char *number_read_double(const char *text, const char *end, double *ret, bool *ret_overflow);
const char *number_read_float(const char *text, const char *end, float *ret, bool *ret_overflow);

// The three words NaN, Infinity, -Infinity in exactly this spelling, over the whole of [text, end).
bool number_read_word(const char *text, const char *end, double *ret);

// A whole decimal integer over the whole of [text, end); false, with *ret untouched, for anything else (a
// leading '+' too) and for what does not fit.
bool number_read_int(const char *text, const char *end, int64_t *ret);
bool number_read_size(const char *text, const char *end, size_t *ret);

#ifdef __cplusplus
}
#endif

#endif
