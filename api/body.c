#include "api/body.h"

#include "api/identity.h"
#include "api/media.h"
#include "base/gzip.h"
#include "base/number.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *limit_name(const struct api_call *call)
{
    if (call->grant.body_bytes && call->body_limit == call->grant.body_bytes)
        return "max_body of the token";
    return call->route->body == API_BODY_FILE ? "max_upload" : "max_body";
}

static size_t limit_of(const struct api_call *call)
{
    const struct api_limits *limits = &call->api->options.limits;
    size_t most = call->route->body == API_BODY_FILE ? limits->upload_bytes : limits->body_bytes;
    most = call_limit_for_clients(call, most);
    return (size_t)identity_limit(most, call->grant.body_bytes);
}

static bool check_length(struct api_call *call, struct api_answer *ret)
{
    const char *declared = call_header(call, "Content-Length");
    size_t length;
    if (!declared)
        return true;
    if (!number_read_size(declared, declared + strlen(declared), &length)) {
        answer_status(ret, call, 400, "Content-Length is no number of bytes");
        return false;
    }
    if (length > call->body_limit) {
        answer_status(ret, call, 413, "the body has %zu bytes, the limit %s is %zu", length, limit_name(call),
                      call->body_limit);
        return false;
    }
    return true;
}

// Without being told, curl -d calls everything a form.
static const char *media_hint(const struct api_call *call, const char *given)
{
    static const char form[] = "application/x-www-form-urlencoded";
    bool is_default = !given || strncasecmp(given, form, strlen(form)) == 0;
    if (!is_default)
        return "";
    return call->route->accepts & MEDIA_CSV ? " (curl -H 'Content-Type: text/csv', for one)"
                                            : " (curl --json sets it)";
}

static bool check_media(struct api_call *call, struct api_answer *ret)
{
    char list[MEDIA_LIST_SIZE];
    const char *given = call_header(call, "Content-Type");
    if (!call->route->accepts)
        return true;
    call->content = media_parse(given);
    if (call->content & call->route->accepts)
        return true;
    media_list(list, call->route->accepts);
    answer_status(ret, call, 415, "this takes a body of %s in UTF-8, not %s: set the Content-Type header%s",
                  list, given ? given : "one without a type", media_hint(call, given));
    if (strcmp(call->route->method, "POST") == 0)
        answer_header(ret, "Accept-Post", "%s", list);
    return false;
}

static bool check_encoding(struct api_call *call, struct api_answer *ret)
{
    const char *encoding = call_header(call, "Content-Encoding");
    if (!encoding || strcasecmp(encoding, "identity") == 0 || call->route->body == API_BODY_NONE)
        return true;
    if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0) {
        answer_status(ret, call, 415, "the only Content-Encoding taken is gzip, not %s", encoding);
        answer_header(ret, "Accept-Encoding", "gzip");
        return false;
    }
    call->inflater = inflater_new();
    if (!call->inflater)
        answer_status(ret, call, 503, "cannot allocate the gzip reader");
    return call->inflater != NULL;
}

// What each body may have beside the others: those who send large ones cannot shut out those who send small
// ones.
enum { BODY_SMALL = 65536 };

static enum nabla_code bodies_full(const struct api_call *call, struct nabla_error *err)
{
    return nabla_fail(
        err, NABLA_BUSY, NULL,
        "the request bodies that are in memory leave no room for this one; the limit max_bodies of all "
        "of them is %zu bytes",
        call->api->options.limits.bodies_bytes);
}

// How many bytes of a body of `size` count. One body alone is always let in.
static size_t counted(const struct api_call *call, size_t size)
{
    return call->route->body != API_BODY_MEMORY || size <= BODY_SMALL ||
                   !call->api->options.limits.bodies_bytes || call->listener == API_WORKER
               ? 0
               : size - BODY_SMALL;
}

static bool has_room(const struct api_call *call, size_t held_by_others, size_t wanted)
{
    size_t most = call->api->options.limits.bodies_bytes;
    return held_by_others == 0 || (held_by_others < most && wanted <= most - held_by_others);
}

// By its head, before it costs anything; nothing is set aside for what has only been announced.
static bool check_room(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    size_t length = 0;
    const char *declared = call_header(call, "Content-Length");
    if (declared)
        number_read_size(declared, declared + strlen(declared), &length);
    size_t wanted = counted(call, length);
    if (wanted == 0 || has_room(call, atomic_load(&call->api->bodies_held), wanted))
        return true;
    bodies_full(call, &err);
    answer_error(ret, call, &err);
    return false;
}

