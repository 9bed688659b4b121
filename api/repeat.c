#include "api/repeat.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX_BYTES = 255 };

// Lengths keep one part from passing as the end of another.
static void add_part(struct buffer *request, const char *text)
{
    buffer_format(request, "%zu:%s,", strlen(text), text);
}

static enum nabla_code hash_request(const struct api_call *call, const void *bytes, size_t size,
                                    char ret[TOKEN_SHA256_SIZE], struct nabla_error *err)
{
    struct buffer request = buffer_new(SIZE_MAX - 1);
    token_sha256(ret, bytes, size);
    add_part(&request, ret);
    add_part(&request, media_name(call->content));
    for (size_t i = 0; i < call->query_count; i++) {
        add_part(&request, call->query[i].name);
        add_part(&request, call->query[i].value);
    }
    enum nabla_code code = buffer_status(&request, "the request's hash", err);
    if (code == NABLA_OK)
        token_sha256(ret, request.data, request.size);
    buffer_free(&request);
    return code;
}

bool repeat_begin(const struct api_call *call, enum key_scope scope, const void *bytes, size_t size,
                  struct repeat *ret, struct api_answer *ret_answer)
{
    struct nabla_error err = {0};
    const char *given = call_header(call, "Idempotency-Key");
    *ret = (struct repeat){0};
    if (!given)
        return true;
    if (!given[0] || strlen(given) > KEY_MAX_BYTES) {
        answer_status(ret_answer, call, 400, "Idempotency-Key must have 1 to %d bytes", KEY_MAX_BYTES);
        return false;
    }
    // Two tokens may choose the same key without meeting.
    snprintf(ret->text, sizeof ret->text, "%s%s%s", call->grant.id, call->grant.id[0] ? "/" : "", given);
    ret->key.text = ret->text;
    enum nabla_code code = hash_request(call, bytes, size, ret->key.sha256, &err);
    if (code == NABLA_OK)
        code = store_key_find(call->api->options.store, scope, &ret->key, &ret->made, &err);
    ret->known = code == NABLA_OK;
    if (ret->known || code == NABLA_NOT_FOUND)
        return true;
    answer_error(ret_answer, call, &err);
    return false;
}
