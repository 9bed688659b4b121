// One request and its answer. Within http*.c only.
#ifndef NABLA_SERVER_HTTP_EXCHANGE_H
#define NABLA_SERVER_HTTP_EXCHANGE_H

#include "server/http.h"
#include "server/socket_reaper.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    DRAIN_BYTES = 16 << 20, // of a refused body that are read, so that the client sees the refusal
    RETRY_AFTER_SECONDS = 2,
};

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
    struct socket_reaper *reaper;
    atomic_bool stopping;
    atomic_uint streams, waits;
    atomic_uint seekers;          // requests that wait for a place among them
    atomic_uint_fast64_t refused; // by the server itself, with 503
    atomic_uint_fast64_t numbers; // what names of requests are made of
    atomic_uint exchanges;        // requests under way
    pthread_mutex_t lock;         // of what is below
    pthread_cond_t idle;          // one request less, on the pool or, while stopping, at all
    unsigned pooled;              // requests on the pool
};

// What stands with a connection, beyond its requests.
struct http_socket {
    struct socket_entry *entry;
    int fd;
    bool is_excess; // above the admission mark when it came
};

struct exchange;

// When the request line was read. NULL: no memory.
struct exchange *exchange_new(struct http *http, struct MHD_Connection *connection, const char *target);
// When the connection is done with it.
void exchange_free(struct exchange *exchange);
// Each time that the library has news: the headers are there, a piece of the body, its end, or it was
// resumed.
enum MHD_Result exchange_advance(struct exchange *exchange, const char *method, const char *version,
                                 const char *bytes, size_t *size);

#endif
