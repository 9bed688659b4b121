// Unguessable identifiers and content hashes.
// Thread safety: any thread.
#ifndef NABLA_BASE_TOKEN_H
#define NABLA_BASE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum { TOKEN_ID_SIZE = 32, TOKEN_SECRET_SIZE = 48, TOKEN_SHA256_SIZE = 65 };

// "<prefix>_" and 20 random characters of [a-z0-9] (103 bits), e.g. "job_7f…". `prefix` has up to 8
// characters, more are cut.
void token_make_id(char ret[TOKEN_ID_SIZE], const char *prefix);

// 256 random bits as 43 characters of base64url.
void token_make_secret(char ret[TOKEN_SECRET_SIZE]);

// SHA-256 (FIPS 180-4, by nettle) in lower-case hexadecimal.
void token_sha256(char ret[TOKEN_SHA256_SIZE], const void *bytes, size_t size);

// Equality in a time that depends on the lengths alone.
bool token_equal(const char *a, const char *b);

#endif
