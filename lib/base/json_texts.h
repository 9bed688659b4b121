// Lists of texts as JSON: names of features and classes, where they stand in a file's metadata or in a
// description.
#ifndef NABLA_BASE_JSON_TEXTS_H
#define NABLA_BASE_JSON_TEXTS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stddef.h>

// Appends the list; a text that is NULL is "", and so are all where `texts` is NULL.
void json_texts_write(struct buffer *buffer, char *const *texts, size_t count);

// Reads a text that is such a list and nothing else: *ret_count copies, to be freed with json_texts_free.
// NABLA_MALFORMED: it is none, or one of its texts holds a NUL. NABLA_LIMIT: a text is longer than `limit`
// bytes.
enum nabla_code json_texts_read(const char *json, size_t limit, char ***ret, size_t *ret_count,
                                struct nabla_error *err);
void json_texts_free(char **texts, size_t count); // takes NULL, and texts that are NULL

#endif
