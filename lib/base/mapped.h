// A file's bytes as memory, read-only. Thread safety: a mapped file may be read by any thread.
#ifndef NABLA_BASE_MAPPED_H
#define NABLA_BASE_MAPPED_H

#include "base/error.h"

#include <stddef.h>

struct mapped {
    void *bytes; // NULL for an empty file
    size_t size;
};

// The descriptor may be closed afterwards.
enum nabla_code mapped_open(int fd, struct mapped *ret, struct nabla_error *err);
// NABLA_NOT_FOUND where there is no such file.
enum nabla_code mapped_open_path(const char *path, struct mapped *ret, struct nabla_error *err);
// Gives back the memory behind the bytes; they are read from the file again where they are looked at again.
void mapped_release(const struct mapped *mapped);
void mapped_close(struct mapped *mapped); // takes NULL and what was never opened ({0})

#endif
