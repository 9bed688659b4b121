// The shortest text of a number that reads back to the same bits, by Schubfach (R. Giulietti, "The Schubfach
// way to render doubles", 2020): of the decimals in the interval that rounds to the number, one with the
// fewest digits, and of those the nearest. Three products with a power of ten decide; nothing is tried.
// Measured against std::to_chars (Ryu) it takes a third of the time: numbers as text are most of what a small
// answer costs.
//
// Its names: the number is c · 2^q; k is the exponent of the decimals looked at, one digit finer than needed;
// vb is the number and vbl, vbr the ends of its interval, in quarters of 10^k, rounded to odd.
#include "base/number.h"
#include "base/power_of_10.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { DIGITS_MOST = 17 };

static const uint64_t powers[20] = {UINT64_C(1),
                                    UINT64_C(10),
                                    UINT64_C(100),
                                    UINT64_C(1000),
                                    UINT64_C(10000),
                                    UINT64_C(100000),
                                    UINT64_C(1000000),
                                    UINT64_C(10000000),
                                    UINT64_C(100000000),
                                    UINT64_C(1000000000),
                                    UINT64_C(10000000000),
                                    UINT64_C(100000000000),
                                    UINT64_C(1000000000000),
                                    UINT64_C(10000000000000),
                                    UINT64_C(100000000000000),
                                    UINT64_C(1000000000000000),
                                    UINT64_C(10000000000000000),
                                    UINT64_C(100000000000000000),
                                    UINT64_C(1000000000000000000),
                                    UINT64_C(10000000000000000000)};

// digits · 10^exponent
struct decimal {
    uint64_t digits;
    int exponent;
};

struct interval {
    uint64_t low, value, high; // in quarters of 10^k
};

INLINE int floor_log10_pow2(int q, bool is_narrow) // of 2^q, or of ¾ · 2^q
{
    return (q * 1262611 - (is_narrow ? 524031 : 0)) >> 22;
}

INLINE int floor_log2_pow10(int k)
{
    return (k * 1741647) >> 19;
}

// The digits with the fewest places within the interval, whose ends count where `is_closed`. Which of the
// three answers it is nobody can foretell: so all are made, and none is branched to.
INLINE struct decimal choose(struct interval v, int k, bool is_closed)
{
    const uint64_t low = v.low + !is_closed, high = v.high - !is_closed;
    const uint64_t s = v.value / 4, tens = s / 10, middle = 4 * s + 2;
    const bool tens_down = low <= 40 * tens, tens_up = 40 * tens + 40 <= high;
    const bool down = low <= 4 * s, up = 4 * s + 4 <= high;
    const bool nearest_up = (v.value > middle) | ((v.value == middle) & (s & 1));
    const uint64_t one_more = s + ((down != up) ? up : nearest_up);
    const bool is_shorter = (tens_down != tens_up) & (s >= 10);
    return (struct decimal){is_shorter ? tens + tens_up : one_more, k + is_shorter};
}

// The upper 64 of 192 bits, of which `upper` are the upper 128; the lowest is set where any below is.
INLINE uint64_t round_to_odd(unsigned __int128 upper)
{
    return (uint64_t)(upper >> 64) | ((uint64_t)upper > 1);
}

// The product with value, and what stands `half` to both sides of it.
INLINE struct interval multiply_double(struct power_of_10 power, uint64_t value, int shift)
{
    const unsigned __int128 low = (unsigned __int128)power.low * (value << shift);
    const unsigned __int128 upper = (unsigned __int128)power.high * (value << shift) + (uint64_t)(low >> 64);
    const unsigned __int128 half =
        ((unsigned __int128)power.high << (shift + 1)) + (power.low >> (63 - shift));
    const uint64_t half_low = power.low << (shift + 1), value_low = (uint64_t)low;
    return (struct interval){round_to_odd(upper - half - (value_low < half_low)), round_to_odd(upper),
                             round_to_odd(upper + half + (value_low + half_low < value_low))};
}

