// Threads with a bounded queue, for work too long for the threads that serve sockets. A fixed number of them
// works at a time; one that waits for the disk lets another one work instead.
// Thread safety: compute_pool_submit from any thread.
#ifndef NABLA_SERVER_COMPUTE_POOL_H
#define NABLA_SERVER_COMPUTE_POOL_H

#include "base/error.h"

#include <stdbool.h>

struct compute_pool;

enum nabla_code compute_pool_new(unsigned threads, unsigned queue, struct compute_pool **ret,
                                 struct nabla_error *err);

// False when the queue is full: `run` will not be called.
bool compute_pool_submit(struct compute_pool *pool, void (*run)(void *context), void *context);

// Around a wait of the calling thread that needs no processor; nothing for threads of no pool.
void compute_pool_pause(bool begins);

// How many wait for a thread.
size_t compute_pool_waiting(struct compute_pool *pool);

// No room for another one now.
bool compute_pool_is_full(struct compute_pool *pool);

// Finishes what was submitted, then ends the threads. Nobody may submit any more.
void compute_pool_free(struct compute_pool *pool);

#endif
