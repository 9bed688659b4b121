// Where a server is to be asked, for the verbs that ask one. Thread safety: pure but for the environment.
#ifndef NABLA_SERVER_ADDRESS_H
#define NABLA_SERVER_ADDRESS_H

#include "server/client.h"

#include <stdbool.h>

enum { ADDRESS_SIZE = 600 };

// "http://host:port" (or https) of what a server listens on, "host:port". An address that stands for all of a
// machine's cannot be asked itself: its family's loopback takes its place.
void address_url(const char *listen, bool is_tls, char ret[ADDRESS_SIZE]);

// NABLA_URL, or else where NABLA_LISTEN has a server listen (with NABLA_TLS_CERT by https), or else
// http://127.0.0.1:8080.
void address_default(char ret[ADDRESS_SIZE]);

// How the verbs reach a server: `url`, or where that is NULL address_default into `ret`, with the token of
// NABLA_TOKEN. Certificates to trust stand in NABLA_CA_FILE; the server of this machine's own settings is
// known by its certificate, whatever host that names. The texts are borrowed.
struct client_options address_client(const char *url, char ret[ADDRESS_SIZE], size_t answer_limit);

#endif
