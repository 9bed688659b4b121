// Inside the store: points in memory as a table that SQL can read, so that one statement writes them all:
//
//     INSERT INTO … SELECT …, step, value FROM points(?) …      with statement_bind_points
//
// The table exists in the connections that points_open was called for, and in no file.
#ifndef NABLA_STORE_POINTS_H
#define NABLA_STORE_POINTS_H

#include <stddef.h>
#include <stdint.h>

struct sqlite3;

struct points {
    size_t count;
    const uint64_t *steps; // up to INT64_MAX
    const double *values;  // NaN is NULL
};

extern const char points_pointer[]; // the type of the pointer that is bound

// An SQLite status.
int points_open(struct sqlite3 *handle);

#endif
