// What a worker writes for whoever reads its job's log (GET /v1/jobs/{id}/log): lines with the time and the
// attempt, as the server's own log has them. What libraries write to standard error stands between them.
// Thread safety: one log a thread.
#ifndef NABLA_SERVER_WORKER_LOG_H
#define NABLA_SERVER_WORKER_LOG_H

#include "train/trainer.h"

struct worker_log {
    unsigned attempt;
    int64_t begun_ms, next_ms; // when progress is told again
};

struct worker_log worker_log_new(unsigned attempt);

void worker_log_write(const struct worker_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Writes where the training stands: every few seconds, and ever more rarely, so that the log of a month's
// training has about a thousand such lines.
void worker_log_progress(struct worker_log *log, const struct train_progress *progress);

#endif
