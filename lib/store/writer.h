// Inside the store: the one connection that writes, and the commits that its users share.
//
// A write holds the connection's lock. One that ends while others wait for the lock does not commit: it
// leaves the transaction open, behind a savepoint's end, and waits; the next one goes on in it. The last one,
// or the one that finds that enough wait, commits for all and tells them. So writes that come together
// cost one sync of the log, one that comes alone waits for nobody, and nothing is seen by readers, nor
// acknowledged, before it is on the disk. What fails alone is rolled back alone; a commit that fails, fails
// for all.
// Thread safety: any thread. Whoever waits here must hold no lock that a write may want.
#ifndef NABLA_STORE_WRITER_H
#define NABLA_STORE_WRITER_H

#include "store/database.h"

#include <pthread.h>
#include <stdatomic.h>

struct writer {
    struct database *db; // NULL until the store has opened it; closed by writer_close
    pthread_mutex_t lock;
    atomic_uint waiting; // for the lock

    // The open transaction; of who holds the lock.
    struct writer_member *members; // who waits for its end
    size_t member_count;
    bool is_open, is_durable;

    pthread_mutex_t end_lock; // of the members' outcomes
    pthread_cond_t end;

    void (*pause)(bool begins); // or NULL: told around each wait
};

void writer_open(struct writer *writer);
void writer_close(struct writer *writer);

// Takes the connection into a transaction, one that is on the disk once it has ended if `durable` (else a
// power cut may undo the newest of them). After success writer_end must follow.
enum nabla_code writer_begin(struct writer *writer, bool durable, struct database **ret,
                             struct nabla_error *err);

// Commits if `outcome` is NABLA_OK, perhaps together with others, else rolls back. Returns `outcome` or what
// the commit gave.
enum nabla_code writer_end(struct writer *writer, enum nabla_code outcome, struct nabla_error *err);

// When it returns NABLA_OK, all that was committed before is on the disk.
enum nabla_code writer_sync(struct writer *writer, struct nabla_error *err);

#endif
