// Jobs: the table is the queue, and a job's life is one table of transitions (from, event, to), each a single
// UPDATE guarded by state and attempt. Every committed change raises the job's revision by one.
//
// Ownership: a struct job owns its texts; job_free releases them.
#ifndef NABLA_STORE_JOBS_H
#define NABLA_STORE_JOBS_H

#include "base/token.h"
#include "store/keys.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

enum { TRACEPARENT_SIZE = 56 }; // of W3C Trace Context, version 00

enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_PAUSED,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATE_COUNT
};

enum job_event {
    JOB_EVENT_CLAIM,     // a launcher takes a queued job: attempt + 1
    JOB_EVENT_SUCCEED,   // the worker reports
    JOB_EVENT_FAIL,      // the worker reports
    JOB_EVENT_CANCEL,    // a user asks: a queued or paused job is cancelled at once, a running one gets
                         // `requested`
    JOB_EVENT_CANCELLED, // the worker obeyed
    JOB_EVENT_PAUSE,     // a user asks: a queued job is paused at once, a running one gets `requested`
    JOB_EVENT_PAUSED,    // the worker obeyed
    JOB_EVENT_RESUME,    // a user asks: paused → queued
    JOB_EVENT_REQUEUE,   // the attempt was lost and retries are left: queued; but what was requested is done
    JOB_EVENT_ABANDON,   // the attempt was lost and none are left: failed, or cancelled where requested
    JOB_EVENT_COUNT
};

enum job_request { JOB_REQUEST_NONE, JOB_REQUEST_CANCEL, JOB_REQUEST_PAUSE, JOB_REQUEST_COUNT };
enum job_executor { JOB_LOCAL, JOB_CLIENT, JOB_EXECUTOR_COUNT };

struct job_progress {
    uint64_t step, steps, epoch, epochs;
};

// Newest figures; NaN where there are none yet.
struct job_latest {
    double loss, accuracy, validation_loss, validation_accuracy;
};

struct job {
    char id[TOKEN_ID_SIZE];
    char *name; // "" for none
    enum job_state state;
    enum job_request requested;
    enum job_executor executor;
    uint64_t revision;
    unsigned attempt;            // 0 before the first claim
    unsigned retries;            // attempts beyond the first that may be made
    char dataset[TOKEN_ID_SIZE]; // "" for none (executor client)
    char *spec;                  // JSON text, expanded
    struct job_progress progress;
    struct job_latest latest;
    bool has_latest;
    uint32_t network_stats, layer_stats;         // which statistics it records (bit masks)
    char *result;                                // JSON text, or NULL
    char *error;                                 // JSON text {"code", "detail"}, or NULL
    int64_t created_ms, started_ms, finished_ms; // wall clock; 0 for not yet
    uint64_t attempt_step;                       // where the newest attempt began,
    int64_t attempt_ms; // and when, by clock_steady_ms; 0: stored by an older version
};
void job_free(struct job *job); // the texts and the struct

// What a new job is made of.
struct job_new {
    const char *name, *dataset, *spec;
    enum job_executor executor; // client: starts running, attempt 1
    unsigned retries;
    uint64_t steps, epochs;
    uint32_t network_stats, layer_stats;
    const char *token_sha256; // executor client: of its token; else NULL (set at each claim)
    const char *file;         // a file that becomes one of the job's folder, by another link; NULL for none
    const char *file_name;    // what it is called there
    const char *owner;        // id of the token that it was asked for with, or NULL
    uint64_t queued_most;     // jobs that may be queued, with this one; 0 for any number
    uint64_t owner_most;      // and of its owner
    const char *traceparent;  // of the request, or NULL
    const struct creation_key *key;
};

// Inserts durably (synchronous=FULL). *ret_id gets the id; *ret_repeated is true when the key was known with
// the same request: then nothing was inserted. Known with another: NABLA_INVALID. Data set gone:
// NABLA_NOT_FOUND. More would be queued than may
// be: NABLA_BUSY; of its owner: NABLA_LIMIT.
enum nabla_code store_job_create(struct store *store, const struct job_new *job, char ret_id[TOKEN_ID_SIZE],
                                 bool *ret_repeated, struct nabla_error *err);

