// std::from_chars is what makes this file C++: measured against strtod it reads bulk arrays of numbers
// several times as fast, always correctly rounded, and never asks the locale. Nothing else of C++ is used.
#include "base/number.h"

#include <charconv>
#include <cstring>
#include <limits>
#include <system_error>

namespace
{

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// The exponent's digits in [at, end), saturated far beyond what any mantissa in memory could balance.
int64_t read_exponent(const char *at, const char *end)
{
    const int64_t most = INT64_MAX / 4;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t exponent = 0;
    for (; at < end; at++)
        exponent = exponent > most / 10 ? most : exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

// Where the leading digit of the number [at, end) stands: 10^(order-1) <= |x| < 10^order. The number is not
// 0.
int64_t decimal_order(const char *at, const char *end)
{
    int64_t order = 0;
    bool fraction = false, leading = true;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        fraction |= *at == '.';
        if (!is_digit(*at))
            continue;
        leading &= *at == '0';
        order += leading ? -static_cast<int64_t>(fraction) : !fraction;
    }
    return at < end ? order + read_exponent(at + 1, end) : order;
}

// from_chars calls out of range what is too large and what is nearer to 0 than to the smallest subnormal, and
// leaves the value alone: only the sign of its exponent says which.
template <typename T> T out_of_range(const char *text, const char *end, bool *ret_overflow)
{
    bool large = decimal_order(text, end) > 0;
    T magnitude = large ? std::numeric_limits<T>::infinity() : T(0);
    *ret_overflow = large;
    return *text == '-' ? -magnitude : magnitude;
}

// from_chars reads neither a leading '+' nor refuses the words inf and nan: both are settled by what it is
// given.
template <typename T> const char *read_number(const char *text, const char *end, T *ret, bool *ret_overflow)
{
    const char *from = text < end && *text == '+' ? text + 1 : text;
    const char *first = from;
    if (first < end && first == text && *first == '-')
        first++;
    if (first < end && *first == '.')
        first++;
    if (first >= end || !is_digit(*first))
        return nullptr;
    T value = 0;
    auto read = std::from_chars(from, end, value);
    *ret_overflow = false;
    if (read.ec == std::errc::result_out_of_range)
        value = out_of_range<T>(from, read.ptr, ret_overflow);
    *ret = value;
    return read.ptr;
}

template <typename T> bool read_whole(const char *text, const char *end, T *ret)
{
    T value;
    auto read = std::from_chars(text, end, value);
    if (read.ec != std::errc() || read.ptr != end)
        return false;
    *ret = value;
    return true;
}

bool is_word(const char *text, const char *end, const char *word)
{
    size_t size = std::strlen(word);
    return static_cast<size_t>(end - text) == size && std::memcmp(text, word, size) == 0;
}

} // namespace

const char *number_read_double(const char *text, const char *end, double *ret, bool *ret_overflow)
{
    return read_number(text, end, ret, ret_overflow);
}

const char *number_read_float(const char *text, const char *end, float *ret, bool *ret_overflow)
{
    return read_number(text, end, ret, ret_overflow);
}

bool number_read_word(const char *text, const char *end, double *ret)
{
    if (is_word(text, end, "NaN"))
        *ret = std::numeric_limits<double>::quiet_NaN();
    else if (is_word(text, end, "Infinity"))
        *ret = std::numeric_limits<double>::infinity();
    else if (is_word(text, end, "-Infinity"))
        *ret = -std::numeric_limits<double>::infinity();
    else
        return false;
    return true;
}

bool number_read_int(const char *text, const char *end, int64_t *ret)
{
    return read_whole(text, end, ret);
}

bool number_read_size(const char *text, const char *end, size_t *ret)
{
    return read_whole(text, end, ret);
}
