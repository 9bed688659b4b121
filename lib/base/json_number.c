// One pass over the text checks the grammar and gathers the digits in an integer. Nearly all numbers have few
// enough of them for exact arithmetic: one division with its remainder says how to round. The others go the
// general way (base/number.h).
#include "base/json_number.h"

#include "base/number.h"
#include "base/power_of_10.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    DIGITS_EXACT = 19,     // that an integer of 64 bits always holds
    POWER_OF_5_MOST = 27,  // that an integer of 64 bits holds
    EXACT_POWER_MOST = 22, // of ten, that a double holds
    EXPONENT_LEAST = -280, // between these two no product with 64 bits leaves a double's normal numbers
    EXPONENT_MOST = 285,
    PLAIN_ROOM = 1 + 7 + 1 + 3 * 8 + 1, // what read_plain may look at
    EXPONENT_DIGITS = 4                 // more decide nothing that the general way would not decide better
};

struct decimal {
    bool is_negative, is_exact; // not exact: more digits than were kept, or an exponent beyond reason
    uint64_t digits;
    int64_t exponent; // the value is digits · 10^exponent
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t read_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// How many digits the eight characters start with. Subtracting '0' leaves digits at 9 at most: adding 0x76
// sets the highest bit of the first other one, and can only carry into those behind it.
static unsigned count_digits(uint64_t word)
{
    const uint64_t values = word ^ 0x3030303030303030;
    const uint64_t others = ((values + 0x7676767676767676) | values) & 0x8080808080808080;
    return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

// The value of the first `count` > 0 of eight characters, all at once: moved to the end of a row of zeros,
// neighbours are joined to pairs, pairs to fours, fours to all.
static uint64_t join_digits(uint64_t word, unsigned count)
{
    word = (word & 0x0F0F0F0F0F0F0F0F) << (8 * (8 - count));
    word = (word * 10 + (word >> 8)) & 0x00FF00FF00FF00FF;
    word = (word * 100 + (word >> 16)) & 0x0000FFFF0000FFFF;
    return (word * 10000 + (word >> 32)) & 0xFFFFFFFF;
}

static const uint64_t shifts[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

// Appends the digits at the start of [at, end) and returns their end.
static const char *read_digits(const char *at, const char *end, uint64_t *digits)
{
    while (end - at >= 8) {
        uint64_t word = read_word(at);
        unsigned count = count_digits(word);
        if (count > 0)
            *digits = *digits * shifts[count] + join_digits(word, count);
        at += count;
        if (count < 8)
            return at;
    }
    for (; at < end && is_digit(*at); at++)
        *digits = *digits * 10 + (uint64_t)(*at - '0');
    return at;
}

// Behind the point. Zeros that lead the whole number take no digits.
static const char *read_fraction(const char *at, const char *end, struct decimal *ret, ptrdiff_t *digits)
{
    const char *begin = at;
    while (ret->digits == 0 && at < end && *at == '0')
        at++;
    const char *first = at;
    at = read_digits(at, end, &ret->digits);
    *digits = at - first;
    ret->exponent = begin - at;
    return at;
}

// Behind the "e". NULL where no digit follows.
static const char *read_exponent(const char *at, const char *end, struct decimal *ret, const char **ret_wrong)
{
    uint64_t exponent = 0;
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    *ret_wrong = at;
    if (at == end || !is_digit(*at))
        return NULL;
    const char *digits_end = read_digits(at, end, &exponent);
    if (digits_end - at > EXPONENT_DIGITS)
        ret->is_exact = false;
    else
        ret->exponent += is_negative ? -(int64_t)exponent : (int64_t)exponent;
    return digits_end;
}

static const char *read_decimal(const char *at, const char *end, struct decimal *ret, const char **ret_wrong)
{
    ptrdiff_t fraction_digits = 0;
    *ret = (struct decimal){.is_negative = at < end && *at == '-'};
    at += ret->is_negative;
    *ret_wrong = at;
    if (at == end || !is_digit(*at))
        return NULL;
    const char *first = at;
    at = *at == '0' ? at + 1 : read_digits(at, end, &ret->digits);
    ptrdiff_t whole_digits = *first == '0' ? 0 : at - first;
    *ret_wrong = at;
    if (at < end && is_digit(*at)) // a leading zero
        return NULL;
    if (at < end && *at == '.') {
        *ret_wrong = ++at;
        if (at == end || !is_digit(*at))
            return NULL;
        at = read_fraction(at, end, ret, &fraction_digits);
    }
    ret->is_exact = whole_digits + fraction_digits <= DIGITS_EXACT;
    if (at < end && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, end, ret, ret_wrong);
    return at;
}

// 2^exponent, of a normal double.
static double power_of_2(int exponent)
{
    double power;
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return power;
}

// digits / 10^n, for 0 < n <= 27 and digits > 0, rounded once, to the even neighbour on a tie. The quotient
// of the digits and 5^n, both shifted to 64 bits, has at least 63 bits; its remainder only decides ties.
static double divide(uint64_t digits, int n)
{
    static const uint64_t powers_of_5[POWER_OF_5_MOST + 1] = {
        1,
        5,
        25,
        125,
        625,
        3125,
        15625,
        78125,
        390625,
        1953125,
        9765625,
        48828125,
        244140625,
        1220703125,
        6103515625,
        30517578125,
        152587890625,
        762939453125,
        3814697265625,
        19073486328125,
        95367431640625,
        476837158203125,
        2384185791015625,
        11920928955078125,
        59604644775390625,
        298023223876953125,
        1490116119384765625,
        7450580596923828125,
    };
    int digits_shift = __builtin_clzll(digits), power_shift = __builtin_clzll(powers_of_5[n]);
    uint64_t divisor = powers_of_5[n] << power_shift;
    unsigned __int128 dividend = (unsigned __int128)(digits << digits_shift) << 63;
    uint64_t quotient = (uint64_t)(dividend / divisor);
    bool is_inexact = (unsigned __int128)quotient * divisor != dividend;
    int spare = 11 - __builtin_clzll(quotient); // bits more than a double's 53
    uint64_t kept = quotient >> spare, rest = quotient << (64 - spare), half = UINT64_C(1) << 63;
    kept += rest > half || (rest == half && (is_inexact || (kept & 1)));
    return (double)kept * power_of_2(spare - 63 + power_shift - digits_shift - n);
}

// digits · 10^exponent for digits > 0, by one product with the power's 128 bits (D. Lemire, "Number parsing
// at a gigabyte per second", 2021). The power is too large by less than one unit and the product is cut off
// by less than one: where that could decide how to round, it is left undecided. False: undecided.
static bool multiply(uint64_t digits, int64_t exponent, double *ret)
{
    if (exponent < EXPONENT_LEAST || exponent > EXPONENT_MOST)
        return false;
    const struct power_of_10 power = powers_of_10[exponent - POWER_OF_10_LEAST];
    const int shift = __builtin_clzll(digits);
    const unsigned __int128 low = (unsigned __int128)power.low * (digits << shift);
    const unsigned __int128 product =
        (unsigned __int128)power.high * (digits << shift) + (uint64_t)(low >> 64);
    const int spare = 11 - (product >> 127 == 0); // bits of the upper 64 beyond a double's 53
    const uint64_t upper = (uint64_t)(product >> 64), half = UINT64_C(1) << (spare - 1);
    const uint64_t rest = upper & (2 * half - 1);
    if ((rest == half && (uint64_t)product < 2) || (rest == half - 1 && (uint64_t)product > UINT64_MAX - 2))
        return false;
    const uint64_t kept = (upper >> spare) + (rest >= half);
    // 10^exponent is high · 2^(⌊log2 10^exponent⌋ − 63), and the product's upper half is one of 2^64 more.
    *ret = (double)kept * power_of_2(spare + 1 - shift + (int)((exponent * 217706) >> 16));
    return true;
}

static const double exact_powers[EXACT_POWER_MOST + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// digits · 10^exponent for digits > 0. False where neither way decides.
static inline bool scale(uint64_t digits, int64_t exponent, double *ret)
{
    if (multiply(digits, exponent, ret))
        return true;
    if (exponent >= 0 || exponent < -POWER_OF_5_MOST)
        return false;
    *ret = divide(digits, (int)-exponent);
    return true;
}

// False where exact arithmetic does not reach.
static bool decimal_value(const struct decimal *decimal, double *ret)
{
    int64_t exponent = decimal->exponent;
    bool is_double = decimal->digits <= UINT64_C(1) << 53;
    double value = (double)decimal->digits;
    if (!decimal->is_exact)
        return false;
    if (exponent < 0 && is_double && exponent >= -EXACT_POWER_MOST)
        value /= exact_powers[-exponent];
    else if (exponent > 0 && is_double && exponent <= EXACT_POWER_MOST)
        value *= exact_powers[exponent];
    else if (exponent != 0 && decimal->digits > 0 && !scale(decimal->digits, exponent, &value))
        return false;
    *ret = decimal->is_negative ? -value : value;
    return true;
}

// Behind the point, whole words at a time: a word full of digits is gone past by a constant, so that the next
// one can be looked at before it is known that there is one. NULL where there is no digit, or more than an
// integer holds.
static inline const char *read_places(const char *at, unsigned whole, uint64_t *digits, unsigned *ret_places)
{
    const char *begin = at;
    uint64_t word = read_word(at), value = *digits;
    for (int words = 0; words < 2 && count_digits(word) == 8; words++) {
        value = value * 100000000 + join_digits(word, 8);
        at += 8;
        word = read_word(at);
    }
    const unsigned count = count_digits(word);
    if (count > 0)
        value = value * shifts[count] + join_digits(word, count);
    at += count;
    *digits = value;
    *ret_places = (unsigned)(at - begin);
    return at > begin && whole + *ret_places <= DIGITS_EXACT ? at : NULL;
}

// What nearly all numbers look like: up to seven digits, a point and some more, no exponent, and room behind
// it to read whole words. NULL for any other, which is no judgement.
static inline const char *read_plain(const char *at, double *ret)
{
    const bool is_negative = *at == '-';
    at += is_negative;
    const uint64_t word = read_word(at);
    const unsigned whole = count_digits(word);
    unsigned places = 0;
    if (whole == 0 || whole == 8 || (*at == '0' && whole > 1))
        return NULL;
    uint64_t digits = join_digits(word, whole);
    at += whole;
    if (*at == '.')
        at = read_places(at + 1, whole, &digits, &places);
    if (!at || (*at | 0x20) == 'e')
        return NULL;
    const double value =
        digits <= UINT64_C(1) << 53 ? (double)digits / exact_powers[places] : divide(digits, (int)places);
    *ret = is_negative ? -value : value;
    return at;
}

const char *json_number_end(const char *at, const char *end, const char **ret_wrong)
{
    struct decimal decimal;
    return read_decimal(at, end, &decimal, ret_wrong);
}

const char *json_number_read(const char *at, const char *end, double *ret, bool *ret_overflow,
                             const char **ret_wrong)
{
    struct decimal decimal;
    const char *stop = end - at >= PLAIN_ROOM ? read_plain(at, ret) : NULL;
    const bool is_plain = stop != NULL;
    if (!is_plain)
        stop = read_decimal(at, end, &decimal, ret_wrong);
    if (!stop)
        return NULL;
    *ret_overflow = false;
    if (!is_plain && !decimal_value(&decimal, ret))
        number_read_double(at, stop, ret, ret_overflow);
    return stop;
}
