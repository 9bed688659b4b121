// The cells of a CSV text one after the other, without copying: the part of CSV that knows of quotes and line
// ends. Internal to the CSV reader.
//
// Blanks around a cell without quotes do not belong to it. A quote within such a cell, anything between a
// closing quote and the separator, and a quote that is never closed are NABLA_MALFORMED, with row and column.
// Thread safety: one cursor, one thread.
#ifndef NABLA_DATA_CSV_CURSOR_H
#define NABLA_DATA_CSV_CURSOR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct csv_cell {
    const char *text; // within the quotes, if there are any
    size_t size;
    bool doubled; // holds doubled quotes that stand for one
};

struct csv_cursor {
    const char *at, *end;
    size_t row;    // of the next cell; the header is row 0
    size_t column; // of the next cell, from 0
};

// Passes over a byte order mark and over empty lines at the end.
struct csv_cursor csv_cursor_open(const char *text, size_t size);

bool csv_cursor_at_end(const struct csv_cursor *cursor);

// Counts the lines below the header and the cells of each, which must be those of the header.
enum nabla_code csv_cursor_measure(struct csv_cursor cursor, size_t *ret_rows, size_t *ret_columns,
                                   struct nabla_error *err);

enum nabla_code csv_cursor_next(struct csv_cursor *cursor, struct csv_cell *ret, struct nabla_error *err);

// The cell's text with its doubled quotes resolved; the caller frees it. NULL without memory.
char *csv_cell_copy(const struct csv_cell *cell);

// Whether the cell can be a name: not empty, UTF-8 without NUL. If not, *ret_why says so.
bool csv_cell_is_name(const struct csv_cell *cell, const char **ret_why);

#endif
