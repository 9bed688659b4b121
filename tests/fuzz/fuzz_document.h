// Mutation of JSON documents by their structure, for fuzz targets: values change places, words change,
// numbers become the ones that programs trip over, and what stands at one place in a document comes to the
// same place of another.
//
// Most of what is taken for a new value is of the old one's kind: a document that is refused at its first
// wrong field shows nothing of what lies behind it.
#ifndef NABLA_TESTS_FUZZ_DOCUMENT_H
#define NABLA_TESTS_FUZZ_DOCUMENT_H

#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

enum { DOCUMENT_NODES = 512, DOCUMENT_ARENA = 1 << 22 };

// What a document may be made of besides what stands in it.
struct document_parts {
    const char *const *words; // values
    const char *const *names; // of fields
    const double *numbers;
    const json_int_t *wholes;
    size_t words_count, names_count, numbers_count, wholes_count;
};

// ---- memory: a mutation's own, all let go of at once, without the sanitizer's bookkeeping ----

static struct document_arena {
    char bytes[DOCUMENT_ARENA];
    size_t used;
    json_malloc_t malloc; // those of the code under test, put back after the mutation
    json_free_t free;
} document_arena;

// NULL when it is full: jansson answers by giving the value up.
static void *document_allocate(size_t size)
{
    struct document_arena *arena = &document_arena;
    size_t taken = (size + 15) / 16 * 16;
    if (taken > sizeof arena->bytes - arena->used)
        return NULL;
    arena->used += taken;
    return arena->bytes + arena->used - taken;
}

static void document_forget(void *memory)
{
    (void)memory;
}

static void document_begin(void)
{
    document_arena.used = 0;
    json_get_alloc_funcs(&document_arena.malloc, &document_arena.free);
    json_set_alloc_funcs(document_allocate, document_forget);
}

static void document_end(void)
{
    json_set_alloc_funcs(document_arena.malloc, document_arena.free);
}

// ---- chance ----

// A generator of its own, so that one seed is one mutation.
static unsigned document_draw(uint64_t *state, size_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*state >> 33) % below);
}

static const char *document_word(const char *const *table, size_t count, uint64_t *state)
{
    return table[document_draw(state, count)];
}

static const char *document_key(json_t *object, uint64_t *state)
{
    void *at = json_object_iter(object);
    for (unsigned skip = document_draw(state, json_object_size(object)); skip > 0; skip--)
        at = json_object_iter_next(object, at);
    return json_object_iter_key(at);
}

// ---- changes ----

static json_t *document_new_number(const struct document_parts *parts, uint64_t *state)
{
    if (document_draw(state, 3) == 0)
        return json_real(parts->numbers[document_draw(state, parts->numbers_count)]);
    return json_integer(parts->wholes[document_draw(state, parts->wholes_count)]);
}

static json_t *document_new_value(const struct document_parts *parts, uint64_t *state)
{
    switch (document_draw(state, 8)) {
    case 0:
    case 1:
    case 2:
        return json_string(document_word(parts->words, parts->words_count, state));
    case 3:
    case 4:
    case 5:
        return document_new_number(parts, state);
    case 6:
        return document_draw(state, 2) ? json_boolean(document_draw(state, 2)) : json_null();
    default:
        return document_draw(state, 2) ? json_object() : json_array();
    }
}

// In the place of another, which may be NULL.
static json_t *document_value_for(const struct document_parts *parts, const json_t *old, uint64_t *state)
{
    if (!old || document_draw(state, 4) == 0)
        return document_new_value(parts, state);
    if (json_is_string(old))
        return json_string(document_word(parts->words, parts->words_count, state));
    if (json_is_integer(old) && document_draw(state, 2))
        return json_integer((json_int_t)((uint64_t)json_integer_value(old) + document_draw(state, 5) - 2));
    if (json_is_number(old))
        return document_new_number(parts, state);
    if (json_is_boolean(old))
        return json_boolean(!json_is_true(old));
    return document_new_value(parts, state);
}

