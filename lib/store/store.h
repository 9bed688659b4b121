// The store: one SQLite file (nabla.db) and the files that it describes, in one folder.
//
//     nabla.db               jobs, data sets, histories, events
//     datasets/<sha256>.safetensors
//     jobs/<id>/             what a job's worker writes: lock, model, checkpoints
//     tmp/                   uploads on their way; emptied at opening
//     lock                   held locked while the store is open
//
// The views `metrics` and `gradients` of nabla.db show the histories with the ids of jobs and the names of
// layers, for plain sqlite3.
//
// A file is written, synced and renamed before its row is inserted; files without a row are swept at opening.
// Thread safety: every function of store_*.h may be called from any thread.
// Errors: NABLA_NOT_FOUND for "no such row" (never for a failure), NABLA_CONFLICT for a state that does not
// allow it, NABLA_DISK_FULL, NABLA_BUSY, NABLA_IO.
#ifndef NABLA_STORE_STORE_H
#define NABLA_STORE_STORE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

// Opens or makes the store in `folder` (made if missing; its parent must exist). Older schemas are migrated;
// a newer one is refused with NABLA_CONFLICT. Only one process may have a store open for writing: NABLA_BUSY
// otherwise.
enum nabla_code store_open(const char *folder, struct store **ret, struct nabla_error *err);
void store_close(struct store *store);

const char *store_folder(const struct store *store); // borrowed, absolute

// Called after each commit that changed a job, from the thread that committed, with the job's id and new
// revision. It must be quick and must not call the store. One listener; set it before other threads use the
// store.
void store_on_change(struct store *store,
                     void (*listener)(void *context, const char *job_id, uint64_t revision), void *context);

// Called when a thread is about to wait for another one's write or for the disk (`begins`), and when it goes
// on: it needs no processor meanwhile. Set it before other threads use the store.
void store_on_pause(struct store *store, void (*pause)(bool begins));

// When it returns NABLA_OK, everything written before is on the disk.
enum nabla_code store_sync(struct store *store, struct nabla_error *err);

// NABLA_OK when the database answers.
enum nabla_code store_ping(struct store *store, struct nabla_error *err);

// Builds what makes long histories quick to read (rollup.h) where writes have made it stale, and removes what
// is doomed, in small transactions. *ret_more says that there is more to do. For a thread that has time;
// nothing but speed depends on it.
enum nabla_code store_tidy(struct store *store, bool *ret_more, struct nabla_error *err);

// Reads the whole database and holds it against SQLite's rules: NABLA_IO with the first fault found. Slow.
enum nabla_code store_check(struct store *store, struct nabla_error *err);

#endif
