// Inside the store: the life of a job as one table.
#ifndef NABLA_STORE_TRANSITIONS_H
#define NABLA_STORE_TRANSITIONS_H

#include "store/job_row.h"

// What an event does to a job in a state with a request.
struct transition {
    enum job_state from;
    enum job_event event;
    unsigned requests; // the requests that it holds for, a set of bits
    enum job_state to;
    enum job_request requested; // afterwards
    const char *entry;          // of the event log; NULL where nothing is left to do: a repetition
};

// NULL when the state does not allow the event.
const struct transition *transition_find(enum job_state from, enum job_request requested,
                                         enum job_event event);

// Applies the event within the open transaction, as one UPDATE guarded by state, request and attempt, and
// adds the entry to the event log. *ret_changed is false for a repetition. `token_sha256` is for claims.
enum nabla_code transition_apply(struct database *db, const char *id, const struct job_stand *stand,
                                 const struct job_change *change, const char *token_sha256, bool *ret_changed,
                                 struct nabla_error *err);

#endif
