#!/usr/bin/env python3
"""Makes lib/base/power_of_10.c: python3 scripts/power_of_10.py >lib/base/power_of_10.c"""

LEAST, MOST = -292, 324


def significand(k):
    """The 128 leading bits of 10^k, rounded up."""
    numerator, denominator = (10**k, 1) if k >= 0 else (1, 10**-k)
    shift = 127 - (numerator.bit_length() - denominator.bit_length())
    for shift in (shift, shift + 1):
        value = -((-numerator << max(shift, 0)) // (denominator << max(-shift, 0)))
        if value >> 127 == 1:
            return value
    raise ValueError(k)


print("// Made by scripts/power_of_10.py.")
print('#include "base/power_of_10.h"')
print("\n// clang-format off")
print("const struct power_of_10 powers_of_10[POWER_OF_10_MOST - POWER_OF_10_LEAST + 1] = {")
for k in range(LEAST, MOST + 1):
    bits = significand(k)
    print(f"    {{0x{bits >> 64:016x}, 0x{bits & (1 << 64) - 1:016x}}}, // 1e{k}")
print("};")
