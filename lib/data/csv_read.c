// Two passes over the text: the first counts rows and cells, so that the memory is known, and within its
// limits, before any of it is allocated; the second reads each number to its place. Labels become provisional
// class ids on the way and get their final order at the end.
#include "data/csv.h"

#include "base/size.h"
#include "base/utf8.h"
#include "data/class_table.h"
#include "data/csv_columns.h"
#include "data/csv_cursor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct csv_cursor cursor;
    const struct csv_roles *roles;
    size_t rows;
    size_t width; // columns of the text
    struct csv_columns columns;
    struct class_table classes;
    struct dataset *dataset;
};

static enum nabla_code measure(struct reading *reading, const struct dataset_limits *limits,
                               struct nabla_error *err)
{
    if (csv_cursor_at_end(&reading->cursor))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "the CSV text is empty");
    enum nabla_code code = csv_cursor_measure(reading->cursor, &reading->rows, &reading->width, err);
    if (code)
        return code;
    if (reading->width < 2)
        return nabla_fail(
            err, NABLA_INVALID, NULL,
            "the header has one column: a data set needs a feature and a label, separated by commas");
    if (reading->rows == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "there are no rows below the header");
    return dataset_check_size(reading->rows, 1, 0, limits, err);
}

static enum nabla_code read_label(struct reading *reading, size_t row, size_t column,
                                  const struct csv_cell *cell, struct nabla_error *err)
{
    const char *why;
    if (cell->size == 0)
        return csv_bad_cell(&reading->columns, row, column, cell, "expected a label", err);
    if (!csv_cell_is_name(cell, &why))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "row %zu, column %zu: %s", row + 1, column + 1, why);
    return class_table_add(&reading->classes, cell, row + 1, &reading->dataset->ids[row], err);
}

static enum nabla_code read_category(struct reading *reading, size_t row, size_t column,
                                     const struct csv_cell *cell, struct nabla_error *err)
{
    const struct csv_column *of = &reading->columns.columns[column];
    const size_t found = csv_category_find(of, cell);
    if (found == of->category_count)
        return nabla_fail_memory(err, "a category");
    reading->dataset->features[row * reading->dataset->columns + of->place + found] = 1;
    return NABLA_OK;
}

static enum nabla_code read_target(struct reading *reading, size_t row, size_t column,
                                   const struct csv_cell *cell, struct nabla_error *err)
{
    float *to =
        reading->dataset->targets + row * reading->dataset->outputs + reading->columns.columns[column].place;
    enum nabla_code code = csv_read_number(&reading->columns, row, column, cell, to, err);
    if (!code && reading->roles->task == CSV_MULTI_LABEL && *to != 0 && *to != 1)
        return csv_bad_cell(&reading->columns, row, column, cell, "expected 0 or 1", err);
    return code;
}

static enum nabla_code read_weight(struct reading *reading, size_t row, size_t column,
                                   const struct csv_cell *cell, struct nabla_error *err)
{
    float *to = &reading->dataset->weights[row];
    enum nabla_code code = csv_read_number(&reading->columns, row, column, cell, to, err);
    if (!code && *to < 0)
        return csv_bad_cell(&reading->columns, row, column, cell, "expected a number of at least 0", err);
    return code;
}

static enum nabla_code read_cell(struct reading *reading, size_t row, size_t column,
                                 const struct csv_cell *cell, struct nabla_error *err)
{
    const struct csv_column *of = &reading->columns.columns[column];
    struct dataset *dataset = reading->dataset;
    switch (of->role) {
    case CSV_LABEL:
        return read_label(reading, row, column, cell, err);
    case CSV_TARGET:
        return read_target(reading, row, column, cell, err);
    case CSV_WEIGHT:
        return read_weight(reading, row, column, cell, err);
    case CSV_CATEGORY:
        return read_category(reading, row, column, cell, err);
    case CSV_FEATURE:
        break;
    }
    float *to = dataset->features + row * dataset->columns + of->place;
    if (reading->roles->keep_missing && csv_is_missing(cell)) {
        *to = NAN;
        return NABLA_OK;
    }
    return csv_read_number(&reading->columns, row, column, cell, to, err);
}

static enum nabla_code make_room(struct reading *reading, struct nabla_error *err)
{
    const size_t features = reading->columns.features, targets = reading->columns.targets;
    enum nabla_code code = targets > 0
                               ? dataset_new_targets(reading->rows, features, targets, &reading->dataset, err)
                               : dataset_new(reading->rows, features, 0, &reading->dataset, err);
    if (!code && targets == 0) {
        reading->dataset->ids = size_alloc(reading->rows, 1, sizeof *reading->dataset->ids);
        code = reading->dataset->ids ? NABLA_OK : nabla_fail_memory(err, "the labels");
    }
    if (!code && reading->roles->weight)
        code = dataset_add_weights(reading->dataset, err);
    return code;
}

