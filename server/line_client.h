// A worker's HTTP client: what it reports goes over a connection that the server gives it through its line
// (line.h). It makes no socket and looks up no name, and reads no more of HTTP than the server writes to it:
// an answer has a Content-Length. (libcurl 7.88 insists on connecting a socket that is connected already.)
// Thread safety: one client, one thread at a time; line_client_stop from any thread.
#ifndef NABLA_SERVER_LINE_CLIENT_H
#define NABLA_SERVER_LINE_CLIENT_H

#include "base/buffer.h"

struct line_client;

struct line_client_options {
    int line;                        // borrowed
    const char *token, *traceparent; // copied; the last may be NULL or ""
    size_t answer_limit;             // largest body accepted
};

enum nabla_code line_client_new(const struct line_client_options *options, struct line_client **ret,
                                struct nabla_error *err);
void line_client_free(struct line_client *client); // takes NULL

struct line_request {
    const char *method, *path;
    const struct buffer *json; // body, or NULL for none
};

struct line_answer {
    int status;
    struct buffer body;
};
void line_answer_free(struct line_answer *answer);

// NABLA_OK for any status that came. NABLA_BUSY: the server gave no connection, or the exchange broke off; it
// may be tried again. NABLA_CANCELLED: stopped, or the server has hung up. NABLA_INVALID: what came is no
// answer. *ret is to be freed in any case.
enum nabla_code line_client_send(struct line_client *client, const struct line_request *request,
                                 struct line_answer *ret, struct nabla_error *err);

// Ends an exchange under way, and all later ones, with NABLA_CANCELLED.
void line_client_stop(struct line_client *client);

#endif