static void document_change_object(const struct document_parts *parts, json_t *object, json_t *other,
                                   uint64_t *state)
{
    const char *key = document_word(parts->names, parts->names_count, state);
    if (json_object_size(object) > 0 && document_draw(state, 3))
        key = document_key(object, state);
    switch (document_draw(state, 6)) {
    case 0:
        json_object_del(object, key);
        break;
    case 1: // a copy of another part of the document
        json_object_set_new(object, key, json_deep_copy(other));
        break;
    default:
        json_object_set_new(object, key, document_value_for(parts, json_object_get(object, key), state));
    }
}

static void document_change_array(const struct document_parts *parts, json_t *array, json_t *other,
                                  uint64_t *state)
{
    size_t at = document_draw(state, json_array_size(array) + 1);
    switch (document_draw(state, 5)) {
    case 0:
        json_array_remove(array, at);
        break;
    case 1:
        json_array_insert_new(array, at, json_deep_copy(other));
        break;
    case 2: // one of its own again
        json_array_append_new(array, json_deep_copy(json_array_get(array, at)));
        break;
    default:
        if (at == json_array_size(array))
            json_array_append_new(array, document_new_value(parts, state));
        else
            json_array_set_new(array, at, document_value_for(parts, json_array_get(array, at), state));
    }
}

// The containers of a document, itself included.
static size_t document_collect(json_t *value, json_t *ret[DOCUMENT_NODES], size_t count)
{
    size_t index;
    const char *key;
    json_t *child;
    if (count == DOCUMENT_NODES || !(json_is_object(value) || json_is_array(value)))
        return count;
    ret[count++] = value;
    json_array_foreach(value, index, child) count = document_collect(child, ret, count);
    json_object_foreach(value, key, child) count = document_collect(child, ret, count);
    return count;
}

static json_t *document_load(const uint8_t *bytes, size_t size)
{
    json_error_t err;
    return json_loadb((const char *)bytes, size, 0, &err); // a container, or NULL
}

// The text of a document; 0 when it is longer than `most`.
static size_t document_write(const json_t *root, uint8_t *ret, size_t most)
{
    size_t length = json_dumpb(root, (char *)ret, most, JSON_COMPACT);
    return length <= most ? length : 0;
}

// Some changes of a document. The new size; 0 where it is none, or the new one is longer than `most`.
static size_t document_change(const struct document_parts *parts, uint8_t *bytes, size_t size, size_t most,
                              unsigned seed)
{
    uint64_t state = seed;
    size_t length = 0;
    document_begin();
    json_t *root = document_load(bytes, size), *nodes[DOCUMENT_NODES];
    if (root) {
        for (unsigned i = document_draw(&state, 4); i < 4; i++) {
            size_t count = document_collect(root, nodes, 0);
            json_t *node = nodes[document_draw(&state, count)], *other = nodes[document_draw(&state, count)];
            if (json_is_object(node))
                document_change_object(parts, node, other, &state);
            else
                document_change_array(parts, node, other, &state);
        }
        length = document_write(root, bytes, most);
    }
    document_end();
    return length;
}

// What stands somewhere in `other` comes to the same place of `one`.
static void document_graft(json_t *one, json_t *other, uint64_t *state)
{
    while (json_is_object(one) && json_object_size(other) > 0) {
        const char *key = document_key(other, state);
        json_t *mine = json_object_get(one, key), *theirs = json_object_get(other, key);
        if (json_typeof(theirs) == JSON_ARRAY && json_is_array(mine) && document_draw(state, 2)) {
            size_t at = document_draw(state, json_array_size(theirs) + 1);
            json_array_append_new(mine, json_deep_copy(json_array_get(theirs, at)));
            return;
        }
        if (!json_is_object(mine) || !json_is_object(theirs) || document_draw(state, 4) == 0) {
            json_object_set_new(one, key, json_deep_copy(theirs));
            return;
        }
        one = mine;
        other = theirs;
    }
}

static size_t document_cross(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size,
                             uint8_t *ret, size_t most, unsigned seed)
{
    uint64_t state = seed;
    size_t length = 0;
    document_begin();
    json_t *root = document_load(one, one_size), *from = document_load(other, other_size);
    if (root && from) {
        for (unsigned i = document_draw(&state, 3); i < 3; i++)
            document_graft(root, from, &state);
        length = document_write(root, ret, most);
    }
    document_end();
    return length; // 0: libFuzzer mutates otherwise
}

#endif