// That the body is `size` bytes long now.
static enum nabla_code hold(struct api_call *call, size_t size, struct nabla_error *err)
{
    size_t wanted = counted(call, size), more = wanted - call->body_held;
    if (more == 0)
        return NABLA_OK;
    size_t before = atomic_fetch_add(&call->api->bodies_held, more);
    if (!has_room(call, before - call->body_held, wanted)) {
        atomic_fetch_sub(&call->api->bodies_held, more);
        return bodies_full(call, err);
    }
    call->body_held = wanted;
    return NABLA_OK;
}

void body_let_go(struct api_call *call)
{
    atomic_fetch_sub(&call->api->bodies_held, call->body_held);
    call->body_held = 0;
    buffer_free(&call->body);
}

// Room for the whole body at once, where its size is known. Memory that stays untouched costs nothing.
static void reserve_declared(struct api_call *call)
{
    size_t length;
    const char *declared = call_header(call, "Content-Length");
    if (declared && !call->inflater && number_read_size(declared, declared + strlen(declared), &length))
        buffer_reserve(&call->body, length);
}

static bool make_file(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    if (asprintf(&call->body_path, "%s/tmp/upload-XXXXXX", store_folder(call->api->options.store)) < 0) {
        call->body_path = NULL;
        answer_status(ret, call, 503, "cannot allocate a path");
        return false;
    }
    call->body_fd = mkostemp(call->body_path, O_CLOEXEC);
    if (call->body_fd >= 0)
        return true;
    nabla_fail_errno(&err, "create", "a file for the upload");
    answer_error(ret, call, &err);
    free(call->body_path);
    call->body_path = NULL;
    return false;
}

bool body_open(struct api_call *call, struct api_answer *ret)
{
    call->body_limit = limit_of(call);
    call->body = buffer_new(call->body_limit);
    if (!check_media(call, ret) || !check_length(call, ret) || !check_room(call, ret) ||
        !check_encoding(call, ret))
        return false;
    if (call->route->body == API_BODY_MEMORY)
        reserve_declared(call);
    return call->route->body != API_BODY_FILE || make_file(call, ret);
}

static enum nabla_code write_file(struct api_call *call, const char *bytes, size_t size,
                                  struct nabla_error *err)
{
    while (size > 0) {
        ssize_t wrote = write(call->body_fd, bytes, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return nabla_fail_errno(err, "write", "the upload");
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return NABLA_OK;
}

// The sink of both plain and decompressed bodies.
static enum nabla_code body_store(void *context, const void *bytes, size_t size, struct nabla_error *err)
{
    struct api_call *call = context;
    if (size > call->body_limit - call->body_size)
        return nabla_fail(err, NABLA_LIMIT, NULL, "the body is larger than the limit %s of %zu bytes%s",
                          limit_name(call), call->body_limit, call->inflater ? ", decompressed" : "");
    enum nabla_code code = hold(call, call->body_size + size, err);
    if (code) {
        body_let_go(call); // the rest of it is read, but not kept
        return code;
    }
    call->body_size += size;
    if (call->route->body == API_BODY_FILE)
        return write_file(call, bytes, size, err);
    if (call->route->body == API_BODY_MEMORY && !buffer_append(&call->body, bytes, size))
        return buffer_status(&call->body, "the body", err);
    return NABLA_OK;
}

enum nabla_code body_take(struct api_call *call, const void *bytes, size_t size, struct nabla_error *err)
{
    if (call->inflater)
        return inflater_feed(call->inflater, bytes, size, body_store, call, err);
    return body_store(call, bytes, size, err);
}

enum nabla_code body_end(struct api_call *call, struct nabla_error *err)
{
    if (call->inflater && !inflater_is_whole(call->inflater))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "the gzip body ends before its time");
    if (call->body_fd >= 0 && lseek(call->body_fd, 0, SEEK_SET) < 0)
        return nabla_fail_errno(err, "rewind", "the upload");
    return NABLA_OK;
}

void body_close(struct api_call *call)
{
    inflater_free(call->inflater);
    body_let_go(call);
    if (call->body_fd >= 0)
        close(call->body_fd);
    if (call->body_path)
        unlink(call->body_path);
    free(call->body_path);
}
