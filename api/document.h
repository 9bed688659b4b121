// A JSON body as a small document plus its bulk arrays: numbers that may be many are lifted out on the way
// and never become JSON nodes. What is left is parsed by jansson under the document limit; depth and
// duplicate keys are checked.
#ifndef NABLA_API_DOCUMENT_H
#define NABLA_API_DOCUMENT_H

#include "api/bulk.h"

#include <jansson.h>
#include <stddef.h>

// Reads the whole text. The lifted fields are null in *ret_root (json_decref it), which is NULL where
// nothing else was there: fields_begin reads both alike. Errors: NABLA_MALFORMED
// (not JSON, with line and column), NABLA_INVALID with the place ("/logits/3: has 4 numbers where row 0 has
// 5"), NABLA_LIMIT. On failure all values are freed.
enum nabla_code document_read(const char *text, size_t size, size_t document_limit, struct bulk *bulks,
                              size_t bulk_count, json_t **ret_root, struct nabla_error *err);

#endif
