// Access tokens of a data folder: who may use a server, and how much of it. They stand in the file `tokens`,
// one JSON object a line, mode 0600; of a secret only its SHA-256 is kept. The file is not part of the
// database, so that a token is checked, made and revoked whatever the database is doing.
#ifndef NABLA_STORE_TOKENS_H
#define NABLA_STORE_TOKENS_H

#include "base/error.h"
#include "base/token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_scope { SCOPE_READ = 1, SCOPE_WRITE = 2, SCOPE_ADMIN = 4, SCOPE_ALL = 7 };

// The file within the data folder.
#define TOKENS_FILE "tokens"

enum { TOKENS_NAME_SIZE = 64, TOKENS_SECRET_SIZE = TOKEN_SECRET_SIZE + 6 };

struct token_grant {
    char id[TOKEN_ID_SIZE]; // "tok_…"
    char name[TOKENS_NAME_SIZE];
    char sha256[TOKEN_SHA256_SIZE];
    unsigned scopes;                 // enum token_scope bits
    uint64_t created_ms, expires_ms; // wall clock; 0 for never
    // Limits of this token, below those of the server; 0 for none of its own.
    uint64_t body_bytes, requests, queued_jobs, dataset_rows, disk_bytes;
};

// "read,write" into bits; 0 for anything else. A scope brings those below it: admin may write, write may
// read.
unsigned tokens_scopes_read(const char *text);
const char *tokens_scope_name(enum token_scope scope);
void tokens_scopes_write(unsigned scopes, char ret[24]);

// From any process, also while a server runs (they exclude each other by a lock).
// Makes a token: `grant` gives name, scopes and limits, and gets the rest. The secret is told here and never
// again: "nabla_" and 256 random bits. NABLA_CONFLICT: the name is taken; NABLA_INVALID: it is no name.
enum nabla_code tokens_create(const char *folder, struct token_grant *grant,
                              char ret_secret[TOKENS_SECRET_SIZE], struct nabla_error *err);
// All of them, oldest first: free(*ret).
enum nabla_code tokens_list(const char *folder, struct token_grant **ret, size_t *ret_count,
                            struct nabla_error *err);
// By name or id. NABLA_NOT_FOUND: there is none.
enum nabla_code tokens_revoke(const char *folder, const char *name, struct nabla_error *err);

// The tokens as a server knows them: what another process changes is seen by the next look.
// Thread safety: any thread.
struct token_table;
struct token_use; // the running requests of one token

enum nabla_code token_table_new(const char *folder, struct token_table **ret, struct nabla_error *err);
void token_table_free(struct token_table *table); // every use was left

// Finds the bearer of a secret and counts a request of theirs, until token_table_leave(*ret_use).
// NABLA_DENIED: no such token, or it has expired; NABLA_BUSY: as many requests as it may have are running;
// else the file cannot be read, and nobody comes in.
enum nabla_code token_table_enter(struct token_table *table, const char *secret, struct token_grant *ret,
                                  struct token_use **ret_use, struct nabla_error *err);
void token_table_leave(struct token_table *table, struct token_use *use); // takes NULL
// Whether the token with this id is still good: NABLA_OK, or NABLA_DENIED; else the file cannot be read.
enum nabla_code token_table_check(struct token_table *table, const char *id, struct nabla_error *err);

#endif
