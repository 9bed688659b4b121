// A data set out of files that hold an array each: of two (MNIST's images and labels, or two NPY files), or
// of an archive (NPZ, or a ZIP of NPY or IDX files).
//
// What an archive's entry is for is told by its name, without folders, ".gz" and ".npy": "features", "X",
// "x", "X_train", "x_train", or a name with "images" in it; "labels", "y", "y_train", or a name with "labels"
// in it; "sample_weights". Others are passed over; two for one purpose are refused. Arrays become a data set
// as data/tensor_dataset.h says, their features named "x0", "x1", …. Memory: what is decompressed is bounded
// by what a data set within the limits can need. Errors: the readers', with the file's name. Thread safety:
// pure functions.
#ifndef NABLA_DATA_ARRAY_DATASET_H
#define NABLA_DATA_ARRAY_DATASET_H

#include "data/dataset.h"

#include <stdbool.h>

struct array_bytes {
    const char *name; // what errors call it
    const void *bytes;
    size_t size;
};

enum nabla_code dataset_from_arrays(const struct array_bytes *features, const struct array_bytes *labels,
                                    const struct dataset_limits *limits, struct dataset **ret,
                                    struct nabla_error *err);

enum nabla_code dataset_from_archive(const void *bytes, size_t size, const struct dataset_limits *limits,
                                     struct dataset **ret, struct nabla_error *err);

// Whether the bytes begin as an archive, and as an array alone.
bool archive_begins(const void *bytes, size_t size);
bool array_begins(const void *bytes, size_t size);

#endif
