// One array of numbers from a file, whichever of NPY, IDX, or either of them within gzip it is: the first
// bytes tell. Errors: those of the format. Ownership: an array borrows the caller's bytes, and owns what had
// to be copied or decompressed. Thread safety: read by any number of threads.
#ifndef NABLA_DATA_ARRAY_H
#define NABLA_DATA_ARRAY_H

#include "data/safetensors.h"

struct array {
    struct tensor tensor; // its name is borrowed
    void *inflated, *copy;
};

// `most`: bytes that may be decompressed, and that a copy may have; above: NABLA_LIMIT. `name` is what errors
// call the file; it must outlive the array.
enum nabla_code array_open(const char *name, const void *bytes, size_t size, size_t most, struct array *ret,
                           struct nabla_error *err);
void array_close(struct array *array);

#endif
