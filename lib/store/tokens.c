// The file is small and read whole. A change writes it anew beside itself and renames, so that a reader sees
// the old tokens or the new ones.
#include "store/tokens.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { FILE_LIMIT = 16 << 20, STRING_LIMIT = 256 };

static const char *const scope_names[] = {"read", "write", "admin"};
enum { SCOPE_COUNT = sizeof scope_names / sizeof *scope_names };

// What stands in a line besides the scopes.
static const struct field {
    const char *name;
    size_t at, size; // of a text; size 0: a uint64_t
} fields[] = {
    {"id", offsetof(struct token_grant, id), TOKEN_ID_SIZE},
    {"name", offsetof(struct token_grant, name), TOKENS_NAME_SIZE},
    {"sha256", offsetof(struct token_grant, sha256), TOKEN_SHA256_SIZE},
    {"created_ms", offsetof(struct token_grant, created_ms), 0},
    {"expires_ms", offsetof(struct token_grant, expires_ms), 0},
    {"max_body", offsetof(struct token_grant, body_bytes), 0},
    {"max_requests", offsetof(struct token_grant, requests), 0},
    {"max_queued_jobs", offsetof(struct token_grant, queued_jobs), 0},
    {"max_dataset_rows", offsetof(struct token_grant, dataset_rows), 0},
    {"max_disk", offsetof(struct token_grant, disk_bytes), 0},
};
enum { FIELDS = sizeof fields / sizeof *fields };

const char *tokens_scope_name(enum token_scope scope)
{
    return scope_names[scope >= SCOPE_ADMIN ? 2 : scope >= SCOPE_WRITE];
}

unsigned tokens_scopes_read(const char *text)
{
    unsigned scopes = 0;
    while (text) {
        size_t length = strcspn(text, ","), i = 0;
        while (i < SCOPE_COUNT &&
               (strlen(scope_names[i]) != length || strncmp(scope_names[i], text, length) != 0))
            i++;
        if (i == SCOPE_COUNT)
            return 0;
        scopes |= (2U << i) - 1;
        text = text[length] ? text + length + 1 : NULL;
    }
    return scopes;
}

void tokens_scopes_write(unsigned scopes, char ret[24])
{
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (scopes & (1U << i))
            length += (size_t)snprintf(ret + length, 24 - length, "%s%s", length ? "," : "", scope_names[i]);
}

static void write_grant(const struct token_grant *grant, struct buffer *ret)
{
    char scopes[24];
    tokens_scopes_write(grant->scopes, scopes);
    buffer_format(ret, "{\"scopes\":\"%s\"", scopes);
    for (size_t i = 0; i < FIELDS; i++) {
        const char *field = (const char *)grant + fields[i].at;
        uint64_t number;
        memcpy(&number, field, sizeof number);
        if (fields[i].size == 0 && number == 0)
            continue;
        buffer_format(ret, ",\"%s\":", fields[i].name);
        if (fields[i].size)
            buffer_json_string(ret, field);
        else
            buffer_format(ret, "%" PRIu64, number);
    }
    buffer_text(ret, "}\n");
}

static bool take_number(const struct json_reader *reader, uint64_t *ret)
{
    int64_t number;
    if (!number_read_int(reader->token, reader->at, &number) || number < 0)
        return false;
    *ret = (uint64_t)number;
    return true;
}

// A field that this program does not know may limit the token: then it must not be believed.
static bool take_field(struct json_reader *reader, const char *name, enum json_token token,
                       struct token_grant *grant)
{
    if (strcmp(name, "scopes") == 0)
        return token == JSON_STRING && (grant->scopes = tokens_scopes_read(reader->string.data)) != 0;
    for (size_t i = 0; i < FIELDS; i++) {
        char *field = (char *)grant + fields[i].at;
        uint64_t number;
        if (strcmp(name, fields[i].name) != 0)
            continue;
        if (fields[i].size) {
            if (token != JSON_STRING || reader->string.size >= fields[i].size)
                return false;
            memcpy(field, reader->string.data, reader->string.size + 1);
            return true;
        }
        if (token != JSON_NUMBER || !take_number(reader, &number))
            return false;
        memcpy(field, &number, sizeof number);
        return true;
    }
    return false;
}

static bool read_grant(const char *line, size_t size, struct token_grant *ret)
{
    struct json_reader reader = json_open(line, size, STRING_LIMIT);
    struct token_grant grant = {0};
    enum json_token token;
    bool sound = !json_next(&reader, &token, NULL) && token == JSON_OBJECT_BEGIN;
    while (sound && !json_next(&reader, &token, NULL) && token == JSON_KEY) {
        char name[32];
        snprintf(name, sizeof name, "%s", reader.string.data);
        sound = !json_next(&reader, &token, NULL) && take_field(&reader, name, token, &grant);
    }
    sound = sound && token == JSON_OBJECT_END && !json_next(&reader, &token, NULL) && token == JSON_END;
    json_close(&reader);
    *ret = grant;
    return sound && grant.scopes && strlen(grant.sha256) == TOKEN_SHA256_SIZE - 1;
}