static enum nabla_code read_rows(struct reading *reading, struct nabla_error *err)
{
    enum nabla_code code = make_room(reading, err);
    for (size_t i = 0; i < reading->rows * reading->width && !code; i++) {
        struct csv_cell cell;
        code = csv_cursor_next(&reading->cursor, &cell, err);
        if (!code)
            code = read_cell(reading, i / reading->width, i % reading->width, &cell, err);
    }
    return code;
}

static enum nabla_code order_classes(struct reading *reading, struct nabla_error *err)
{
    struct dataset *dataset = reading->dataset;
    int32_t *map = size_alloc(reading->classes.count, 1, sizeof *map);
    if (!map)
        return nabla_fail_memory(err, "the classes");
    enum nabla_code code =
        class_table_finish(&reading->classes, map, &dataset->class_names, &dataset->classes, err);
    for (size_t i = 0; i < dataset->rows && !code; i++)
        dataset->ids[i] = map[dataset->ids[i]];
    free(map);
    char shown[UTF8_EXCERPT_SIZE];
    if (!code && dataset->classes < 2)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "every row has the label \"%s\": there is nothing to learn",
                          utf8_excerpt(shown, dataset->class_names[0], strlen(dataset->class_names[0])));
    return code;
}

static enum nabla_code name_categories(const struct csv_column *column, char **names, struct nabla_error *err)
{
    for (size_t i = 0; i < column->category_count; i++)
        if (asprintf(&names[column->place + i], "%s=%s", column->name, column->categories[i]) < 0) {
            names[column->place + i] = NULL;
            return nabla_fail_memory(err, "the features' names");
        }
    return NABLA_OK;
}

// The targets' names in the order of their places, with commas between.
static enum nabla_code name_targets(struct reading *reading, struct nabla_error *err)
{
    struct buffer names = buffer_new(SIZE_MAX - 1);
    for (size_t i = 0; i < reading->columns.targets; i++)
        for (size_t j = 0; j < reading->width; j++) {
            const struct csv_column *column = &reading->columns.columns[j];
            if (column->role == CSV_TARGET && column->place == i)
                buffer_format(&names, "%s%s", i ? "," : "", column->name);
        }
    enum nabla_code code = buffer_status(&names, "the targets' names", err);
    if (!code)
        reading->dataset->label_name = buffer_steal(&names, &(size_t){0});
    buffer_free(&names);
    return code;
}

// The names move from the header into the data set.
static enum nabla_code hand_over_names(struct reading *reading, struct nabla_error *err)
{
    enum nabla_code code = reading->columns.targets > 0 ? name_targets(reading, err) : NABLA_OK;
    for (size_t j = 0; j < reading->width && !code; j++) {
        struct csv_column *column = &reading->columns.columns[j];
        if (column->role == CSV_CATEGORY)
            code = name_categories(column, reading->dataset->feature_names, err);
        if (column->role != CSV_LABEL && column->role != CSV_FEATURE)
            continue;
        if (column->role == CSV_LABEL)
            reading->dataset->label_name = column->name;
        else
            reading->dataset->feature_names[column->place] = column->name;
        column->name = NULL;
    }
    return code;
}

static enum nabla_code read_all(struct reading *reading, const struct dataset_limits *limits,
                                struct nabla_error *err)
{
    enum nabla_code code = measure(reading, limits, err);
    if (!code)
        code = csv_columns_read(&reading->cursor, reading->width, reading->roles, &reading->columns, err);
    if (!code)
        code = csv_columns_look(&reading->columns, reading->cursor, reading->rows, reading->roles,
                                limits->columns, err);
    if (!code)
        code = dataset_check_size(reading->rows, reading->columns.features, 0, limits, err);
    if (!code)
        code = read_rows(reading, err);
    if (!code && reading->columns.targets == 0)
        code = order_classes(reading, err);
    return code ? code : hand_over_names(reading, err);
}

enum nabla_code csv_read(const char *text, size_t size, const struct csv_roles *roles,
                         const struct dataset_limits *limits, struct dataset **ret, struct nabla_error *err)
{
    static const struct csv_roles all_absent = {0};
    struct reading reading = {.cursor = csv_cursor_open(text, size),
                              .roles = roles ? roles : &all_absent,
                              .classes = class_table_new(limits->classes)};
    enum nabla_code code = read_all(&reading, limits, err);
    if (!code) {
        *ret = reading.dataset;
        reading.dataset = NULL;
    }
    csv_columns_free(&reading.columns);
    class_table_free(&reading.classes);
    dataset_free(reading.dataset);
    return code;
}
