// The NPY format, versions 1.0 to 3.0: a magic text, the version, a header that is a Python dict literal
// {'descr', 'fortran_order', 'shape'}, then the elements' bytes.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// The reader copies nothing. Python objects (dtype O) are pickled, and a pickle is a program: they are
// refused, as are structured dtypes and whatever else is no plain number. Errors: NABLA_MALFORMED with the
// byte. Thread safety: pure functions.
#ifndef NABLA_DATA_NPY_H
#define NABLA_DATA_NPY_H

#include "data/safetensors.h"

#include <stdbool.h>

struct npy {
    enum tensor_dtype dtype;
    bool is_swapped; // the other byte order than this machine's
    bool is_fortran; // the first index runs fastest
    size_t rank, shape[TENSOR_RANK_MAX];
    size_t elements;  // product of the shape
    const void *data; // into the caller's bytes; not necessarily aligned
    size_t bytes;     // of the elements: all that stands behind the header
};

enum nabla_code npy_read(const void *bytes, size_t size, struct npy *ret, struct nabla_error *err);

// The elements in C order and this machine's byte order; `ret` has room for array->bytes.
void npy_copy(const struct npy *array, void *ret);

// Appends everything but the elements of a C-ordered array, as version 1.0, padded so that they start at a
// multiple of 64 bytes: append them behind it.
enum nabla_code npy_write_header(enum tensor_dtype dtype, size_t rank, const size_t *shape,
                                 struct buffer *ret, struct nabla_error *err);

#endif
