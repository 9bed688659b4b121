// Attempts that the server cannot see (executor client: a training loop elsewhere that reports) hold a lease,
// renewed by any write of theirs. When it runs out, nobody is there any more: the job fails with that as its
// reason, or is cancelled if that was asked for.
//
// Leases live in memory and count from what this server has seen: a restart renews them all, and no jump of
// the wall clock ends one. Thread safety: one thread at a time.
#ifndef NABLA_SERVER_LEASES_H
#define NABLA_SERVER_LEASES_H

#include "server/log.h"
#include "store/store.h"

#include <stdint.h>

struct leases;

// NULL when memory cannot be had. A lease lasts `lease_ms`.
struct leases *leases_new(int64_t lease_ms);
void leases_free(struct leases *leases);

// Looks at every running job of executor client and ends those whose lease has run out by `now_ms`
// (monotonic). Returns when to look again; INT64_MAX when there is none to look after.
int64_t leases_look(struct leases *leases, struct store *store, const struct log *log, int64_t now_ms);

#endif
