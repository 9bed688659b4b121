// A worker's line to the server: over it the worker asks for connections, and gets one end of a stream that
// is connected already. So it needs no socket calls of its own, and can reach nobody else.
//
// One byte each way, on a pair of SOCK_SEQPACKET sockets: an ask, and an answer that carries a descriptor or
// says that there is none now.
// Thread safety: one line, one thread at a time.
#ifndef NABLA_SERVER_LINE_H
#define NABLA_SERVER_LINE_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>

// The worker's end.
struct line {
    int fd;
    bool is_waiting; // asked, and given up before the answer came: it will be the next ask's
};

// Both ends, close-on-exec.
enum nabla_code line_make(int *ret_server, int *ret_worker, struct nabla_error *err);

// A connected stream, which the caller closes. NABLA_BUSY: there is none now. NABLA_CANCELLED: *stopped
// became true, or the server has hung up.
enum nabla_code line_connect(struct line *line, const atomic_bool *stopped, int *ret_fd,
                             struct nabla_error *err);

// The server's side. Takes an ask, if one has come; never waits.
enum line_event { LINE_QUIET, LINE_ASKED, LINE_HUNG_UP };
enum line_event line_take_ask(int fd);

// Answers with a descriptor, which stays the caller's, or with -1 for none now. Never waits: false when the
// worker takes no answers, or is gone.
bool line_answer(int fd, int connection);

#endif
