#include "store/rollup_data.h"

#include <endian.h>
#include <string.h>

static unsigned char *put_number(unsigned char *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (unsigned char)(number | 0x80);
    *at++ = (unsigned char)number;
    return at;
}

static unsigned char *put_double(unsigned char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = htole64(bits);
    memcpy(at, &bits, sizeof bits);
    return at + sizeof bits;
}

static unsigned char *put_column(unsigned char *at, const struct aggregate *column)
{
    at = put_number(at, column->count);
    at = put_number(at, column->nonfinite);
    if (column->count > 0) {
        const double values[] = {column->sum, column->rest, column->min, column->max};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            at = put_double(at, values[i]);
    }
    return at;
}

// The program's statistic at a bit of the file, or -1.
static int stat_at(const struct wide *wide, unsigned bit)
{
    if (!wide)
        return bit == 0 ? 0 : -1;
    for (size_t i = 0; i < wide->table->count; i++)
        if (wide->bits[i] == bit)
            return (int)i;
    return -1;
}

size_t rollup_encode(const struct rollup *rollup, const struct wide *wide, unsigned char ret[ROLLUP_DATA_MAX])
{
    uint64_t mask = 0;
    size_t count = wide ? wide->table->count : 1;
    for (size_t i = 0; i < count; i++)
        if (rollup->columns[i].count + rollup->columns[i].nonfinite > 0)
            mask |= UINT64_C(1) << (wide ? wide->bits[i] : 0);
    unsigned char *at = put_number(ret, mask);
    at = put_number(at, rollup->rows);
    at = put_number(at, rollup->steps);
    for (unsigned bit = 0; mask >> bit; bit++)
        if (mask >> bit & 1)
            at = put_column(at, &rollup->columns[stat_at(wide, bit)]);
    return (size_t)(at - ret);
}

struct reading {
    const unsigned char *at, *end;
    bool is_short;
};

static uint64_t take_number(struct reading *from)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && from->at < from->end; shift += 7) {
        number |= (uint64_t)(*from->at & 0x7f) << shift;
        if (*from->at++ < 0x80)
            return number;
    }
    from->is_short = true;
    return 0;
}

static double take_double(struct reading *from)
{
    uint64_t bits;
    double value;
    if (from->end - from->at < (ptrdiff_t)sizeof bits) {
        from->is_short = true;
        return 0;
    }
    memcpy(&bits, from->at, sizeof bits);
    from->at += sizeof bits;
    bits = le64toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct aggregate take_column(struct reading *from)
{
    struct aggregate column = {.count = take_number(from)};
    column.nonfinite = take_number(from);
    if (column.count > 0) {
        column.sum = take_double(from);
        column.rest = take_double(from);
        column.min = take_double(from);
        column.max = take_double(from);
    }
    return column;
}

bool rollup_decode(const unsigned char *bytes, size_t size, const struct wide *wide, uint32_t columns,
                   struct rollup *ret)
{
    struct reading from = {.at = bytes, .end = bytes + size};
    uint64_t mask = take_number(&from);
    ret->rows += take_number(&from);
    ret->steps += take_number(&from);
    for (unsigned bit = 0; bit < 64 && mask >> bit && !from.is_short; bit++) {
        if (!(mask >> bit & 1))
            continue;
        struct aggregate column = take_column(&from);
        int stat = stat_at(wide, bit);
        if (stat >= 0 && columns >> stat & 1)
            aggregate_merge(&ret->columns[stat], &column);
    }
    return !from.is_short && from.at == from.end;
}
