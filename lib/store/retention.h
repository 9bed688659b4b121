// What is kept of finished jobs, and for how long. Jobs that are not finished are never touched.
#ifndef NABLA_STORE_RETENTION_H
#define NABLA_STORE_RETENTION_H

#include "store/store.h"

#include <stddef.h>

// 0 is no limit.
struct retention {
    uint64_t days;         // a job is removed so long after it has finished
    uint64_t history_days; // its history alone
    uint64_t jobs;         // finished jobs, the newest by their end
    uint64_t bytes;        // of database, data sets and jobs' files: jobs go, the longest finished first
};

// Brings the store within the limits, one job after the other; *ret says how many were touched. `now_ms` is
// the wall clock's. Removals are heard by the listener as store_job_delete's.
enum nabla_code store_retain(struct store *store, const struct retention *retention, int64_t now_ms,
                             size_t *ret, struct nabla_error *err);

// Bytes of the store that hold something: those of the database that are free for its next rows not counted.
enum nabla_code store_bytes(struct store *store, uint64_t *ret, struct nabla_error *err);

#endif
