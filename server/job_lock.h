// The lock on a job's folder: whoever trains the job holds it until its process ends.
// Thread safety: any thread.
#ifndef NABLA_SERVER_JOB_LOCK_H
#define NABLA_SERVER_JOB_LOCK_H

#include "base/error.h"

#include <stdint.h>

// NABLA_CONFLICT where somebody holds it.
enum nabla_code job_lock_take(const char *folder, struct nabla_error *err);

// For who the job belongs to now: waits until whoever holds it has ended, and ends him (SIGKILL) when that
// takes longer than `patience_ms`: a worker that outlived its server. NABLA_CONFLICT where that fails.
// The job belongs to him as long as nobody has closed the other end of `lifeline`, a pipe; -1 for always.
// NABLA_CANCELLED: somebody has, and who holds the lock may be his own successor.
enum nabla_code job_lock_take_over(const char *folder, int lifeline, int64_t patience_ms,
                                   struct nabla_error *err);

#endif
