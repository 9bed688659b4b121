// Inside the store: a rollup as bytes. Whole numbers are LEB128, doubles eight bytes, little-endian:
//
//     mask of columns in the file's order (wide.h; of a named metric, bit 0), rows, steps,
//     and for each column: count, nonfinite, and where count > 0: sum, rest, min, max
#ifndef NABLA_STORE_ROLLUP_DATA_H
#define NABLA_STORE_ROLLUP_DATA_H

#include "store/rollup.h"

#include <stdbool.h>

enum { ROLLUP_DATA_MAX = 30 + WIDE_STATS * (20 + 32) };

// `wide` is the series' table, NULL for a named metric. Returns the size.
size_t rollup_encode(const struct rollup *rollup, const struct wide *wide,
                     unsigned char ret[ROLLUP_DATA_MAX]);

// Adds what stands in the bytes to *ret; of the columns only those asked for. False: they are damaged.
bool rollup_decode(const unsigned char *bytes, size_t size, const struct wide *wide, uint32_t columns,
                   struct rollup *ret);

#endif
