// The service without its sockets: a request goes in, an answer comes out, in two steps.
//
//     api_open    reads method, path and headers only: finds the route, checks identity, content type and
//     declared
//                 length against the columns of the route table, and says where the body goes
//     api_handle  with the whole body: does the work
//
// An answer is one of four: complete, a file, a stream that is pulled, or "wait until this job's revision
// passes N". Thread safety: a struct api is shared by any number of threads; a call belongs to one thread at
// a time.
#ifndef NABLA_API_API_H
#define NABLA_API_API_H

#include "base/buffer.h"
#include "base/token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct store;
struct token_table;

// Every limit is a number of the configuration and is named in the error that it causes.
struct api_limits {
    size_t body_bytes;     // of a request kept in memory ("max_body")
    size_t bodies_bytes;   // of all of them at a time ("max_bodies"); 0 for none
    size_t upload_bytes;   // of a data set's upload ("max_upload")
    size_t document_bytes; // of a JSON document without its bulk arrays ("max_document")
    size_t dataset_rows, dataset_columns, dataset_classes, dataset_bytes;
    size_t parameters;     // of a job's network ("max_parameters")
    uint64_t work;         // parameters × rows × epochs ("max_work")
    size_t job_bytes;      // memory that a job needs ("max_job_memory")
    unsigned job_threads;  // threads of a job ("max_job_threads")
    size_t queued_jobs;    // ("max_queued_jobs")
    size_t history_rows;   // rows in one answer ("max_history_rows")
    unsigned retries;      // most retries that a job may ask for ("max_retries")
    uint64_t disk_bytes;   // of the data folder ("max_disk"); 0 for none
    unsigned metric_names; // metrics with names of a client's own, of one job ("max_metric_names")
    unsigned wait_seconds; // longest Prefer: wait ("max_wait")
};
struct api_limits api_limits_defaults(void);

// What a worker reports is the server's own: the limits for clients may be lower than this, not for workers.
enum { API_WORKER_BODY_BYTES = 16 << 20 };

struct api_options {
    struct store *store; // borrowed
    struct api_limits limits;
    struct token_table *tokens;  // borrowed; NULL: nobody is asked for a token, but by a job's own routes
    void (*wake)(void *context); // a job was queued, or a request made of a running one; may be NULL
    // A request failed inside: the cause, which the answer leaves out. For a log; any thread; may be NULL.
    void (*failed)(void *context, const char *request_id, const char *method, const char *path,
                   const struct nabla_error *err);
    // Appends what GET /metrics tells beyond the store, in Prometheus' text format; may be NULL.
    void (*metrics)(void *context, struct buffer *ret);
    void *context;
};

struct api;
enum nabla_code api_new(const struct api_options *options, struct api **ret, struct nabla_error *err);
void api_free(struct api *api);

// Which socket a request came in by: routes of workers (identity "job") take the job's own token on either.
enum api_listener { API_PUBLIC, API_WORKER };

struct api_header {
    const char *name, *value;
};

struct api_request {
    const char *method; // "GET"; a HEAD is answered as its GET, the caller leaves the body out
    const char *target; // raw, as on the request line: "/v1/jobs?limit=3", percent-encoded
    const struct api_header *headers;
    size_t header_count;
    enum api_listener listener;
    const char *request_id; // what logs call it; NULL for nothing
    struct api_seen *seen;  // filled by api_open, whatever comes of it; may be NULL
};

// What api_open learns of a request, for logs and metrics.
struct api_seen {
    size_t route;                 // its number (api_route_at); SIZE_MAX where there is none
    bool is_change;               // it changes something, or would have
    char token[64], token_id[32]; // whose it is; "" where no token was asked for
    char traceparent[56];         // W3C Trace Context; "" for none
};

enum api_answer_kind {
    API_COMPLETE, // body is the whole answer
    API_FILE,     // fd's content, size bytes
    API_STREAM,   // call pull until it ends
    API_WAIT // call api_handle again when a job's revision is above the one seen or the deadline has come
};

struct api_watch {
    char job[TOKEN_ID_SIZE];
    uint64_t revision;
};

enum { API_WATCHES_MAX = 50 };

struct api_wait {
    char job[TOKEN_ID_SIZE];
    uint64_t revision;
    int64_t deadline_ms;            // clock_monotonic_ms
    const struct api_watch *others; // further jobs, whose changes end it too; the call's, not the answer's
    size_t other_count;             // at most API_WATCHES_MAX
};

enum { API_STREAM_END = -1, API_STREAM_WAIT = -2 };

// Writes up to `size` bytes; returns their number, API_STREAM_END, or API_STREAM_WAIT with *ret_wait filled:
// pull again when that is due.
struct api_stream {
    ssize_t (*pull)(void *context, char *bytes, size_t size, struct api_wait *ret_wait);
    void (*close)(void *context); // called exactly once, by api_answer_free
    void *context;
};

enum { API_HEADERS_MAX = 12 };

struct api_answer {
    enum api_answer_kind kind;
    int status;
    struct {              // owned texts
        const char *name; // static
        char *value;
    } headers[API_HEADERS_MAX]; // Content-Type among them
    size_t header_count;
    struct buffer body;       // API_COMPLETE
    int fd;                   // API_FILE, closed by api_answer_free unless set to -1
    uint64_t size;            // API_FILE
    struct api_stream stream; // API_STREAM
    struct api_wait wait;     // API_WAIT
};
void api_answer_free(struct api_answer *answer); // leaves an empty answer behind

// Where a call's body goes.
enum api_body_place { API_BODY_NONE, API_BODY_MEMORY, API_BODY_FILE };

struct api_call;

// Opens a call. On success *ret_call is set (api_close it). Otherwise it is NULL and *ret_answer is the
// refusal: 404, 405 with Allow, 401, 413 by Content-Length, 415, 406, …
void api_open(struct api *api, const struct api_request *request, struct api_call **ret_call,
              struct api_answer *ret_answer);
void api_close(struct api_call *call);

// Feeds a piece of the body as it arrives. False: *ret_answer is the refusal (413, 507, 400 for bad gzip);
// the rest need not be read.
bool api_body(struct api_call *call, const void *bytes, size_t size, struct api_answer *ret_answer);

// True when api_handle may take longer than about 200 µs: then it belongs on a pool, not on an I/O thread.
bool api_call_is_long(const struct api_call *call);

// Answers a long call at once where that takes no work (a poll that finds nothing new); false: api_handle it.
bool api_peek(struct api_call *call, struct api_answer *ret_answer);

// Does the work. Called again (same call) after an API_WAIT answer.
void api_handle(struct api_call *call, struct api_answer *ret_answer);

// The routes by number, for metrics; false: there is no such number. The texts are static.
size_t api_route_total(void);
bool api_route_at(size_t number, const char **ret_method, const char **ret_pattern);

// The route's pattern ("/v1/jobs/{id}"), for logs and metrics; static. "" when there is no route.
const char *api_call_route(const struct api_call *call);

// An error answer for what goes wrong below the api (bad HTTP, overload): problem+json like all others.
void api_refuse(struct api_answer *ret_answer, int status, const char *title, const char *detail);

#endif
