// What libmicrohttpd asks for a certificate, in GnuTLS' own types. Within http*.c only.
#ifndef NABLA_SERVER_HTTP_TLS_CALLBACK_H
#define NABLA_SERVER_HTTP_TLS_CALLBACK_H

#include <gnutls/abstract.h>

int http_tls_callback(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                      const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                      gnutls_pcert_st **ret_chain, unsigned *ret_count, gnutls_privkey_t *ret_key);

#endif
