// Removes what no row stands for: leftovers of a process that died between writing a file and its row, or
// between removing a row and its file.
#ifndef NABLA_STORE_SWEEP_H
#define NABLA_STORE_SWEEP_H

#include "store/access.h"

// Empties tmp/, and removes the files of datasets/ and the folders of jobs/ that have no row. Run at opening,
// while nobody else works in the folder.
enum nabla_code sweep_store(struct store *store, struct nabla_error *err);

// Removes a file or a folder with everything in it; a missing one is fine. Symbolic links are not followed.
enum nabla_code sweep_tree(const char *path, struct nabla_error *err);

#endif
