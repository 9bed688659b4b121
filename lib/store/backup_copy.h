// Inside the store: files copied from one data folder to another, with their hashes. For backup.c and
// restore.c.
#ifndef NABLA_STORE_BACKUP_COPY_H
#define NABLA_STORE_BACKUP_COPY_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/token.h"
#include "store/database.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct backup {
    const char *from, *to;
    char held[PATH_MAX]; // the folder of further links to checkpoints, below `from`; "" for none
    struct buffer manifest;
    size_t files;
    struct database *source; // as it is now, while files are copied
};

// "FOLDER/NAME"; false when that is too long.
bool backup_path(char ret[PATH_MAX], const char *folder, const char *name);

// A folder for what is to be made: *ret_made says that it was not there, else it is empty (NABLA_CONFLICT).
enum nabla_code backup_claim(const char *folder, bool *ret_made, struct nabla_error *err);

// Reads a file to its end, into `writing` where that is not NULL, and tells its hash. NABLA_NOT_FOUND: there
// is none.
enum nabla_code backup_hash(const char *path, struct file_writing *writing, char ret[TOKEN_SHA256_SIZE],
                            struct nabla_error *err);

// Copies a file to `name` below `to`, durably; backup_copy from the same name below `from`. NABLA_NOT_FOUND
// when it has gone.
enum nabla_code backup_copy_from(const struct backup *backup, const char *from, const char *name,
                                 char ret[TOKEN_SHA256_SIZE], struct nabla_error *err);
enum nabla_code backup_copy(const struct backup *backup, const char *name, char ret[TOKEN_SHA256_SIZE],
                            struct nabla_error *err);

// Adds a line to the manifest.
enum nabla_code backup_note(struct backup *backup, const char *name, const char *sha256,
                            struct nabla_error *err);

// The files of a job that `copy` has, but for checkpoints of clients; a job that is deleted meanwhile goes
// from `copy`.
enum nabla_code backup_job(struct backup *backup, struct database *copy, const char *id,
                           struct nabla_error *err);

#endif
