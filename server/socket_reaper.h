// Deadlines for sockets. The HTTP library's timeout is for inactivity only: a client that sends a byte a
// second would live for ever. Each connection has a moment by which what it is doing must be done; a thread
// shuts down the sockets that are past it. It also counts connections, for admission.
// Thread safety: any thread. A socket is never shut down after socket_reaper_remove returned, so its number
// can be used again.
#ifndef NABLA_SERVER_SOCKET_REAPER_H
#define NABLA_SERVER_SOCKET_REAPER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct socket_reaper;
struct socket_entry;

enum nabla_code socket_reaper_new(struct socket_reaper **ret, struct nabla_error *err);
void socket_reaper_free(struct socket_reaper *reaper); // every socket was removed

// Watches a socket. *ret_count is how many are watched, this one included. NULL: no memory.
struct socket_entry *socket_reaper_add(struct socket_reaper *reaper, int fd, int64_t deadline_ms,
                                       unsigned *ret_count);
void socket_reaper_remove(struct socket_reaper *reaper, struct socket_entry *entry);

unsigned socket_reaper_count(struct socket_reaper *reaper);

// Moves the deadline (clock_monotonic_ms; INT64_MAX for none). Several times a request: takes no lock.
void socket_entry_set(struct socket_entry *entry, int64_t deadline_ms);
// The same of a connection that has no request now: from a second on it is also looked at for its client's
// having hung up. The HTTP library is told so once, and where that came along with a request, it reads that
// alone and waits for another.
void socket_entry_rest(struct socket_entry *entry, int64_t now_ms, int64_t deadline_ms);

#endif
