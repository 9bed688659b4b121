#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 1 << 16 };

static enum nabla_code read_all(int fd, const char *path, struct buffer *ret, struct nabla_error *err)
{
    for (;;) {
        char *end = buffer_reserve(ret, READ_CHUNK);
        size_t room = READ_CHUNK;
        if (!end && ret->failed == NABLA_LIMIT && ret->size < ret->limit) {
            room = ret->limit - ret->size; // the last, smaller piece below the limit
            ret->failed = NABLA_OK;
            end = buffer_reserve(ret, room);
        }
        if (!end)
            return buffer_status(ret, path, err);
        ssize_t count = read(fd, end, room);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return nabla_fail_errno(err, "read", path);
        if (count == 0)
            return NABLA_OK;
        ret->size += (size_t)count;
        ret->data[ret->size] = '\0';
    }
}

enum nabla_code file_read(const char *path, struct buffer *ret, struct nabla_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no file %s", path);
    if (fd < 0)
        return nabla_fail_errno(err, "open", path);
    enum nabla_code code = read_all(fd, path, ret, err);
    close(fd);
    return code;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, bytes, size);
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0) {
            bytes += count;
            size -= (size_t)count;
        }
    }
    return true;
}

// A rename is durable only once the folder that holds the name is on disk.
static bool sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool synced = fsync(fd) == 0;
    close(fd);
    return synced;
}

static bool write_synced(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = write_all(fd, bytes, size) && fsync(fd) == 0;
    return close(fd) == 0 && written;
}

enum nabla_code file_replace(const char *path, const void *bytes, size_t size, struct nabla_error *err)
{
    char beside[PATH_MAX];
    int length = snprintf(beside, sizeof beside, "%s.%d.new", path, (int)getpid());
    if (length < 0 || (size_t)length >= sizeof beside)
        return nabla_fail(err, NABLA_IO, NULL, "the path %s is too long", path);
    if (write_synced(beside, bytes, size) && rename(beside, path) == 0 && sync_folder_of(path))
        return NABLA_OK;
    enum nabla_code code = nabla_fail_errno(err, "write", path);
    unlink(beside);
    return code;
}

enum nabla_code file_make_folder(const char *path, struct nabla_error *err)
{
    if (mkdir(path, 0700) == 0)
        return NABLA_OK;
    struct stat info;
    if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return NABLA_OK;
    return nabla_fail_errno(err, "make the folder", path);
}

enum nabla_code file_remove(const char *path, struct nabla_error *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return NABLA_OK;
    return nabla_fail_errno(err, "remove", path);
}