// A power of two's neighbour below is at half the distance.
INLINE uint64_t narrow_low(struct power_of_10 power, uint64_t value, int shift)
{
    const uint64_t by = (value - 1) << shift;
    const unsigned __int128 low = (unsigned __int128)power.low * by;
    return round_to_odd((unsigned __int128)power.high * by + (uint64_t)(low >> 64));
}

// A float's 24 bits need 64 of the power's.
INLINE uint64_t multiply_float(uint64_t power, uint64_t by)
{
    const unsigned __int128 product = (unsigned __int128)power * by;
    return (uint64_t)(product >> 64) | ((uint32_t)(product >> 32) > 1);
}

INLINE struct decimal decimal_of_double(uint64_t bits)
{
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const int exponent = (int)(bits >> 52 & 0x7ff);
    const uint64_t c = exponent ? fraction | UINT64_C(1) << 52 : fraction;
    const int q = (exponent ? exponent : 1) - 1075;
    if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0) // whole
        return (struct decimal){c >> -q, 0};
    const bool is_narrow = fraction == 0 && exponent > 1;
    const int k = floor_log10_pow2(q, is_narrow);
    const int h = q + floor_log2_pow10(-k) + 1;
    const struct power_of_10 power = powers_of_10[-k - POWER_OF_10_LEAST];
    struct interval v = multiply_double(power, 4 * c, h);
    if (is_narrow)
        v.low = narrow_low(power, 4 * c, h);
    return choose(v, k, (c & 1) == 0);
}

INLINE struct decimal decimal_of_float(uint32_t bits)
{
    const uint32_t fraction = bits & ((1u << 23) - 1);
    const int exponent = (int)(bits >> 23 & 0xff);
    const uint32_t c = exponent ? fraction | 1u << 23 : fraction;
    const int q = (exponent ? exponent : 1) - 150;
    if (q <= 0 && q > -24 && (c & ((1u << -q) - 1)) == 0)
        return (struct decimal){c >> -q, 0};
    const bool is_narrow = fraction == 0 && exponent > 1;
    const int k = floor_log10_pow2(q, is_narrow);
    const int h = q + floor_log2_pow10(-k) + 1;
    const struct power_of_10 exact = powers_of_10[-k - POWER_OF_10_LEAST];
    const uint64_t power = exact.high + (exact.low > 0); // rounded up, as the longer one is
    const uint64_t quarters = UINT64_C(4) * c;
    const struct interval v = {multiply_float(power, (quarters - 2 + is_narrow) << h),
                               multiply_float(power, quarters << h),
                               multiply_float(power, (quarters + 2) << h)};
    return choose(v, k, (c & 1) == 0);
}

// ---- text ----

// Eight digits as eight characters in memory's order, all at once: fours, pairs, single ones.
INLINE uint64_t spread_digits(uint32_t value)
{
    const uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    const uint64_t hundreds = (fours * 10486 >> 20) & 0x0000007f0000007f;
    const uint64_t pairs = hundreds | (fours - hundreds * 100) << 16;
    const uint64_t tens = (pairs * 103 >> 10) & 0x000f000f000f000f;
    return tens | (pairs - tens * 10) << 8;
}

INLINE void put_eight(char *at, uint64_t digits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    digits = __builtin_bswap64(digits);
#endif
    digits |= 0x3030303030303030;
    memcpy(at, &digits, sizeof digits);
}

// d.ddd… · 10^exponent with 17 digits, the last of which may be zeros that do not count.
struct scientific {
    uint64_t middle, low; // eight digits each, spread
    char first;
    int count, exponent;
};

// How many digits a number has; 1233/4096 is log10 2, a little less.
INLINE int count_digits(uint64_t value)
{
    const int least = (64 - __builtin_clzll(value)) * 1233 >> 12;
    return least + (value >= powers[least]);
}

INLINE struct scientific scientific_of(struct decimal decimal)
{
    const int count = count_digits(decimal.digits);
    const uint64_t digits = decimal.digits * powers[DIGITS_MOST - count];
    const uint64_t upper = digits / 100000000;
    const struct scientific ret = {.low = spread_digits((uint32_t)(digits % 100000000)),
                                   .middle = spread_digits((uint32_t)(upper % 100000000)),
                                   .first = (char)('0' + upper / 100000000),
                                   .exponent = decimal.exponent + count - 1};
    const int zeros = ret.low      ? __builtin_clzll(ret.low) / 8
                      : ret.middle ? 8 + __builtin_clzll(ret.middle) / 8
                                   : 16;
    struct scientific counted = ret;
    counted.count = DIGITS_MOST - zeros;
    return counted;
}

