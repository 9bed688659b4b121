// The newest revisions of jobs, in memory: what a poll that finds nothing new is answered from.
//
// A fixed table: a job has one place in it, by its id, and may be put out of it by another one; then its
// revision is read from the file again. It is right whoever writes: a commit only raises an entry that is
// there, and what was read from the file is kept only where no commit came between the reading and the
// keeping. A removed job's last change is a raise, too, so its entry matches nothing that a client has seen.
// Thread safety: any thread.
#ifndef NABLA_STORE_REVISIONS_H
#define NABLA_STORE_REVISIONS_H

#include "base/token.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { REVISION_PLACES = 1024 };

struct revisions {
    pthread_mutex_t lock;
    uint64_t changes; // commits told of so far
    struct {
        char id[TOKEN_ID_SIZE]; // "" for none
        uint64_t revision;
    } places[REVISION_PLACES];
};

void revisions_open(struct revisions *revisions);
void revisions_close(struct revisions *revisions);

// False: not known; then read the file and hand *ret_changes to revisions_keep with what it says.
bool revisions_find(struct revisions *revisions, const char *id, uint64_t *ret, uint64_t *ret_changes);
void revisions_keep(struct revisions *revisions, const char *id, uint64_t revision, uint64_t changes);

// After each commit that changed a job, in any order.
void revisions_raise(struct revisions *revisions, const char *id, uint64_t revision);

#endif
