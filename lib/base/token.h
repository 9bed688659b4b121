// Unguessable identifiers and content hashes.
// Thread safety: any thread.
#ifndef NABLA_BASE_TOKEN_H
#define NABLA_BASE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum { TOKEN_ID_SIZE = 32, TOKEN_SECRET_SIZE = 48, TOKEN_SHA256_SIZE = 65 };

// "<prefix>_" and 20 random characters of [a-z0-9] (103 bits), e.g. "job_7f…". `prefix` has up to 8
// characters, more are cut.
void token_make_id(char ret[TOKEN_ID_SIZE], const char *prefix);

// 256 random bits as 43 characters of base64url.
void token_make_secret(char ret[TOKEN_SECRET_SIZE]);

// SHA-256 (FIPS 180-4, by nettle) in lower-case hexadecimal.
void token_sha256(char ret[TOKEN_SHA256_SIZE], const void *bytes, size_t size);
// Of pieces, as if they stood one behind the other.
void token_sha256_pieces(char ret[TOKEN_SHA256_SIZE], const struct iovec *pieces, size_t count);

// The same of bytes that come in pieces. NULL when memory cannot be had; end releases it, abandoned or not.
enum { TOKEN_SHA256_BYTES = 32 };
struct token_sha256_run;
struct token_sha256_run *token_sha256_begin(void);
void token_sha256_add(struct token_sha256_run *run, const void *bytes, size_t size);
void token_sha256_end(struct token_sha256_run *run, unsigned char ret[TOKEN_SHA256_BYTES]); // takes NULL

// Equality in a time that depends on the lengths alone.
bool token_equal(const char *a, const char *b);

#endif
