// Inside the store: rows of the jobs table as structs.
#ifndef NABLA_STORE_JOB_ROW_H
#define NABLA_STORE_JOB_ROW_H

#include "store/access.h"
#include "store/jobs.h"

// The job of the current row of a statement with the JOB_COLUMNS; *ret_number is its number.
enum nabla_code job_row_read(const struct store *store, struct statement *row, struct job **ret,
                             int64_t *ret_number, struct nabla_error *err);

// NABLA_NOT_FOUND, with a text, when there is no such job.
enum nabla_code job_read(const struct store *store, struct database *db, const char *id, struct job **ret,
                         struct nabla_error *err);

// Adds to the job's event log; `detail` may be NULL.
enum nabla_code job_entry_insert(struct database *db, int64_t job, uint64_t revision, int64_t at_ms,
                                 const char *event, const char *detail, struct nabla_error *err);

// Where a job stands: what a guarded change must know.
struct job_stand {
    int64_t number;
    enum job_state state;
    enum job_request requested;
    enum job_executor executor;
    unsigned attempt;
    uint64_t revision;
    bool has_latest;
    uint64_t latest_step, latest_validation_step;
};
// As job_read.
enum nabla_code job_stand_read(struct database *db, const char *id, struct job_stand *ret,
                               struct nabla_error *err);

enum nabla_code job_fail_missing(const char *id, struct nabla_error *err);

// A word of the file that this program does not know: NABLA_IO.
enum nabla_code job_fail_word(const char *id, struct nabla_error *err);

#endif
