// Listening sockets, close-on-exec and non-blocking. Thread safety: call before other threads start
// (listener_unix changes the umask for a moment).
#ifndef NABLA_SERVER_LISTENER_H
#define NABLA_SERVER_LISTENER_H

#include "base/error.h"

#include <stdbool.h>

struct listener {
    int fd;
    unsigned port;
    bool is_loopback; // only this machine can reach it
    char host[64];    // as it stands in a URL: "127.0.0.1", "[::1]"
};

// Listens on "host:port" ("[::1]:8080" for IPv6; port 0 takes a free one).
enum nabla_code listener_tcp(const char *address, struct listener *ret, struct nabla_error *err);

// Listens on a Unix socket that only this user may connect to. An old socket there is replaced.
enum nabla_code listener_unix(const char *path, int *ret_fd, struct nabla_error *err);

#endif
