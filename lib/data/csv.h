// Data sets as CSV (RFC 4180: quotes, CRLF or LF, a UTF-8 BOM is passed over) with a header line.
//
// Blanks around a cell without quotes are passed over, empty lines only at the end. Column names are distinct
// and not empty. Every cell but the label must be a finite number in float32's range, and none may be empty.
// Classes: all integers → the distinct values ascending are the classes; any other text → the distinct texts
// in byte order are. A single class is refused. One-hot: a feature column with a cell that is no number
// becomes a column "NAME=VALUE" for each of its distinct texts in byte order, 1 where the row has it, else 0.
// Errors: NABLA_MALFORMED or NABLA_INVALID, pointer "" and a text with the place: "row 17, column 3
// (petal_width): expected a number, found \"abc\"". Rows count from 1 at the first line below the header.
// Thread safety: pure functions.
#ifndef NABLA_DATA_CSV_H
#define NABLA_DATA_CSV_H

#include "data/dataset.h"

#include <stdbool.h>

// What the labels are. Automatic: several columns are targets, as is one of numbers that are not all whole;
// everything else is classes.
enum csv_task {
    CSV_AUTOMATIC,
    CSV_CLASSIFICATION,
    CSV_MULTI_LABEL, // targets that are 0 or 1
    CSV_REGRESSION,
    CSV_TASK_COUNT
};
const char *csv_task_name(enum csv_task task); // "automatic", "classification", …
int csv_task_find(const char *name);           // or -1

// Which columns are what; all others are features. NULL stands for all zero.
struct csv_roles {
    const char *label;  // the labels' column, under its whole name; NULL: the last one
    const char *labels; // or several, with commas between
    const char *weight; // what each row counts in a loss: numbers of at least 0. NULL: no such column
    enum csv_task task;
    bool one_hot;      // text features; else they are refused
    bool keep_missing; // features that are empty or say "NA", "nan", "null", "none", "n/a", "?" are NaN; else
                       // refused
};

// Reads [text, text+size).
enum nabla_code csv_read(const char *text, size_t size, const struct csv_roles *roles,
                         const struct dataset_limits *limits, struct dataset **ret, struct nabla_error *err);

// Appends the data set: header, features in shortest form, the class name (or the targets) last. Reading
// classes back gives the same; targets and NaN are for other readers than ours.
enum nabla_code csv_write(const struct dataset *dataset, struct buffer *ret, struct nabla_error *err);

#endif
