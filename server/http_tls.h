// The certificate that the HTTP server shows: read from PEM files, read again while it serves. TLS 1.2
// and 1.3 by GnuTLS, through libmicrohttpd.
//
// Thread safety: http_tls_reload from any thread, while connections are served. There is one at a time: the
// TLS library hands its callback no context.
#ifndef NABLA_SERVER_HTTP_TLS_H
#define NABLA_SERVER_HTTP_TLS_H

#include "base/error.h"

struct http_tls;

// Reads a certificate chain and its key. NABLA_INVALID: a file is not PEM, or the key belongs to another
// certificate. The paths are copied.
enum nabla_code http_tls_new(const char *certificate, const char *key, struct http_tls **ret,
                             struct nabla_error *err);
void http_tls_free(struct http_tls *tls); // after the server has stopped

// Reads the files again. New connections see what stands there now, running ones go on. On failure all stays.
enum nabla_code http_tls_reload(struct http_tls *tls, struct nabla_error *err);

#endif
