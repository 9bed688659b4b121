// Copies of a whole data folder, also while a server works in it, and back.
//
// A backup is a folder: nabla.db, one consistent state of the database; datasets/ and jobs/ with the files
// that it describes; MANIFEST, a line "SHA256  PATH" for each, written last. A copy without its manifest is
// not whole.
#ifndef NABLA_STORE_BACKUP_H
#define NABLA_STORE_BACKUP_H

#include "base/error.h"

#include <stddef.h>

// `to` is made, or empty (NABLA_CONFLICT). The copy is checked: the database against SQLite's rules, data
// sets against the hashes that they are named by. *ret_files counts files.
enum nabla_code backup_make(const char *folder, const char *to, size_t *ret_files, struct nabla_error *err);

// Checks a backup against its manifest and copies it to `folder`, which is made, or empty.
enum nabla_code backup_restore(const char *from, const char *folder, size_t *ret_files,
                               struct nabla_error *err);

// Writes a copy of one database file in one consistent state, durably; `path` must not exist.
enum nabla_code backup_database(const char *from, const char *path, struct nabla_error *err);

#endif
