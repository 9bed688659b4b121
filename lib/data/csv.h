// Data sets as CSV (RFC 4180: quotes, CRLF or LF, a UTF-8 BOM is passed over) with a header line.
//
// Blanks around a cell without quotes are passed over, empty lines only at the end. Column names are distinct
// and not empty. Every cell but the label must be a finite number in float32's range, and none may be empty.
// Labels: all integers → the distinct values ascending are the classes; any other text → the distinct texts
// in byte order are. A single class is refused. Errors: NABLA_MALFORMED or NABLA_INVALID, pointer "" and a
// text with the place: "row 17, column 3 (petal_width): expected a number, found \"abc\"". Rows count from 1
// at the first line below the header. Thread safety: pure functions.
#ifndef NABLA_DATA_CSV_H
#define NABLA_DATA_CSV_H

#include "data/dataset.h"

// Reads [text, text+size). `label` names the label's column, NULL for the last.
enum nabla_code csv_read(const char *text, size_t size, const char *label,
                         const struct dataset_limits *limits, struct dataset **ret, struct nabla_error *err);

// Appends the data set: header, features in shortest form, the class name (or the targets) last. Reading
// classes back gives the same; targets and NaN are for other readers than ours.
enum nabla_code csv_write(const struct dataset *dataset, struct buffer *ret, struct nabla_error *err);

#endif
