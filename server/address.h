// Where a server is to be asked, for the verbs that ask one. Thread safety: pure but for the environment.
#ifndef NABLA_SERVER_ADDRESS_H
#define NABLA_SERVER_ADDRESS_H

enum { ADDRESS_SIZE = 600 };

// "http://host:port" of what a server listens on, "host:port". An address that stands for all of a machine's
// cannot be asked itself: its family's loopback takes its place.
void address_url(const char *listen, char ret[ADDRESS_SIZE]);

// NABLA_URL, or else where NABLA_LISTEN has a server listen, or else http://127.0.0.1:8080.
void address_default(char ret[ADDRESS_SIZE]);

#endif
