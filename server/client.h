// An HTTP client for Nabla's own api: the only user of libcurl.
// Thread safety: one client, one thread at a time.
#ifndef NABLA_SERVER_CLIENT_H
#define NABLA_SERVER_CLIENT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct client;

struct client_options {
    const char *url;     // "http://127.0.0.1:8080"
    const char *token;   // sent as a bearer token, or NULL
    const char *ca_file; // certificates to trust instead of the system's, or NULL
    bool any_host;       // the certificate may be for another host name
    size_t answer_limit; // largest body accepted
};

// The options' texts are copied.
enum nabla_code client_new(const struct client_options *options, struct client **ret,
                           struct nabla_error *err);
void client_free(struct client *client);

struct client_request {
    const char *method; // "GET"
    const char *path;   // "/v1/jobs"
    const char *type;   // of the body, or NULL
    const void *body;   // or NULL
    size_t body_size;
    const char *const *headers; // further lines, "Prefer: wait=30"; NULL-terminated, or NULL
    long timeout_ms;            // for the whole exchange; 0 for none
    // With it the body is handed over as it comes and not kept. False ends the exchange; what was received
    // until then is the answer.
    bool (*receive)(void *context, const char *bytes, size_t size);
    void *context;
};

struct client_answer {
    int status;
    struct buffer headers; // the lines as they came, without the status line
    struct buffer body;
};
void client_answer_free(struct client_answer *answer);

// NABLA_OK for any status that came. NABLA_BUSY: nobody could be reached, or the exchange broke off; it may
// be tried again. *ret is to be freed in any case.
enum nabla_code client_send(struct client *client, const struct client_request *request,
                            struct client_answer *ret, struct nabla_error *err);

// The value of a header ("ETag"; the first of them) into `ret`, cut to size. False when there is none.
bool client_answer_header(const struct client_answer *answer, const char *name, char *ret, size_t size);

#endif
