// Checked size arithmetic: a product or sum that does not fit is an error, never a small number.
// Thread safety: pure functions.
#ifndef NABLA_BASE_SIZE_H
#define NABLA_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

// *ret = a * b. False, with *ret untouched, when the product does not fit.
static inline bool size_mul(size_t a, size_t b, size_t *ret)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

// *ret = a + b. False, with *ret untouched, when the sum does not fit.
static inline bool size_add(size_t a, size_t b, size_t *ret)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

// Zeroed memory for a×b elements of `width` bytes, 64-byte aligned, or NULL when the product overflows or
// memory cannot be had. The caller frees it with free().
void *size_alloc(size_t a, size_t b, size_t width);

#endif
