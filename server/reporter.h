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
    int line;                              // to the server (line_client.h), borrowed
    const char *job, *token, *traceparent; // copied; the last may be NULL
    unsigned attempt;
};

enum nabla_code reporter_new(const struct reporter_options *options, struct reporter **ret,
                             struct nabla_error *err);
void reporter_free(struct reporter *reporter); // what was not sent is lost

// The job's document as the server keeps it, appended to *ret. NABLA_CONFLICT: this attempt is not wanted
// any more.
enum nabla_code reporter_spec(struct reporter *reporter, struct buffer *ret, struct nabla_error *err);

// Sends batches that an earlier attempt of the job left unsent (reporter_unsent's), before reporter_start.
enum nabla_code reporter_resend(struct reporter *reporter, const char *lines, size_t size,
                                struct nabla_error *err);

// Begins to send on a thread of its own.
enum nabla_code reporter_start(struct reporter *reporter, struct nabla_error *err);

// Queues a record; waits while the queue is full and the run is wanted. Where it is not, that is
// reporter_poll's to tell: the record is kept. NABLA_NO_MEMORY is the only error.
enum nabla_code reporter_record(struct reporter *reporter, const struct step_record *record,
                                const struct train_progress *progress, struct nabla_error *err);

// The same of a step's histograms.
enum nabla_code reporter_histograms(struct reporter *reporter, const struct histogram_record *record,
                                    struct nabla_error *err);

// What was recorded and the server has not acknowledged, appended as batches, one a line: a checkpoint
// carries them, so that no step is lost between what the server has and where the next attempt goes on.
enum nabla_code reporter_unsent(struct reporter *reporter, struct buffer *ret, struct nabla_error *err);

// Tells of something for the job's log: "inputs", "checkpoint", "restored", "restarted", "note". One that
// cannot be sent before the end is lost.
void reporter_event(struct reporter *reporter, const char *event, const char *detail);

// NABLA_OK while the run is wanted. NABLA_CANCELLED: the user asked to cancel or pause, or reporter_stop was
// called. NABLA_CONFLICT: the server wants nothing of this attempt any more. NABLA_INVALID: it refused a
// report.
enum nabla_code reporter_poll(struct reporter *reporter, struct nabla_error *err);

// reporter_poll after a while, or as soon as the process is to end.
enum nabla_code reporter_pause(struct reporter *reporter, int64_t milliseconds, struct nabla_error *err);

// What the user asked of the job: REPORTER_CANCEL wins over REPORTER_PAUSE.
enum reporter_request { REPORTER_NOTHING, REPORTER_PAUSE, REPORTER_CANCEL };
enum reporter_request reporter_requested(struct reporter *reporter);

// Sends what is queued, then how the attempt ends: "succeeded", "failed", "cancelled" or "paused". `result`
// and `error` are JSON texts, `detail` is for the job's log; each may be NULL. An end with an `error` is sent
// also where a report before it was refused; any other is that refusal.
struct reporter_end {
    const char *state, *result, *error, *detail;
};
enum nabla_code reporter_finish(struct reporter *reporter, const struct reporter_end *end,
                                struct nabla_error *err);

// The server is gone, or the process is to end: nothing is waited for any more.
void reporter_stop(struct reporter *reporter);

#endif
