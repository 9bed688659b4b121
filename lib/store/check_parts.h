// Inside the store: the parts of a check.
#ifndef NABLA_STORE_CHECK_PARTS_H
#define NABLA_STORE_CHECK_PARTS_H

#include "store/database.h"

#include <stdbool.h>
#include <stddef.h>

struct check {
    const char *folder;
    struct database *db;
    bool repair, all;
    void (*tell)(void *context, const char *text);
    void *context;
    size_t faults;
};

void check_fault(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Rows against the files that they describe, and files that no row describes.
enum nabla_code check_files(struct check *check, struct nabla_error *err);

// Rollups against the rows that they stand for, counted and added up by SQLite. All, or a random sample of
// each level.
enum nabla_code check_rollups(struct check *check, struct nabla_error *err);

#endif
