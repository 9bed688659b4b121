#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum nabla_code mapped_open(int fd, struct mapped *ret, struct nabla_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return nabla_fail_errno(err, "read", "a file");
    struct mapped mapped = {.size = (size_t)status.st_size};
    if (mapped.size > 0)
        mapped.bytes = mmap(NULL, mapped.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped.bytes == MAP_FAILED)
        return nabla_fail_errno(err, "map", "a file");
    *ret = mapped;
    return NABLA_OK;
}

enum nabla_code mapped_open_path(const char *path, struct mapped *ret, struct nabla_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no file %s", path);
    if (fd < 0)
        return nabla_fail_errno(err, "open", path);
    enum nabla_code code = mapped_open(fd, ret, err);
    close(fd);
    return code;
}

void mapped_release(const struct mapped *mapped)
{
    if (mapped->bytes)
        madvise(mapped->bytes, mapped->size, MADV_DONTNEED);
}

void mapped_close(struct mapped *mapped)
{
    if (mapped && mapped->bytes)
        munmap(mapped->bytes, mapped->size);
    if (mapped)
        *mapped = (struct mapped){0};
}
