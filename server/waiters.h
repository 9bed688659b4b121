// Who waits for a job, or one of several, to change: a waiter is resumed once, when a revision passes the one
// it has seen, when its deadline has come, or when its client has hung up, whichever is first. Thread safety:
// any thread. `resume` is called with an internal lock held: it must be quick and must not call back into
// this module.
#ifndef NABLA_SERVER_WAITERS_H
#define NABLA_SERVER_WAITERS_H

#include "api/api.h"

#include <stdbool.h>

struct waiters;

// The caller's memory; it must live until it is resumed, and so must the socket.
struct waiter {
    struct api_wait wait;
    void (*resume)(void *context);
    void *context;
    int fd;                         // of the client, watched for its end; -1: none
    bool is_gone;                   // set before it is resumed: the client has closed its side
    struct waiter *previous, *next; // for waiters.c
};

enum nabla_code waiters_new(struct waiters **ret, struct nabla_error *err);
void waiters_free(struct waiters *waiters); // nobody may wait any more

// Takes a waiter on. False after waiters_stop: it was not taken and will not be resumed. A change that came
// before is not seen: ask for the job's revision afterwards, and tell of it by waiters_notify.
bool waiters_add(struct waiters *waiters, struct waiter *waiter);

void waiters_notify(struct waiters *waiters, const char *job_id, uint64_t revision);

// Resumes those whose clients have hung up by now. It happens by itself, too, a moment after they did.
void waiters_find_gone(struct waiters *waiters);

// Resumes all; nobody is taken on any more.
void waiters_stop(struct waiters *waiters);

#endif
