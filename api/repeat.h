// Creations that a client may repeat safely: the header Idempotency-Key, and what the key made before.
#ifndef NABLA_API_REPEAT_H
#define NABLA_API_REPEAT_H

#include "api/handler.h"
#include "store/keys.h"

// A request that creates: its key, and what the first request with that key made.
struct repeat {
    char text[320];          // the key within those of its token
    struct creation_key key; // its text is NULL without the header
    bool known;
    struct creation made; // when known
};

// Reads the header and asks the store. The request is its media type, its query and its body (`bytes`,
// decompressed). False: *ret_answer is the refusal, 422 where the key stands for another request.
bool repeat_begin(const struct api_call *call, enum key_scope scope, const void *bytes, size_t size,
                  struct repeat *ret, struct api_answer *ret_answer);

#endif
