// Listening sockets, close-on-exec and non-blocking.
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

#endif
