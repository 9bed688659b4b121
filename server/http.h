// The api behind a listening socket: HTTP/1.1 by libmicrohttpd, which no other module includes.
//
// Requests that api_call_is_long runs on the compute pool, all others on the threads that serve the sockets.
// A connection whose answer must wait (a job's next revision, an event stream, the pool) is suspended and
// costs no thread.
#ifndef NABLA_SERVER_HTTP_H
#define NABLA_SERVER_HTTP_H

#include "api/api.h"
#include "server/audit.h"
#include "server/compute_pool.h"
#include "server/http_deadlines.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/waiters.h"

struct http;
struct http_tls;

struct http_options {
    struct api *api;            // borrowed
    struct compute_pool *pool;  // borrowed
    struct waiters *waiters;    // borrowed; tell it of every change of a job
    const struct log *log;      // borrowed
    struct metrics *metrics;    // borrowed; NULL: nothing is counted
    struct audit *audit;        // borrowed; NULL: nothing is noted
    enum api_listener listener; // which listener the requests came in by
    struct http_tls *tls;       // borrowed; NULL: no TLS
    // The listening socket; http_start takes it, also when it fails. -1: only http_serve brings connections,
    // and `closed` is told of each before its descriptor is closed. One thread serves all of them.
    int fd;
    void (*closed)(void *context, int fd);
    unsigned threads;     // that serve sockets
    unsigned connections; // most open ones; above 80 % of them new ones are refused
    unsigned streams;     // most event streams, and as many waiting requests
    struct http_deadlines deadlines;
    const char *hosts; // borrowed; names that a Host may have beside those of this machine; NULL: any
    // A job's revision now, UINT64_MAX when there is no such job.
    uint64_t (*revision)(void *context, const char *job_id);
    void *context;
};

// *ret is set before the first request is served, and NULL on failure.
enum nabla_code http_start(const struct http_options *options, struct http **ret, struct nabla_error *err);

// Serves a connected socket; closes it in any case. Until http_stop. Any thread.
bool http_serve(struct http *http, int fd);

// What is going on. Any thread.
struct http_state {
    unsigned connections, requests, streams, waits;
    uint64_t refused; // for want of connections, streams, waits or room in the pool, since the start
};
struct http_state http_look(struct http *http);

// Ends orderly: takes no new connection, gives requests under way a second to end, then closes everything.
// waiters_stop comes before it, so that what waits is answered with 503 and streams end. Takes NULL.
void http_stop(struct http *http);

#endif
