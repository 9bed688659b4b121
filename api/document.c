#include "api/document.h"

#include <pthread.h>
#include <stdlib.h>

// Where memory runs out, jansson 2.14 may go on with a character of a name or a number missing, or call the
// text malformed. So its allocations are watched, and what was read while one failed is thrown away.
static _Thread_local bool memory_ran_out;

static void *allocate(size_t size)
{
    void *block = malloc(size);
    memory_ran_out |= !block;
    return block;
}

static void watch_allocations(void)
{
    json_set_alloc_funcs(allocate, free);
}

// An integer beyond 64 bits is read as the double that it rounds to, so that its field's own check names it.
static json_t *load(const struct buffer *rest, json_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    pthread_once(&once, watch_allocations);
    memory_ran_out = false;
    json_t *root = json_loadb(rest->data, rest->size, flags, error);
    if (!root && json_error_code(error) == json_error_numeric_overflow)
        root = json_loadb(rest->data, rest->size, flags | JSON_DECODE_INT_AS_REAL, error);
    return root;
}

// What the strict reader let through and jansson does not: duplicate keys, numbers beyond a double's range,
// "\u0000" in keys.
static enum nabla_code parse_rest(const struct buffer *rest, json_t **ret, struct nabla_error *err)
{
    json_error_t error;
    if (rest->size == 0) {
        *ret = NULL;
        return NABLA_OK;
    }
    json_t *root = load(rest, &error);
    if (memory_ran_out) {
        json_decref(root);
        return nabla_fail_memory(err, "the document");
    }
    if (root) {
        *ret = root;
        return NABLA_OK;
    }
    bool too_large = json_error_code(&error) == json_error_numeric_overflow;
    return nabla_fail(err, too_large ? NABLA_INVALID : NABLA_MALFORMED, NULL,
                      "the document cannot be taken: %s", error.text);
}

enum nabla_code document_read(const char *text, size_t size, size_t document_limit, struct bulk *bulks,
                              size_t bulk_count, json_t **ret_root, struct nabla_error *err)
{
    struct nabla_error scratch;
    struct buffer rest = buffer_new(document_limit);
    enum nabla_code code = bulk_lift(text ? text : "", size, bulks, bulk_count, &rest, err ? err : &scratch);
    if (!code) {
        code = parse_rest(&rest, ret_root, err);
        if (code)
            bulk_free(bulks, bulk_count);
    }
    buffer_free(&rest);
    return code;
}
