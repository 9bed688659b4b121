// What one job takes of the store: rows of its histories, and its files.
//
// Rows are counted by the rollups (rollup.h), so the count is exact and takes a few milliseconds whatever the
// history's length; of histograms each row is looked at. Bytes of rows are an estimate: what the values and
// the keys take in the file, without its free space, the runs of writes and the rollups.
#ifndef NABLA_STORE_JOB_STORAGE_H
#define NABLA_STORE_JOB_STORAGE_H

#include "store/jobs.h"

enum storage_part {
    STORAGE_METRICS,   // of the network
    STORAGE_GRADIENTS, // of the layers
    STORAGE_NAMED,     // metrics that a client named
    STORAGE_HISTOGRAMS,
    STORAGE_FILES, // of jobs/ID: one row is a file
    STORAGE_PART_COUNT
};

struct job_storage {
    struct {
        uint64_t rows, bytes;
    } parts[STORAGE_PART_COUNT];
};

// NABLA_NOT_FOUND: no such job.
enum nabla_code store_job_storage(struct store *store, const char *id, struct job_storage *ret,
                                  struct nabla_error *err);

#endif
