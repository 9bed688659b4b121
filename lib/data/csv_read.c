// Two passes over the text: the first counts rows and cells, so that the memory is known, and within its
// limits, before any of it is allocated; the second reads each number to its place. Labels become provisional
// class ids on the way and get their final order at the end.
#include "data/csv.h"

#include "base/number.h"
#include "base/size.h"
#include "base/utf8.h"
#include "data/class_table.h"
#include "data/csv_cursor.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct csv_cursor cursor;
    size_t rows, columns; // columns of the text, the label's among them
    size_t label;         // its column
    char **names;         // of the columns
    struct class_table classes;
    struct dataset *dataset;
};

static enum nabla_code measure(struct reading *reading, const struct dataset_limits *limits,
                               struct nabla_error *err)
{
    if (csv_cursor_at_end(&reading->cursor))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "the CSV text is empty");
    enum nabla_code code = csv_cursor_measure(reading->cursor, &reading->rows, &reading->columns, err);
    if (code)
        return code;
    if (reading->columns < 2)
        return nabla_fail(
            err, NABLA_INVALID, NULL,
            "the header has one column: a data set needs a feature and a label, separated by commas");
    if (reading->rows == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "there are no rows below the header");
    return dataset_check_size(reading->rows, reading->columns - 1, 0, limits, err);
}

static enum nabla_code read_header(struct reading *reading, struct nabla_error *err)
{
    reading->names = size_alloc(reading->columns, 1, sizeof *reading->names);
    if (!reading->names)
        return nabla_fail_memory(err, "the column names");
    for (size_t j = 0; j < reading->columns; j++) {
        struct csv_cell cell;
        const char *why;
        enum nabla_code code = csv_cursor_next(&reading->cursor, &cell, err);
        if (code)
            return code;
        if (!csv_cell_is_name(&cell, &why))
            return nabla_fail(err, NABLA_MALFORMED, NULL, "header, column %zu: %s", j + 1, why);
        reading->names[j] = csv_cell_copy(&cell);
        if (!reading->names[j])
            return nabla_fail_memory(err, "the column names");
    }
    return NABLA_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum nabla_code refuse_duplicate_names(const struct reading *reading, struct nabla_error *err)
{
    char **sorted = size_alloc(reading->columns, 1, sizeof *sorted);
    if (!sorted)
        return nabla_fail_memory(err, "the column names");
    memcpy(sorted, reading->names, reading->columns * sizeof *sorted);
    qsort(sorted, reading->columns, sizeof *sorted, compare_names);
    enum nabla_code code = NABLA_OK;
    for (size_t j = 1; j < reading->columns && !code; j++) {
        char shown[UTF8_EXCERPT_SIZE];
        if (strcmp(sorted[j - 1], sorted[j]) == 0)
            code = nabla_fail(err, NABLA_INVALID, NULL, "header: more than one column is named \"%s\"",
                              utf8_excerpt(shown, sorted[j], strlen(sorted[j])));
    }
    free(sorted);
    return code;
}

// The error lists the columns, as many as its text has room for.
static enum nabla_code no_such_label(const struct reading *reading, const char *label,
                                     struct nabla_error *err)
{
    struct buffer list = buffer_new(sizeof err->text);
    char shown[UTF8_EXCERPT_SIZE];
    for (size_t j = 0; j < reading->columns && !list.failed; j++) {
        utf8_excerpt(shown, reading->names[j], strlen(reading->names[j]));
        buffer_format(&list, "%s%s", j ? ", " : "", shown);
    }
    nabla_fail(err, NABLA_INVALID, NULL, "there is no column \"%s\" to be the label; the columns are %s%s",
               utf8_excerpt(shown, label, strlen(label)), list.data ? list.data : "",
               list.failed ? ", …" : "");
    buffer_free(&list);
    return NABLA_INVALID;
}

static enum nabla_code find_label(struct reading *reading, const char *label, struct nabla_error *err)
{
    reading->label = reading->columns - 1;
    if (!label)
        return NABLA_OK;
    for (size_t j = 0; j < reading->columns; j++)
        if (strcmp(reading->names[j], label) == 0) {
            reading->label = j;
            return NABLA_OK;
        }
    return no_such_label(reading, label, err);
}

// "row 17, column 3 (petal_width): <what>, found "abc"". Row and column from 0.
static enum nabla_code bad_cell(const struct reading *reading, size_t row, size_t column,
                                const struct csv_cell *cell, const char *what, struct nabla_error *err)
{
    char name[UTF8_EXCERPT_SIZE], shown[UTF8_EXCERPT_SIZE];
    utf8_excerpt(name, reading->names[column], strlen(reading->names[column]));
    if (cell->size == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "row %zu, column %zu (%s): %s, found an empty cell",
                          row + 1, column + 1, name, what);
    return nabla_fail(err, NABLA_INVALID, NULL, "row %zu, column %zu (%s): %s, found \"%s\"", row + 1,
                      column + 1, name, what, utf8_excerpt(shown, cell->text, cell->size));
}

static bool is_word(const struct csv_cell *cell)
{
    static const char *const words[] = {"nan", "inf", "infinity", "na", "n/a", "null", "none", "?"};
    size_t sign = cell->size > 0 && (cell->text[0] == '-' || cell->text[0] == '+');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == cell->size - sign &&
            strncasecmp(cell->text + sign, words[i], cell->size - sign) == 0)
            return true;
    return false;
}

