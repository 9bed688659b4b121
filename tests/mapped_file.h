// Bytes and data sets as mapped files, as the server keeps them, for tests. Include after cmocka.h.
#ifndef NABLA_TESTS_MAPPED_FILE_H
#define NABLA_TESTS_MAPPED_FILE_H

#include "base/mapped.h"
#include "data/dataset.h"
#include "data/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

static inline struct mapped map_bytes(const struct buffer *bytes)
{
    struct mapped mapped;
    const int fd = memfd_create("a file", MFD_CLOEXEC);
    assert_true(fd >= 0 && write(fd, bytes->data, bytes->size) == (ssize_t)bytes->size);
    assert_int_equal(mapped_open(fd, &mapped, NULL), NABLA_OK);
    close(fd);
    return mapped;
}

// The same data set, its features in a file.
static inline struct dataset *map_dataset(const struct dataset *data)
{
    struct buffer bytes = buffer_new((size_t)1 << 30);
    struct dataset *ret;
    assert_int_equal(safetensors_write_dataset(data, &bytes, NULL), NABLA_OK);
    struct mapped mapped = map_bytes(&bytes);
    buffer_free(&bytes);
    assert_int_equal(safetensors_map_dataset(&mapped, &dataset_unlimited, &ret, NULL), NABLA_OK);
    assert_non_null(ret->file.bytes);
    return ret;
}

#endif
