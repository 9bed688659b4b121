// A look at the file's status tells whether it changed: a change is a rename, so the number of the file
// differs. Uses stay as long as the table, so that a token's running requests are counted across changes;
// there are as many as tokens were ever seen.
#include "store/tokens.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct token_use {
    char id[TOKEN_ID_SIZE];
    uint64_t running;
    struct token_use *next;
};

struct token_table {
    pthread_mutex_t lock;
    char *folder, path[PATH_MAX];
    struct stat seen; // of the file that was read; all 0 for none
    struct token_grant *grants;
    size_t count;
    struct token_use *uses;
};

enum nabla_code token_table_new(const char *folder, struct token_table **ret, struct nabla_error *err)
{
    struct token_table *table = calloc(1, sizeof *table);
    if (!table || !(table->folder = strdup(folder))) {
        free(table);
        return nabla_fail_memory(err, "the table of tokens");
    }
    snprintf(table->path, sizeof table->path, "%s/" TOKENS_FILE, folder);
    pthread_mutex_init(&table->lock, NULL);
    *ret = table;
    return NABLA_OK;
}

void token_table_free(struct token_table *table)
{
    if (!table)
        return;
    while (table->uses) {
        struct token_use *next = table->uses->next;
        free(table->uses);
        table->uses = next;
    }
    pthread_mutex_destroy(&table->lock);
    free(table->grants);
    free(table->folder);
    free(table);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum nabla_code refresh(struct token_table *table, struct nabla_error *err)
{
    struct stat now = {0};
    struct token_grant *grants;
    size_t count;
    if (stat(table->path, &now) != 0 && errno != ENOENT)
        return nabla_fail_errno(err, "read", table->path);
    if (is_same(&now, &table->seen))
        return NABLA_OK;
    enum nabla_code code = tokens_list(table->folder, &grants, &count, err);
    if (code)
        return code;
    free(table->grants);
    table->grants = grants;
    table->count = count;
    table->seen = now;
    return NABLA_OK;
}

static struct token_use *use_of(struct token_table *table, const char *id)
{
    struct token_use *use = table->uses;
    while (use && strcmp(use->id, id) != 0)
        use = use->next;
    if (!use && (use = calloc(1, sizeof *use))) {
        snprintf(use->id, sizeof use->id, "%s", id);
        use->next = table->uses;
        table->uses = use;
    }
    return use;
}

static bool is_valid(const struct token_grant *grant, uint64_t now)
{
    return !grant->expires_ms || now < grant->expires_ms;
}

// All are compared, each in constant time.
static const struct token_grant *find(const struct token_table *table, const char *sha256)
{
    const struct token_grant *found = NULL;
    uint64_t now = (uint64_t)clock_wall_ms();
    for (size_t i = 0; i < table->count; i++) {
        const struct token_grant *grant = &table->grants[i];
        if (token_equal(grant->sha256, sha256) && is_valid(grant, now))
            found = grant;
    }
    return found;
}

static enum nabla_code enter(struct token_table *table, const char *sha256, struct token_grant *ret,
                             struct token_use **ret_use, struct nabla_error *err)
{
    enum nabla_code code = refresh(table, err);
    if (code)
        return code;
    const struct token_grant *grant = find(table, sha256);
    if (!grant)
        return nabla_fail(err, NABLA_DENIED, NULL, "there is no such token, or it has expired");
    struct token_use *use = use_of(table, grant->id);
    if (!use)
        return nabla_fail_memory(err, "the count of a token's requests");
    if (grant->requests && use->running >= grant->requests)
        return nabla_fail(err, NABLA_BUSY, NULL,
                          "%llu requests of this token are running, as many as its limit max_requests allows",
                          (unsigned long long)use->running);
    use->running++;
    *ret = *grant;
    *ret_use = use;
    return NABLA_OK;
}

enum nabla_code token_table_enter(struct token_table *table, const char *secret, struct token_grant *ret,
                                  struct token_use **ret_use, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    token_sha256(sha256, secret, strlen(secret));
    pthread_mutex_lock(&table->lock);
    enum nabla_code code = enter(table, sha256, ret, ret_use, err);
    pthread_mutex_unlock(&table->lock);
    return code;
}

void token_table_leave(struct token_table *table, struct token_use *use)
{
    if (!use)
        return;
    pthread_mutex_lock(&table->lock);
    use->running--;
    pthread_mutex_unlock(&table->lock);
}

static enum nabla_code check(struct token_table *table, const char *id, struct nabla_error *err)
{
    enum nabla_code code = refresh(table, err);
    uint64_t now = (uint64_t)clock_wall_ms();
    for (size_t i = 0; !code && i < table->count; i++)
        if (strcmp(table->grants[i].id, id) == 0 && is_valid(&table->grants[i], now))
            return NABLA_OK;
    return code ? code : nabla_fail(err, NABLA_DENIED, NULL, "the token was revoked, or has expired");
}

enum nabla_code token_table_check(struct token_table *table, const char *id, struct nabla_error *err)
{
    pthread_mutex_lock(&table->lock);
    enum nabla_code code = check(table, id, err);
    pthread_mutex_unlock(&table->lock);
    return code;
}