static enum nabla_code parse(char *text, struct token_grant **ret, size_t *ret_count, struct nabla_error *err)
{
    struct token_grant *grants = NULL;
    size_t count = 0;
    for (char *line; (line = strsep(&text, "\n"));) {
        if (!*line)
            continue;
        struct token_grant *grown = reallocarray(grants, count + 1, sizeof *grants);
        if (!grown) {
            free(grants);
            return nabla_fail_memory(err, "the tokens");
        }
        grants = grown;
        if (!read_grant(line, strlen(line), &grants[count++])) {
            free(grants);
            return nabla_fail(err, NABLA_IO, NULL, "line %zu of the file tokens is damaged", count);
        }
    }
    *ret = grants;
    *ret_count = count;
    return NABLA_OK;
}

static enum nabla_code path_of(const char *folder, const char *name, char ret[PATH_MAX],
                               struct nabla_error *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
        return NABLA_OK;
    return nabla_fail(err, NABLA_INVALID, NULL, "the path of the data folder is too long");
}

enum nabla_code tokens_list(const char *folder, struct token_grant **ret, size_t *ret_count,
                            struct nabla_error *err)
{
    char path[PATH_MAX];
    struct buffer text = buffer_new(FILE_LIMIT);
    enum nabla_code code = path_of(folder, TOKENS_FILE, path, err);
    if (!code)
        code = file_read(path, &text, err);
    *ret = NULL;
    *ret_count = 0;
    if (code == NABLA_NOT_FOUND)
        code = NABLA_OK; // nobody has a token yet
    else if (!code && text.data)
        code = parse(text.data, ret, ret_count, err);
    buffer_free(&text);
    return code;
}

// A change on its way: the lock is held, the tokens are read.
struct change {
    const char *folder;
    int lock;
    struct token_grant *grants;
    size_t count;
};

static enum nabla_code change_begin(const char *folder, struct change *ret, struct nabla_error *err)
{
    char path[PATH_MAX];
    struct change change = {.folder = folder, .lock = -1};
    enum nabla_code code = file_make_folder(folder, err);
    if (!code)
        code = path_of(folder, "tokens.lock", path, err);
    if (code)
        return code;
    change.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (change.lock < 0 || flock(change.lock, LOCK_EX) != 0)
        code = nabla_fail_errno(err, "lock", path);
    else
        code = tokens_list(folder, &change.grants, &change.count, err);
    if (code && change.lock >= 0)
        close(change.lock);
    if (!code)
        *ret = change;
    return code;
}

static enum nabla_code change_write(const struct change *change, struct nabla_error *err)
{
    char path[PATH_MAX];
    struct buffer text = buffer_new(FILE_LIMIT);
    for (size_t i = 0; i < change->count; i++)
        write_grant(&change->grants[i], &text);
    enum nabla_code code = buffer_status(&text, "the tokens", err);
    if (!code)
        code = path_of(change->folder, TOKENS_FILE, path, err);
    if (!code)
        code = file_replace(path, text.data ? text.data : "", text.size, err);
    buffer_free(&text);
    return code;
}

static void change_end(struct change *change)
{
    free(change->grants);
    close(change->lock);
}

static struct token_grant *find_name(const struct change *change, const char *name)
{
    for (size_t i = 0; i < change->count; i++)
        if (strcmp(change->grants[i].name, name) == 0 || strcmp(change->grants[i].id, name) == 0)
            return &change->grants[i];
    return NULL;
}

// Names stand in logs and in answers.
static bool is_name(const char *name)
{
    static const char marks[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";
    return *name && strlen(name) < TOKENS_NAME_SIZE && strspn(name, marks) == strlen(name);
}

static enum nabla_code add(struct change *change, const struct token_grant *grant, struct nabla_error *err)
{
    if (find_name(change, grant->name))
        return nabla_fail(err, NABLA_CONFLICT, NULL, "there is a token \"%s\" already", grant->name);
    struct token_grant *grown = reallocarray(change->grants, change->count + 1, sizeof *grown);
    if (!grown)
        return nabla_fail_memory(err, "the tokens");
    change->grants = grown;
    change->grants[change->count++] = *grant;
    return change_write(change, err);
}

enum nabla_code tokens_create(const char *folder, struct token_grant *grant,
                              char ret_secret[TOKENS_SECRET_SIZE], struct nabla_error *err)
{
    char bits[TOKEN_SECRET_SIZE];
    struct change change;
    if (!is_name(grant->name))
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "a token's name has 1 to %d letters, digits, dots, dashes, underscores or @",
                          TOKENS_NAME_SIZE - 1);
    enum nabla_code code = change_begin(folder, &change, err);
    if (code)
        return code;
    token_make_secret(bits);
    snprintf(ret_secret, TOKENS_SECRET_SIZE, "nabla_%s", bits); // a prefix that scanners for secrets can find
    token_make_id(grant->id, "tok");
    token_sha256(grant->sha256, ret_secret, strlen(ret_secret));
    grant->created_ms = (uint64_t)clock_wall_ms();
    code = add(&change, grant, err);
    change_end(&change);
    return code;
}

enum nabla_code tokens_revoke(const char *folder, const char *name, struct nabla_error *err)
{
    struct change change;
    enum nabla_code code = change_begin(folder, &change, err);
    if (code)
        return code;
    struct token_grant *found = find_name(&change, name);
    if (found) {
        memmove(found, found + 1, (size_t)(change.grants + --change.count - found) * sizeof *found);
        code = change_write(&change, err);
    } else {
        code = nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no token \"%s\"", name);
    }
    change_end(&change);
    return code;
}
