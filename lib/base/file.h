// Files as the service needs them: read whole with a largest size, replaced whole and durably.
// Errors: NABLA_NOT_FOUND where a file is missing, NABLA_LIMIT where it is too large, else as
// nabla_fail_errno. All descriptors are close-on-exec. Thread safety: any thread.
#ifndef NABLA_BASE_FILE_H
#define NABLA_BASE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <dirent.h>
#include <stddef.h>
#include <sys/uio.h>

// Appends the whole file to *ret, whose limit holds.
enum nabla_code file_read(const char *path, struct buffer *ret, struct nabla_error *err);

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder: after success the new content survives a
// power cut, after failure the old content stands.
enum nabla_code file_replace(const char *path, const void *bytes, size_t size, struct nabla_error *err);
// The same of several pieces, one behind the other.
enum nabla_code file_replace_pieces(const char *path, const struct iovec *pieces, size_t count,
                                    struct nabla_error *err);

// The same for content that comes in pieces: what was written stands beside `path` until file_commit, which
// takes its place durably; file_abandon removes it. Either one ends the writing; a failed commit abandons.
struct file_writing {
    int fd;
    char *path, *beside; // owned
};
enum nabla_code file_begin(const char *path, struct file_writing *ret, struct nabla_error *err);
enum nabla_code file_write(struct file_writing *writing, const void *bytes, size_t size,
                           struct nabla_error *err);
enum nabla_code file_commit(struct file_writing *writing, struct nabla_error *err);
void file_abandon(struct file_writing *writing);

// Makes the folder (mode 0700) unless it exists; its parent must exist.
enum nabla_code file_make_folder(const char *path, struct nabla_error *err);

// The next entry of a folder but "." and ".."; *ret is NULL behind the last. A folder that cannot be read to
// its end is not taken for a shorter one.
enum nabla_code file_next(DIR *entries, const char *path, struct dirent **ret, struct nabla_error *err);

// Removes a file; a missing one is fine.
enum nabla_code file_remove(const char *path, struct nabla_error *err);

#endif
