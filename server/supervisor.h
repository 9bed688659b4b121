// Takes queued jobs, starts a worker for each, and settles what becomes of attempts that end without a word:
// requeued while retries are left, else failed with the evidence.
// Thread safety: supervisor_wake from any thread; the others from the thread that owns it.
#ifndef NABLA_SERVER_SUPERVISOR_H
#define NABLA_SERVER_SUPERVISOR_H

#include "server/launcher.h"
#include "server/log.h"
#include "store/store.h"

struct supervisor;

struct supervisor_options {
    struct store *store;      // borrowed
    const struct log *log;    // borrowed
    struct launcher launcher; // of jobs with executor local
    struct worker_limits limits;
    unsigned slots;   // workers at a time
    int64_t lease_ms; // how long a job of executor client may be silent
};

// Makes it; nothing runs before supervisor_start.
enum nabla_code supervisor_new(const struct supervisor_options *options, struct supervisor **ret,
                               struct nabla_error *err);

// Settles the attempts that a server before this one left running, then takes jobs on a thread of its own.
enum nabla_code supervisor_start(struct supervisor *supervisor, struct nabla_error *err);

// Something may be to do: a job was queued, or a running one is to be cancelled.
void supervisor_wake(struct supervisor *supervisor);

// Workers that were started, and attempts that were lost, since it was made. Any thread.
struct supervisor_counts {
    uint64_t started, lost;
};
struct supervisor_counts supervisor_count(struct supervisor *supervisor);

// Takes no more jobs, asks the workers to end, waits for them (5 s, then they are killed) and requeues their
// jobs. What their reports come by must still be open.
void supervisor_stop(struct supervisor *supervisor);
void supervisor_free(struct supervisor *supervisor);

#endif
