// The lock on a job's folder: whoever trains the job holds it until its process ends.
// Thread safety: any thread.
#ifndef NABLA_SERVER_JOB_LOCK_H
#define NABLA_SERVER_JOB_LOCK_H

#include "base/error.h"

#include <stdbool.h>

// With `wait` until whoever holds it has ended; without, NABLA_CONFLICT where somebody does.
enum nabla_code job_lock_take(const char *folder, bool wait, struct nabla_error *err);

#endif
