// Fuzz targets: each file fuzz_NAME.c is one, a reader of what strangers send and the properties that must
// hold whatever they send. `make fuzz` builds them with libFuzzer, AddressSanitizer and UBSan and lets them
// search; every test run replays the kept inputs (tests/fuzz/corpus/NAME) through the same code (replay.c).
//
// A property that fails aborts, as a sanitizer would: fuzz_require.
#ifndef NABLA_TESTS_FUZZ_H
#define NABLA_TESTS_FUZZ_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// What libFuzzer calls; the bytes are the caller's, without a terminator behind them.
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
// Of targets that mutate by structure: replaces the input by another one of at most `most` bytes; returns its
// size.
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);
// Replaces it by something made of two; 0 where that is not to be had.
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size,
                                 uint8_t *ret, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most); // libFuzzer's own

#define fuzz_require(property)                                                                               \
    do {                                                                                                     \
        if (!(property)) {                                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #property);                           \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

// A refusal says why, in a text that ends.
static inline void fuzz_require_reason(enum nabla_code code, const struct nabla_error *err)
{
    fuzz_require(code != NABLA_OK && err->code == code);
    fuzz_require(err->text[0] != '\0');
    fuzz_require(code != NABLA_IO && code != NABLA_NO_MEMORY);
}

#endif
