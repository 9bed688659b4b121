// What handlers share: the route table's row, the call, and how answers and problems are made.
// A handler returns nothing and changes nothing but its answer (and the store).
#ifndef NABLA_API_HANDLER_H
#define NABLA_API_HANDLER_H

#include "api/api.h"
#include "store/jobs.h"
#include "store/tokens.h"

#include <stdatomic.h>

struct stream_blocks;

struct api {
    struct api_options options;
    struct stream_blocks *blocks; // job_stream.h
    atomic_size_t bodies_held;    // bytes of large bodies in memory (body.c)
};

enum { ROUTE_PARAMS_MAX = 2, QUERY_MAX = 24, PROBLEM_FIELDS_MAX = 32 };

enum route_identity {
    IDENTITY_BY_METHOD, // a token with the scope read for GET, write for all else
    IDENTITY_READ,      // a token with the scope read, whatever the method: nothing is changed
    IDENTITY_ADMIN,     // a token with the scope admin
    IDENTITY_JOB,       // the bearer of the token of the job in the path
    IDENTITY_ANYONE     // whoever may reach the listener
};

// Which media types a body may have: bits.
enum route_media {
    MEDIA_NONE = 0,
    MEDIA_JSON = 1,
    MEDIA_CSV = 2,
    MEDIA_SAFETENSORS = 4,
    MEDIA_EVENT_STREAM = 8,
    MEDIA_NPY = 16,
    MEDIA_TEXT = 32,
    MEDIA_BYTES = 64, // anything
    MEDIA_HTML = 128,
    MEDIA_CSS = 256,
    MEDIA_SCRIPT = 512,
    MEDIA_ZIP = 1024,
    MEDIA_NPZ = 2048 // a ZIP file too
};

struct route {
    const char *method, *pattern; // "/v1/jobs/{id}/metrics"
    void (*handle)(struct api_call *call, struct api_answer *ret);
    // Of a long route, or NULL: answers at once what takes no work: from memory; or by a stream, which reads
    // piece by piece, and which a pool that is full would turn away with a 503 that browsers do not come back
    // from. Else false.
    bool (*peek)(struct api_call *call, struct api_answer *ret);
    enum route_identity identity;
    unsigned accepts;         // enum route_media bits of the request body
    unsigned produces;        // enum route_media bits that Accept may choose from
    enum route_media prefers; // of `produces`, where the client takes any alike; 0: the lowest bit
    enum api_body_place body;
    bool is_long;             // belongs on the pool whatever its size
    const char *long_with;    // the query parameter that makes it so, or NULL
    bool needs_store;         // answers 503 where the api runs without one
    const char *const *query; // NULL-terminated list of the query parameters it knows; any other is a 400
};
extern const struct route api_routes[];
extern const size_t api_route_count;

struct query_parameter {
    const char *name, *value; // decoded; parts of the call's target
};

struct api_call {
    struct api *api;
    const struct route *route;
    char *path;                     // as requested, percent-encoded: a problem's "instance"
    char *target;                   // the decoded pieces that params and query point into
    char *params[ROUTE_PARAMS_MAX]; // the path's {…} parts, decoded
    char *query_text;               // behind the "?", or NULL
    struct query_parameter query[QUERY_MAX];
    size_t query_count;
    enum api_listener listener;
    const char *request_id;             // borrowed from the request; may be NULL
    struct token_grant grant;           // whose call it is; empty where no token was asked for
    char traceparent[TRACEPARENT_SIZE]; // of the request, checked; "" for none
    struct token_use *token_use;        // counts among the token's running requests
    struct api_header *headers;         // copies, owned: one block with their texts
    size_t header_count;
    enum route_media content; // of the request body
    enum route_media accept;  // chosen answer
    struct buffer body;       // API_BODY_MEMORY (decompressed)
    char *body_path;          // API_BODY_FILE: the upload, unlinked by api_close
    int body_fd;
    size_t body_size;          // bytes taken so far, decompressed
    size_t body_limit;         // and how many may come
    size_t body_held;          // those of them that count against the limit of all
    struct inflater *inflater; // Content-Encoding: gzip
    int64_t wait_deadline_ms;  // set by the first API_WAIT of a call, so that it is not prolonged
    struct api_watch *watches; // what an API_WAIT of several jobs waits for
};

// A limit on what clients send, which may be lower than what the server's own workers have to report.
size_t call_limit_for_clients(const struct api_call *call, size_t limit);
// The value of a header (name compared without case), or NULL.
const char *call_header(const struct api_call *call, const char *name);
// The value of a query parameter, or NULL.
const char *call_query(const struct api_call *call, const char *name);

// The value of a query parameter as a whole number in [least, most], or `absent`. False: *ret_answer is the
// 400 that says so.
bool call_query_whole(const struct api_call *call, const char *name, uint64_t absent, uint64_t least,
                      uint64_t most, uint64_t *ret, struct api_answer *ret_answer);
// The same of history rows, at most max_history_rows.
bool call_query_rows(const struct api_call *call, const char *name, uint64_t absent, uint64_t *ret,
                     struct api_answer *ret_answer);
// The query parameter "nonfinite": true for null, false for string or absent; anything else is a 400.
bool call_query_nonfinite(const struct api_call *call, bool *ret_as_null, struct api_answer *ret_answer);

// A media type's name ("text/csv"), of one bit.
const char *media_name(enum route_media media);

// Errors of a request are collected, so that one answer names every offending field.
struct problem_field {
    char pointer[160];
    char detail[256];
};
struct problems {
    struct problem_field fields[PROBLEM_FIELDS_MAX];
    size_t count;
    enum nabla_code failed; // not the request's fault but ours (no memory): what the answer is then made of
};
void problems_add(struct problems *problems, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// What came of working on a field: its problem, or a failure of ours.
void problems_add_error(struct problems *problems, const char *pointer, const struct nabla_error *err);

// Makes *ret an application/problem+json answer.
void answer_problems(struct api_answer *ret, const struct api_call *call,
                     const struct problems *problems); // 422, or the failure's
void answer_error(struct api_answer *ret, const struct api_call *call,
                  const struct nabla_error *err); // by code
// Tells options.failed of what the answer is to leave out.
void call_failed(const struct api_call *call, const struct nabla_error *err);
void answer_status(struct api_answer *ret, const struct api_call *call, int status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Makes *ret complete with this status and content type; the body is for the caller to fill (limit:
// size_t's).
void answer_begin(struct api_answer *ret, int status, const char *content_type);
// A JSON answer whose body is `text`, for small constant or formatted bodies.
void answer_json(struct api_answer *ret, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Adds a header; `name` is static, the value is copied.
void answer_header(struct api_answer *ret, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