enum nabla_code store_job_get(struct store *store, const char *id, struct job **ret, struct nabla_error *err);
// From memory where it is known, else from the file: see revisions.h.
enum nabla_code store_job_revision(struct store *store, const char *id, uint64_t *ret,
                                   struct nabla_error *err);

// Newest first. `cursor` is what *ret_next gave ("" at first); *ret_next becomes "" at the end. `state` is a
// job_state or -1. The jobs are allocated one by one: job_free each, free(*ret).
enum nabla_code store_job_list(struct store *store, int state, const char *cursor, size_t limit,
                               struct job ***ret, size_t *ret_count, char ret_next[TOKEN_ID_SIZE],
                               struct nabla_error *err);

enum nabla_code store_job_count(struct store *store, enum job_state state, size_t *ret,
                                struct nabla_error *err);

// The traceparent that the job was made with; "" for none.
enum nabla_code store_job_trace(struct store *store, const char *id, char ret[TRACEPARENT_SIZE],
                                struct nabla_error *err);

// Claims the oldest queued job of an executor: queued → running, attempt + 1, token replaced.
// NABLA_NOT_FOUND: none.
enum nabla_code store_job_claim(struct store *store, enum job_executor executor, const char *token_sha256,
                                struct job **ret, struct nabla_error *err);

// Applies an event. `attempt` 0 skips the guard (events from users); another attempt than the current one is
// NABLA_CONFLICT, as is an event that the state does not allow (the text names both). Repeating a terminal
// event of the same attempt is NABLA_OK and changes nothing. `result`, `error` are JSON texts or NULL, which
// replace those of the job; `detail` is for the job's event log, or NULL.
struct job_change {
    enum job_event event;
    unsigned attempt;
    const char *result, *error, *detail;
};
enum nabla_code store_job_apply(struct store *store, const char *id, const struct job_change *change,
                                struct nabla_error *err);

// A user's resume of a paused job: queued, or for executor client at once running, as the next attempt with
// the token whose hash this is. NABLA_CONFLICT: it is not paused.
enum nabla_code store_job_resume(struct store *store, const char *id, const char *token_sha256,
                                 struct nabla_error *err);

// Adds to the log of a running job's attempt, which raises the revision; guarded as store_job_apply.
enum nabla_code store_job_note(struct store *store, const char *id, unsigned attempt, const char *event,
                               const char *detail, struct nabla_error *err);

// Removes a finished job with its history and folder; NABLA_CONFLICT while it is not finished. The listener
// hears of it with the revision after the last one.
enum nabla_code store_job_delete(struct store *store, const char *id, struct nabla_error *err);

// NABLA_OK when the token's hash is that of the job's current attempt; NABLA_DENIED otherwise.
enum nabla_code store_job_authorize(struct store *store, const char *id, const char *token_sha256,
                                    struct nabla_error *err);

// The job's event log, ascending by revision, from `after` (exclusive) on. The visitor's texts are borrowed;
// a code other than NABLA_OK ends the walk and is returned. A visitor must not call the store.
struct job_log_entry {
    uint64_t revision;
    int64_t at_ms;
    const char *event;  // created, started, succeeded, failed, cancel_requested, cancelled, pause_requested,
                        // paused, resumed, requeued; by workers: checkpoint, restored, restarted, note
    const char *detail; // "" for none
};
enum nabla_code store_job_log(struct store *store, const char *id, uint64_t after,
                              enum nabla_code (*visit)(void *context, const struct job_log_entry *entry),
                              void *context, struct nabla_error *err);

const char *job_state_name(enum job_state state);
int job_state_find(const char *name);
const char *job_event_name(enum job_event event);
const char *job_request_name(enum job_request request); // "none", "cancel", "pause"
int job_request_find(const char *name);
const char *job_executor_name(enum job_executor executor);
int job_executor_find(const char *name);
bool job_state_is_final(enum job_state state);

#endif
