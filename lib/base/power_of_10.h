// The powers of ten that turn binary numbers into decimal ones and back: their 128 leading bits, rounded up,
// as high · 2^64 + low with the highest bit set. Exact from 1e0 to 1e55. Thread safety: constants.
#ifndef NABLA_BASE_POWER_OF_10_H
#define NABLA_BASE_POWER_OF_10_H

#include <stdint.h>

enum { POWER_OF_10_LEAST = -292, POWER_OF_10_MOST = 324 };

struct power_of_10 {
    uint64_t high, low;
};
extern const struct power_of_10 powers_of_10[POWER_OF_10_MOST - POWER_OF_10_LEAST + 1];

#endif
