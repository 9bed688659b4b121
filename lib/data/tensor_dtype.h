// The dtypes of tensors: one table for reader and writer.
#ifndef NABLA_DATA_TENSOR_DTYPE_H
#define NABLA_DATA_TENSOR_DTYPE_H

#include "data/safetensors.h"

struct tensor_dtype_info {
    const char *name; // in a safetensors header
    size_t size;      // bytes of an element
};

extern const struct tensor_dtype_info tensor_dtypes[TENSOR_DTYPE_COUNT];

#endif
