// How much of the store is used, and by whom: what quotas and metrics ask for.
#ifndef NABLA_STORE_USAGE_H
#define NABLA_STORE_USAGE_H

#include "store/jobs.h"

// Bytes of the data folder's files: the database without its unused pages, data sets, jobs' files. Walks the
// folder when the last walk is more than ten seconds ago, or something was removed since. Files that cannot
// be looked at count nothing.
uint64_t store_usage_bytes(struct store *store);
uint64_t store_usage_known(struct store *store); // as the last walk found it, with what was added since

// How many steps jobs have gone on since the store was opened, as reported.
uint64_t store_usage_steps(struct store *store);

// Inside the store: what was added since the last walk, which quotas must not wait for.
void usage_add(struct store *store, uint64_t bytes);

// Inside the store: something was removed, so that the next who asks looks anew and finds the room.
void usage_forget(struct store *store);

// Inside the store: bytes of the database's file that removed rows have left for others.
uint64_t usage_unused(struct store *store);

// Inside the store: the same of one folder of it ("jobs/ID"), always looked at anew. *ret_files, which may be
// NULL, counts the files.
uint64_t usage_folder(const struct store *store, const char *name, uint64_t *ret_files);

// Queued jobs, and bytes of data sets, that a token made.
enum nabla_code store_owner_queued(struct store *store, const char *owner, uint64_t *ret,
                                   struct nabla_error *err);
enum nabla_code store_owner_bytes(struct store *store, const char *owner, uint64_t *ret,
                                  struct nabla_error *err);

// Jobs by state, in one look.
enum nabla_code store_job_counts(struct store *store, uint64_t ret[JOB_STATE_COUNT], struct nabla_error *err);

#endif
