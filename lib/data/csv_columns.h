// The columns of a CSV text: what each is called and what it is for. Internal to the CSV reader.
// Thread safety: one table, one thread.
#ifndef NABLA_DATA_CSV_COLUMNS_H
#define NABLA_DATA_CSV_COLUMNS_H

#include "data/csv.h"
#include "data/csv_cursor.h"

enum csv_role { CSV_FEATURE, CSV_CATEGORY, CSV_LABEL, CSV_TARGET, CSV_WEIGHT };

struct csv_column {
    char *name;
    enum csv_role role;
    size_t place;      // of the feature, of the first one of the categories, or of the target
    char **categories; // of CSV_CATEGORY, in byte order
    size_t category_count;
};

struct csv_columns {
    struct csv_column *columns;
    size_t count;
    size_t features, targets; // of the data set
};

// Reads the header, of `count` cells, and gives out the roles; the cursor is at the first row afterwards.
enum nabla_code csv_columns_read(struct csv_cursor *cursor, size_t count, const struct csv_roles *roles,
                                 struct csv_columns *ret, struct nabla_error *err);
// What only the rows tell: whether labels are classes, and which features are texts, of which categories. At
// most `most` features are made. The cursor is at the first row.
enum nabla_code csv_columns_look(struct csv_columns *columns, struct csv_cursor cursor, size_t rows,
                                 const struct csv_roles *roles, size_t most, struct nabla_error *err);
void csv_columns_free(struct csv_columns *columns);

// "row 17, column 3 (petal_width): <what>, found "abc"". Row and column from 0.
enum nabla_code csv_bad_cell(const struct csv_columns *columns, size_t row, size_t column,
                             const struct csv_cell *cell, const char *what, struct nabla_error *err);
// The number of a cell, finite and in float32's range.
enum nabla_code csv_read_number(const struct csv_columns *columns, size_t row, size_t column,
                                const struct csv_cell *cell, float *ret, struct nabla_error *err);
// Whether the cell is empty or says that its value is missing.
bool csv_is_missing(const struct csv_cell *cell);
// The place of a cell's text among the column's categories, all of which csv_columns_look has seen.
size_t csv_category_find(const struct csv_column *column, const struct csv_cell *cell);

#endif
