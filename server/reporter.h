// A worker's line to the server: it sends what a run records, in batches every 100 ms or so, and learns from
// the answers what is asked of the job. Nothing is dropped: when the server is slow the queue fills, and the
// trainer waits.
// Thread safety: the functions below from the trainer's thread, reporter_stop from any.
#ifndef NABLA_SERVER_REPORTER_H
#define NABLA_SERVER_REPORTER_H

#include "base/buffer.h"
#include "train/trainer.h"

#include <stdbool.h>

struct reporter;

struct reporter_options {
    const char *socket, *job, *token; // copied
    unsigned attempt;
};

enum nabla_code reporter_new(const struct reporter_options *options, struct reporter **ret,
                             struct nabla_error *err);
void reporter_free(struct reporter *reporter); // what was not sent is lost

// The job's document as the server keeps it, appended to *ret. NABLA_CONFLICT: this attempt is not wanted
// any more.
enum nabla_code reporter_spec(struct reporter *reporter, struct buffer *ret, struct nabla_error *err);

// Begins to send on a thread of its own.
enum nabla_code reporter_start(struct reporter *reporter, struct nabla_error *err);

// Queues a record; waits while the queue is full. Errors: those of reporter_poll.
enum nabla_code reporter_record(struct reporter *reporter, const struct step_record *record,
                                const struct train_progress *progress, struct nabla_error *err);

// NABLA_OK while the run is wanted. NABLA_CANCELLED: the user asked to cancel, or reporter_stop was called.
// NABLA_CONFLICT: the server wants nothing of this attempt any more. NABLA_INVALID: it refused a report.
enum nabla_code reporter_poll(struct reporter *reporter, struct nabla_error *err);

// True when the user asked to cancel the job.
bool reporter_is_cancelled(struct reporter *reporter);

// Sends what is queued, then the final state ("succeeded", "failed", "cancelled") with its result or error
// (JSON texts, or NULL).
enum nabla_code reporter_finish(struct reporter *reporter, const char *state, const char *result,
                                const char *error, struct nabla_error *err);

// The server is gone, or the process is to end: nothing is waited for any more.
void reporter_stop(struct reporter *reporter);

#endif