// Texts are put together by stores of fixed sizes, which is several times as fast: what they leave behind the
// end is of no account (NUMBER_TEXT_SIZE has room for it).
INLINE void put_digits(char *at, const struct scientific *number)
{
    *at = number->first;
    put_eight(at + 1, number->middle);
    put_eight(at + 9, number->low);
}

INLINE char *put_fixed(char *at, const struct scientific *number)
{
    const int whole = number->exponent + 1; // digits in front of the point
    if (whole <= 0) {
        memcpy(at, "0.000000", 8);
        put_digits(at + 2 - whole, number);
        return at + 2 - whole + number->count;
    }
    put_digits(at, number);
    if (whole >= number->count) { // the zeros between are digits already, but for those beyond 17
        memcpy(at + DIGITS_MOST, "00000000", 8);
        return at + whole;
    }
    char behind[16]; // the point moves what stands behind it
    memcpy(behind, at + whole, sizeof behind);
    at[whole] = '.';
    memcpy(at + whole + 1, behind, sizeof behind);
    return at + number->count + 1;
}

static char *put_scientific(char *at, const struct scientific *number)
{
    const unsigned magnitude = (unsigned)(number->exponent < 0 ? -number->exponent : number->exponent);
    put_digits(at + 1, number);
    at[0] = at[1];
    at[1] = '.';
    at += number->count + (number->count > 1);
    *at++ = 'e';
    *at++ = number->exponent < 0 ? '-' : '+';
    if (magnitude >= 100)
        *at++ = (char)('0' + magnitude / 100);
    *at++ = (char)('0' + magnitude / 10 % 10);
    *at++ = (char)('0' + magnitude % 10);
    return at;
}

// Whichever is shorter, fixed where both are as long: so at most five zeros stand in front of the digits, and
// as many behind them.
INLINE bool is_fixed_shorter(int count, int exponent)
{
    if (exponent >= 0 && exponent < DIGITS_MOST)
        return exponent + 1 <= count + (count > 1) + 4;
    const int scientific = count + (count > 1) + (exponent <= -100 || exponent >= 100 ? 5 : 4);
    return (exponent < 0 ? count + 1 - exponent : exponent + 1) <= scientific;
}

INLINE size_t write_decimal(char text[NUMBER_TEXT_SIZE], bool is_negative, struct decimal decimal)
{
    const struct scientific number = scientific_of(decimal);
    char *at = text;
    *at = '-';
    at += is_negative;
    at = is_fixed_shorter(number.count, number.exponent) ? put_fixed(at, &number)
                                                         : put_scientific(at, &number);
    *at = '\0';
    return (size_t)(at - text);
}

static size_t write_zero(char text[NUMBER_TEXT_SIZE], bool is_negative)
{
    strcpy(text, is_negative ? "-0" : "0");
    return 1 + (size_t)is_negative;
}

static size_t write_word(char text[NUMBER_TEXT_SIZE], double value)
{
    strcpy(text, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return strlen(text);
}

size_t number_write_double(char text[NUMBER_TEXT_SIZE], double value)
{
    uint64_t bits;
    if (!isfinite(value))
        return write_word(text, value);
    memcpy(&bits, &value, sizeof bits);
    if (value == 0)
        return write_zero(text, bits >> 63);
    return write_decimal(text, bits >> 63, decimal_of_double(bits & INT64_MAX));
}

size_t number_write_float(char text[NUMBER_TEXT_SIZE], float value)
{
    uint32_t bits;
    if (!isfinite(value))
        return write_word(text, (double)value);
    memcpy(&bits, &value, sizeof bits);
    if (value == 0)
        return write_zero(text, bits >> 31);
    return write_decimal(text, bits >> 31, decimal_of_float(bits & INT32_MAX));
}