static enum nabla_code read_feature(const struct reading *reading, size_t row, size_t column,
                                    const struct csv_cell *cell, float *ret, struct nabla_error *err)
{
    bool overflow;
    const char *end = cell->text + cell->size;
    if (number_read_float(cell->text, end, ret, &overflow) != end)
        return bad_cell(reading, row, column, cell,
                        is_word(cell) ? "expected a finite number" : "expected a number", err);
    if (overflow)
        return bad_cell(reading, row, column, cell, "expected a number in a float32's range", err);
    return NABLA_OK;
}

static enum nabla_code read_label(struct reading *reading, size_t row, const struct csv_cell *cell,
                                  struct nabla_error *err)
{
    const char *why;
    if (cell->size == 0)
        return bad_cell(reading, row, reading->label, cell, "expected a label", err);
    if (!csv_cell_is_name(cell, &why))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "row %zu, column %zu: %s", row + 1, reading->label + 1,
                          why);
    return class_table_add(&reading->classes, cell, row + 1, &reading->dataset->ids[row], err);
}

static enum nabla_code read_row(struct reading *reading, size_t row, struct nabla_error *err)
{
    float *to = reading->dataset->features + row * reading->dataset->columns;
    enum nabla_code code = NABLA_OK;
    for (size_t j = 0; j < reading->columns && !code; j++) {
        struct csv_cell cell;
        code = csv_cursor_next(&reading->cursor, &cell, err);
        if (!code && j == reading->label)
            code = read_label(reading, row, &cell, err);
        else if (!code)
            code = read_feature(reading, row, j, &cell, to++, err);
    }
    return code;
}

static enum nabla_code read_rows(struct reading *reading, struct nabla_error *err)
{
    enum nabla_code code = dataset_new(reading->rows, reading->columns - 1, 0, &reading->dataset, err);
    if (code)
        return code;
    reading->dataset->ids = size_alloc(reading->rows, 1, sizeof *reading->dataset->ids);
    if (!reading->dataset->ids)
        return nabla_fail_memory(err, "the labels");
    for (size_t i = 0; i < reading->rows && !code; i++)
        code = read_row(reading, i, err);
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

// The names move from the header into the data set.
static void hand_over_names(struct reading *reading)
{
    size_t feature = 0;
    for (size_t j = 0; j < reading->columns; j++) {
        if (j == reading->label)
            reading->dataset->label_name = reading->names[j];
        else
            reading->dataset->feature_names[feature++] = reading->names[j];
        reading->names[j] = NULL;
    }
}

static enum nabla_code read_all(struct reading *reading, const char *label,
                                const struct dataset_limits *limits, struct nabla_error *err)
{
    enum nabla_code code = measure(reading, limits, err);
    if (!code)
        code = read_header(reading, err);
    if (!code)
        code = refuse_duplicate_names(reading, err);
    if (!code)
        code = find_label(reading, label, err);
    if (!code)
        code = read_rows(reading, err);
    if (!code)
        code = order_classes(reading, err);
    return code;
}

enum nabla_code csv_read(const char *text, size_t size, const char *label,
                         const struct dataset_limits *limits, struct dataset **ret, struct nabla_error *err)
{
    struct reading reading = {.cursor = csv_cursor_open(text, size),
                              .classes = class_table_new(limits->classes)};
    enum nabla_code code = read_all(&reading, label, limits, err);
    if (!code) {
        hand_over_names(&reading);
        *ret = reading.dataset;
        reading.dataset = NULL;
    }
    for (size_t j = 0; reading.names && j < reading.columns; j++)
        free(reading.names[j]);
    free(reading.names);
    class_table_free(&reading.classes);
    dataset_free(reading.dataset);
    return code;
}
