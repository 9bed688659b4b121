// A real server for tests: build/nabla serve (or $NABLA) as a child process on a free port, in a folder of
// its own, and a client for it. Every exchange is written to the file $NABLA_EXCHANGE_LOG, one JSON object a
// line, so that the contract can be held against what the server really answered.
#ifndef NABLA_TESTS_LIVE_H
#define NABLA_TESTS_LIVE_H

#include "server/client.h"

#include <stdbool.h>
#include <sys/types.h>

enum { LIVE_DEADLINE_MS = 240000 }; // after which a test gives up waiting

struct live {
    char folder[64]; // holds data/
    char url[64];
    unsigned port;
    pid_t pid; // 0 when it does not run
    struct client *client;
};

void live_make_folder(struct live *live);
void live_remove_folder(struct live *live);
// Starts a server in the folder, with further flags (NULL-terminated, or NULL); fails the test otherwise.
void live_start(struct live *live, const char *const *flags);
// Sends a signal and waits for the end; returns the status of waitpid, or -1 when it did not end in time.
int live_end(struct live *live, int signal);

// Both for a test or a group: *state is the server, started in a folder of its own, and at the end it must
// stop well.
int live_set_up(void **state, const char *const *flags);
int live_tear_down(void **state);

// An exchange; the answer must come. `body` NULL for none; its type is JSON.
struct client_answer live_send(struct live *live, const char *method, const char *path, const char *body);
struct client_answer live_exchange(struct live *live, const struct client_request *request);
// Fails the test unless the status is this; frees the answer.
void live_expect(struct live *live, int status, const char *method, const char *path, const char *body);

// A text field of a JSON answer into `ret` (64 bytes); fails the test when there is none.
char *live_field(const struct client_answer *answer, const char *name, char ret[64]);
// Posts a job and returns its id.
void live_post_job(struct live *live, const char *body, char ret_id[64]);
// Waits by long-poll until the job is in this state; fails the test when it ends in another.
// The job as last seen: free it with client_answer_free.
struct client_answer live_await(struct live *live, const char *job, const char *state);

// Sends raw bytes and reads what comes until the connection is closed or `milliseconds` are over, into `ret`.
// Returns true when the server closed it.
bool live_raw(const struct live *live, const char *bytes, size_t size, int milliseconds, struct buffer *ret);
// A connected socket.
int live_connect(const struct live *live);

// The process id of the job's worker, found by the lock that it holds; 0 when there is none.
pid_t live_worker(const struct live *live, const char *job);

#endif
