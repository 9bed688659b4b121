// Inside the store: the handle, and how its parts reach the database.
//
// One connection writes (writer.h): a write never meets another one. A few connections read, each lent to one
// thread at a time; WAL keeps readers and the writer out of each other's way.
#ifndef NABLA_STORE_ACCESS_H
#define NABLA_STORE_ACCESS_H

#include "store/database.h"
#include "store/revisions.h"
#include "store/store.h"
#include "store/wide.h"
#include "store/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

enum { STORE_READERS = 4 };

struct store {
    char *folder;
    int lock; // a file descriptor; holding it locked keeps other processes out
    const char *texts[SQL_COUNT];
    struct wide metrics, gradients;

    struct writer writer;

    pthread_mutex_t reader_lock;
    pthread_cond_t reader_free;
    struct database *readers[STORE_READERS]; // the idle ones, a stack
    size_t idle;

    // Held over a data set's file and row together: its making and its removal exclude each other.
    pthread_mutex_t dataset_lock;

    pthread_mutex_t usage_lock; // of what the last walk through the folder found
    int64_t usage_ms;           // when that was
    uint64_t usage_bytes;
    atomic_uint_fast64_t steps; // that jobs have gone on

    struct revisions revisions;
    void (*listener)(void *context, const char *job_id, uint64_t revision);
    void *listener_context;
};

// Borrows a connection for reading, waiting until one is free.
struct database *access_reader(struct store *store);
void access_release(struct store *store, struct database *reader);

// writer_begin and writer_end of the store's writer.
enum nabla_code access_begin(struct store *store, bool durable, struct database **ret,
                             struct nabla_error *err);
enum nabla_code access_end(struct store *store, enum nabla_code outcome, struct nabla_error *err);

// Tells the listener. To be called after access_end, without any lock.
void access_notify(struct store *store, const char *job_id, uint64_t revision);

// The cursors of lists are the numbers of rows as text; "" is the top. NABLA_INVALID for anything else.
enum nabla_code access_read_cursor(const char *cursor, int64_t *ret, struct nabla_error *err);

// The path of something in the store's folder, to be freed; NULL when memory cannot be had.
char *access_path(const struct store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
