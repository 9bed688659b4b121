// Bulk numbers of a JSON text: lifted into doubles on the way, so that they never become JSON nodes.
// Apart from document.h because the names of base/json.h and of jansson.h do not get on in one file.
#ifndef NABLA_API_BULK_H
#define NABLA_API_BULK_H

#include "base/buffer.h"
#include "base/error.h"

#include <stddef.h>

enum bulk_shape {
    BULK_ABSENT, // no such field, or null
    BULK_SCALAR, // one number
    BULK_LIST,   // [n]
    BULK_ROWS,   // [rows][columns], all rows of the same length
    BULK_OTHER   // anything else ("balanced", a list of texts): left in the document
};

// A place to lift from. In: pointer and tabular. Out: the rest; values belong to the caller (free).
struct bulk {
    const char *pointer; // "/logits", "/dataset/features"; objects only on the way
    bool tabular;        // null counts as NaN, and a list of objects is left in the document
    enum bulk_shape shape;
    size_t rows, columns; // LIST: rows = n, columns = 1; SCALAR: 1, 1
    double *values;       // rows × columns; NaN and infinities as written ("NaN", "Infinity", "-Infinity")
};

void bulk_free(struct bulk *bulks, size_t count);

// Lifts the bulk fields and appends the rest of the text, null in their place, to `rest`, whose limit is that
// of strings as well; nothing is left where only bulk was there. The whole text is checked to be strict JSON
// and an object; duplicate keys outside the bulk are left to who reads the rest. Errors as document_read. On
// failure all values are freed.
enum nabla_code bulk_lift(const char *text, size_t size, struct bulk *bulks, size_t bulk_count,
                          struct buffer *rest, struct nabla_error *err);

#endif
