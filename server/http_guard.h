// What a request must look like before anything believes it. The HTTP library takes some requests that two
// readers could understand differently (the ground of request smuggling); they are refused here.
// Thread safety: pure functions.
#ifndef NABLA_SERVER_HTTP_GUARD_H
#define NABLA_SERVER_HTTP_GUARD_H

#include "api/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_head {
    const char *method, *version;
    const char *target; // raw, as on the request line
    const struct api_header *headers;
    size_t header_count;
};

// The value of a header (name compared without case), or NULL.
const char *http_guard_header(const struct http_head *head, const char *name);

// NULL when the request is sound; otherwise what is wrong with it (a static sentence). The connection must
// then be closed: where the next request begins is unknown.
const char *http_guard_check(const struct http_head *head);

// Whether a Host is one by which somebody on this machine may call it: an address, localhost or a name below
// it, a name without a dot, or one of `names`, separated by commas. Any other may be a stranger's whose name
// server says that it is here: a page from there has a browser ask as if it asked its own server (DNS
// rebinding). NULL, as HTTP/1.0 may have it, comes from no browser.
bool http_guard_host(const char *host, const char *names);

// libmicrohttpd before 1.0 cuts a header's value at a NUL and loses lines that are folded, Content-Length
// among them, without a word. But it ends lines in place, by NULs over CR and LF, so that a head of which
// nothing was lost lies in its memory without a gap: "name", NUL, blanks, "value", NUL, NUL, "name", … and
// two more NULs for the empty line. `headers` are all that it tells of, in its own memory, in its own order.
// NULL, or what is wrong: a NUL, a folded line, or a line that does not end in CR LF.
const char *http_guard_layout(const struct api_header *headers, size_t count);

// The same of the request line, where a NUL cuts the method or the target: "method", NUL, blanks, "target",
// NUL, "version". `length` is the target's; its own memory may have been decoded since.
const char *http_guard_line(const char *method, const char *target, size_t length, const char *version);

// The body as a sound head declares it.
struct http_body {
    bool is_present, is_chunked;
    uint64_t length; // when not chunked; UINT64_MAX when it does not fit
};
struct http_body http_guard_body(const struct http_head *head);

// The path and query of a target that may be in absolute form ("http://host/path").
const char *http_guard_path(const char *target);

#endif
