#include "store/backup_copy.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

// "FOLDER/NAME"; false when that is too long.
bool backup_path(char ret[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

static void hex_of(const unsigned char bytes[TOKEN_SHA256_BYTES], char ret[TOKEN_SHA256_SIZE])
{
    for (size_t i = 0; i < TOKEN_SHA256_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

enum nabla_code backup_claim(const char *folder, bool *ret_made, struct nabla_error *err)
{
    struct dirent *first = NULL;
    DIR *entries = opendir(folder);
    *ret_made = !entries && errno == ENOENT;
    if (*ret_made)
        return file_make_folder(folder, err);
    if (!entries)
        return nabla_fail_errno(err, "read the folder", folder);
    enum nabla_code code = file_next(entries, folder, &first, err);
    closedir(entries);
    return first ? nabla_fail(err, NABLA_CONFLICT, NULL, "%s is not empty", folder) : code;
}

// Reads a file to its end, into `writing` where that is not NULL, and tells its hash.
enum nabla_code backup_hash(const char *path, struct file_writing *writing, char ret[TOKEN_SHA256_SIZE],
                            struct nabla_error *err)
{
    unsigned char sum[TOKEN_SHA256_BYTES];
    char *piece = malloc(PIECE);
    struct token_sha256_run *run = token_sha256_begin();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum nabla_code code = NABLA_OK;
    if (fd < 0)
        code = errno == ENOENT ? nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no file %s", path)
                               : nabla_fail_errno(err, "open", path);
    else if (!piece || !run)
        code = nabla_fail_memory(err, "a copy");
    while (code == NABLA_OK) {
        ssize_t size = read(fd, piece, PIECE);
        if (size < 0)
            code = nabla_fail_errno(err, "read", path);
        if (size <= 0)
            break;
        token_sha256_add(run, piece, (size_t)size);
        if (writing)
            code = file_write(writing, piece, (size_t)size, err);
    }
    if (fd >= 0)
        close(fd);
    free(piece);
    token_sha256_end(run, sum);
    if (code == NABLA_OK)
        hex_of(sum, ret);
    return code;
}

enum nabla_code backup_note(struct backup *backup, const char *name, const char *sha256,
                            struct nabla_error *err)
{
    backup->files++;
    buffer_format(&backup->manifest, "%s  %s\n", sha256, name);
    return buffer_status(&backup->manifest, "the manifest", err);
}

enum nabla_code backup_copy_from(const struct backup *backup, const char *from, const char *name,
                                 char ret[TOKEN_SHA256_SIZE], struct nabla_error *err)
{
    char to[PATH_MAX];
    struct file_writing writing;
    if (!backup_path(to, backup->to, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long: %s", name);
    enum nabla_code code = file_begin(to, &writing, err);
    if (code)
        return code;
    code = backup_hash(from, &writing, ret, err);
    if (code)
        file_abandon(&writing);
    return code ? code : file_commit(&writing, err);
}

// `name` is below both folders.
enum nabla_code backup_copy(const struct backup *backup, const char *name, char ret[TOKEN_SHA256_SIZE],
                            struct nabla_error *err)
{
    char from[PATH_MAX];
    return backup_path(from, backup->from, name)
               ? backup_copy_from(backup, from, name, ret, err)
               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long: %s", name);
}
