#include "api/document.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

// Where memory runs out, jansson 2.14 goes on with characters of a token missing, and where that is a
// string's closing quote, it reads and writes beyond the ends of its blocks. So the buffer that it gathers a
// token in, 16 bytes that are doubled as need be, is given room from a reserve then; whatever else fails ends
// the reading, and what was read while anything failed is thrown away.
enum { GATHERED_FIRST = 16, RESERVE_LEAST = 512 };

static _Thread_local struct {
    char *room; // NULL while nothing is read
    size_t size, used;
    bool ran_out;
} reserve;

static bool is_growth(size_t size)
{
    return size > GATHERED_FIRST && (size & (size - 1)) == 0;
}

static void *allocate(size_t size)
{
    void *block = malloc(size);
    if (block)
        return block;
    reserve.ran_out = true;
    if (!is_growth(size) || size > reserve.size - reserve.used)
        return NULL;
    reserve.used += size;
    return reserve.room + reserve.used - size;
}

static void release(void *block)
{
    const uintptr_t at = (uintptr_t)block, room = (uintptr_t)reserve.room;
    if (at < room || at - room >= reserve.size)
        free(block);
}

static void watch_allocations(void)
{
    json_set_alloc_funcs(allocate, release);
}

// A token of a text takes part of it at most, and all doublings together less than four times as much.
static bool reserve_open(size_t text)
{
    const size_t size = 4 * text + RESERVE_LEAST;
    reserve.ran_out = false;
    reserve.used = 0;
    reserve.room = malloc(size);
    reserve.size = reserve.room ? size : 0;
    return reserve.room != NULL;
}

static void reserve_close(void)
{
    free(reserve.room);
    reserve.room = NULL;
    reserve.size = 0;
}

// An integer beyond 64 bits is read as the double that it rounds to, so that its field's own check names it.
static json_t *load(const struct buffer *rest, json_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    pthread_once(&once, watch_allocations);
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
    json_t *root = reserve_open(rest->size) ? load(rest, &error) : NULL;
    const bool is_whole = reserve.room && !reserve.ran_out;
    if (!is_whole)
        json_decref(root);
    reserve_close();
    if (!is_whole)
        return nabla_fail_memory(err, "the document");
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
