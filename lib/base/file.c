#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 1 << 16 };

// At the limit one more byte is asked for: a file of just that size is not too large.
static enum nabla_code read_all(int fd, const char *path, struct buffer *ret, struct nabla_error *err)
{
    for (;;) {
        char beyond, *end = &beyond;
        size_t left = ret->limit - ret->size, room = left < READ_CHUNK ? left : READ_CHUNK;
        if (room > 0)
            end = buffer_reserve(ret, room);
        if (!end)
            return buffer_status(ret, path, err);
        ssize_t count = read(fd, end, room > 0 ? room : 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return nabla_fail_errno(err, "read", path);
        if (count == 0)
            return NABLA_OK;
        if (room == 0)
            return nabla_fail(err, NABLA_LIMIT, NULL, "the file %s is larger than its limit of %zu bytes",
                              path, ret->limit);
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

static void writing_end(struct file_writing *writing)
{
    if (writing->fd >= 0)
        close(writing->fd);
    free(writing->beside);
    free(writing->path);
    *writing = (struct file_writing){.fd = -1};
}

void file_abandon(struct file_writing *writing)
{
    if (writing->beside)
        unlink(writing->beside);
    writing_end(writing);
}

// The name beside `path` is the writer's own, whichever thread or process that is; mode 0600.
enum nabla_code file_begin(const char *path, struct file_writing *ret, struct nabla_error *err)
{
    static const char suffix[] = ".new";
    struct file_writing writing = {.fd = -1, .path = strdup(path)};
    if (!writing.path || asprintf(&writing.beside, "%s.XXXXXX%s", path, suffix) < 0) {
        free(writing.path);
        return nabla_fail_memory(err, "a path");
    }
    writing.fd = mkostemps(writing.beside, sizeof suffix - 1, O_CLOEXEC);
    if (writing.fd < 0) {
        enum nabla_code code = nabla_fail_errno(err, "write", path);
        writing_end(&writing);
        return code;
    }
    *ret = writing;
    return NABLA_OK;
}

enum nabla_code file_write(struct file_writing *writing, const void *bytes, size_t size,
                           struct nabla_error *err)
{
    return write_all(writing->fd, bytes, size) ? NABLA_OK : nabla_fail_errno(err, "write", writing->path);
}

static bool close_writing(struct file_writing *writing)
{
    int fd = writing->fd;
    writing->fd = -1;
    return close(fd) == 0;
}

enum nabla_code file_commit(struct file_writing *writing, struct nabla_error *err)
{
    if (fsync(writing->fd) == 0 && close_writing(writing) && rename(writing->beside, writing->path) == 0 &&
        sync_folder_of(writing->path)) {
        writing_end(writing);
        return NABLA_OK;
    }
    enum nabla_code code = nabla_fail_errno(err, "write", writing->path);
    file_abandon(writing);
    return code;
}

enum nabla_code file_replace(const char *path, const void *bytes, size_t size, struct nabla_error *err)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, size};
    return file_replace_pieces(path, &piece, 1, err);
}

enum nabla_code file_replace_pieces(const char *path, const struct iovec *pieces, size_t count,
                                    struct nabla_error *err)
{
    struct file_writing writing;
    enum nabla_code code = file_begin(path, &writing, err);
    if (code)
        return code;
    for (size_t i = 0; i < count && !code; i++)
        code = file_write(&writing, pieces[i].iov_base, pieces[i].iov_len, err);
    if (!code)
        return file_commit(&writing, err);
    file_abandon(&writing);
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

enum nabla_code file_next(DIR *entries, const char *path, struct dirent **ret, struct nabla_error *err)
{
    struct dirent *at;
    do {
        errno = 0;
        at = readdir(entries);
    } while (at && (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0));
    if (!at && errno != 0)
        return nabla_fail_errno(err, "read the folder", path);
    *ret = at;
    return NABLA_OK;
}

enum nabla_code file_remove(const char *path, struct nabla_error *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return NABLA_OK;
    return nabla_fail_errno(err, "remove", path);
}
