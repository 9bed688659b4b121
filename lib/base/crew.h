// A few threads that help their owner with work that falls into parts: they wait for it all the while, so
// that work of some tens of microseconds is worth sharing. Who takes which part is left to chance; results
// are the same bits whatever came of it when each part writes what belongs to it alone. Thread safety: a crew
// works for one thread at a time, the one that entered it.
#ifndef NABLA_BASE_CREW_H
#define NABLA_BASE_CREW_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct crew;

// `threads`, at least 1, counts the owner: 1 is a crew of nobody else. NABLA_NO_MEMORY where a thread cannot
// be had.
enum nabla_code crew_new(size_t threads, struct crew **ret, struct nabla_error *err);
// Nobody may be in it. NULL is nothing.
void crew_free(struct crew *crew);

// The calling thread's crew from now on; NULL for none.
void crew_enter(struct crew *crew);

// Whether the calling thread has a crew of more than itself.
bool crew_helps(void);

// Calls part(context, i) once for each i below `count`, on the calling thread and those of its crew, and
// returns when all are done. Without a crew: one after the other. Parts may not share anything themselves.
typedef void crew_part(void *context, size_t i);
void crew_share(crew_part *part, void *context, size_t count);

// Calls range(context, first, end) for ranges that together are all numbers below `count`: `piece` of them
// each, the last one fewer, with a crew or without.
typedef void crew_range(void *context, size_t first, size_t end);
void crew_share_range(crew_range *range, void *context, size_t count, size_t piece);

#endif
