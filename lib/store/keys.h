// The keys by which a creation can be repeated safely (the header Idempotency-Key): each is kept with the
// hash of its request and with what that made.
#ifndef NABLA_STORE_KEYS_H
#define NABLA_STORE_KEYS_H

#include "base/token.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum key_scope { KEY_JOBS, KEY_DATASETS, KEY_SCOPE_COUNT };

// What a creation is asked with. NULL, or one without a text, is none.
struct creation_key {
    const char *text;
    char sha256[TOKEN_SHA256_SIZE]; // of the request, which the same key must repeat
};

// What a key has made.
struct creation {
    char id[TOKEN_ID_SIZE];
    bool existed; // already before the key was first used
};

// NABLA_NOT_FOUND, without a text, when the key is new or there is none; NABLA_INVALID when it was used with
// another request.
enum nabla_code store_key_find(struct store *store, enum key_scope scope, const struct creation_key *key,
                               struct creation *ret, struct nabla_error *err);

// Inside the store: the same on a connection that is held, and keeping a key, if there is one, within the
// transaction that makes what it stands for.
struct database;
enum nabla_code key_find(struct database *db, enum key_scope scope, const struct creation_key *key,
                         struct creation *ret, struct nabla_error *err);
enum nabla_code key_insert(struct database *db, enum key_scope scope, const struct creation_key *key,
                           const struct creation *made, int64_t now_ms, struct nabla_error *err);

#endif
