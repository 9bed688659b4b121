// The IDX format, in which MNIST and its kin come: two zero bytes, a type, the number of dimensions, each
// dimension as a big-endian 32-bit number, then the elements, big-endian, the last dimension running fastest.
// http://yann.lecun.com/exdb/mnist/ (at its end).
//
// The reader copies nothing. Errors: NABLA_MALFORMED with what is wrong. Thread safety: pure functions.
#ifndef NABLA_DATA_IDX_H
#define NABLA_DATA_IDX_H

#include "data/safetensors.h"

#include <stdbool.h>

enum idx_type { IDX_U8, IDX_I8, IDX_I16, IDX_I32, IDX_F32, IDX_F64, IDX_TYPE_COUNT };

struct idx {
    enum idx_type type;
    enum tensor_dtype dtype; // what idx_copy makes of the elements: the narrow whole numbers become I32
    size_t rank, shape[TENSOR_RANK_MAX];
    size_t elements;  // product of the shape
    const void *data; // into the caller's bytes
};

// Whether the bytes begin as the format does.
bool idx_begins(const void *bytes, size_t size);

enum nabla_code idx_read(const void *bytes, size_t size, struct idx *ret, struct nabla_error *err);

// The elements as idx->dtype in this machine's byte order; `ret` has room for them.
void idx_copy(const struct idx *idx, void *ret);

#endif
