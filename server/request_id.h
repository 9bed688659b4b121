// What a request is called in logs, answers and the audit log: the client's own X-Request-Id where it sent a
// sound one, else 16 hexadecimal digits.
#ifndef NABLA_SERVER_REQUEST_ID_H
#define NABLA_SERVER_REQUEST_ID_H

#include <stdint.h>

enum { REQUEST_ID_SIZE = 65 };

// `given` may be NULL; `number` is another one for each request. Thread safety: pure function.
void request_id_make(const char *given, uint64_t number, char ret[REQUEST_ID_SIZE]);

#endif
