// A JSON body as a small document plus its bulk arrays: numbers that may be many are lifted out on the way
// and never become JSON nodes. What is left is parsed by jansson under the document limit; depth and
// duplicate keys are checked.
#ifndef NABLA_API_DOCUMENT_H
#define NABLA_API_DOCUMENT_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum bulk_shape {
    BULK_ABSENT, // no such field, or null
    BULK_SCALAR, // one number
    BULK_LIST,   // [n]
    BULK_ROWS,   // [rows][columns], all rows of the same length
    BULK_OTHER   // anything else (e.g. "balanced"): left in the document
};

// A place to lift from. In: pointer. Out: the rest; values belong to the caller (free).
struct bulk {
    const char *pointer; // "/logits", "/dataset/features"; objects only on the way
    enum bulk_shape shape;
    size_t rows, columns; // LIST: rows = n, columns = 1; SCALAR: 1, 1
    double *values;       // rows × columns; NaN and infinities as written ("NaN", "Infinity", "-Infinity")
};

// Reads the whole text. The lifted fields are null in *ret_root (json_decref it). Errors: NABLA_MALFORMED
// (not JSON, with line and column), NABLA_INVALID with the place ("/logits/3: has 4 numbers where row 0 has
// 5"), NABLA_LIMIT. On failure all values are freed.
enum nabla_code document_read(const char *text, size_t size, size_t document_limit, struct bulk *bulks,
                              size_t bulk_count, json_t **ret_root, struct nabla_error *err);
void bulk_free(struct bulk *bulks, size_t count);

#endif
