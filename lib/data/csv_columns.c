#include "data/csv_columns.h"

#include "base/number.h"
#include "base/size.h"
#include "base/utf8.h"
#include "data/class_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const tasks[CSV_TASK_COUNT] = {[CSV_AUTOMATIC] = "automatic",
                                                  [CSV_CLASSIFICATION] = "classification",
                                                  [CSV_MULTI_LABEL] = "multi_label",
                                                  [CSV_REGRESSION] = "regression"};

const char *csv_task_name(enum csv_task task)
{
    return tasks[task];
}

int csv_task_find(const char *name)
{
    for (int i = 0; i < CSV_TASK_COUNT; i++)
        if (strcmp(tasks[i], name) == 0)
            return i;
    return -1;
}

// ---- cells ----

enum nabla_code csv_bad_cell(const struct csv_columns *columns, size_t row, size_t column,
                             const struct csv_cell *cell, const char *what, struct nabla_error *err)
{
    char name[UTF8_EXCERPT_SIZE], shown[UTF8_EXCERPT_SIZE];
    utf8_excerpt(name, columns->columns[column].name, strlen(columns->columns[column].name));
    if (cell->size == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "row %zu, column %zu (%s): %s, found an empty cell",
                          row + 1, column + 1, name, what);
    return nabla_fail(err, NABLA_INVALID, NULL, "row %zu, column %zu (%s): %s, found \"%s\"", row + 1,
                      column + 1, name, what, utf8_excerpt(shown, cell->text, cell->size));
}

bool csv_is_missing(const struct csv_cell *cell)
{
    static const char *const words[] = {"nan", "na", "n/a", "null", "none", "?"};
    bool found = cell->size == 0;
    for (size_t i = 0; i < sizeof words / sizeof *words && !found; i++)
        found = strlen(words[i]) == cell->size && strncasecmp(cell->text, words[i], cell->size) == 0;
    return found;
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

enum nabla_code csv_read_number(const struct csv_columns *columns, size_t row, size_t column,
                                const struct csv_cell *cell, float *ret, struct nabla_error *err)
{
    bool overflow;
    const char *end = cell->text + cell->size;
    if (number_read_float(cell->text, end, ret, &overflow) != end)
        return csv_bad_cell(columns, row, column, cell,
                            is_word(cell) ? "expected a finite number" : "expected a number", err);
    if (overflow)
        return csv_bad_cell(columns, row, column, cell, "expected a number in a float32's range", err);
    return NABLA_OK;
}

// ---- the header ----

static enum nabla_code read_names(struct csv_columns *table, struct csv_cursor *cursor,
                                  struct nabla_error *err)
{
    for (size_t j = 0; j < table->count; j++) {
        struct csv_cell cell;
        const char *why;
        enum nabla_code code = csv_cursor_next(cursor, &cell, err);
        if (code)
            return code;
        if (!csv_cell_is_name(&cell, &why))
            return nabla_fail(err, NABLA_MALFORMED, NULL, "header, column %zu: %s", j + 1, why);
        table->columns[j].name = csv_cell_copy(&cell);
        if (!table->columns[j].name)
            return nabla_fail_memory(err, "the column names");
    }
    return NABLA_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum nabla_code refuse_duplicate_names(const struct csv_columns *table, struct nabla_error *err)
{
    char **sorted = size_alloc(table->count, 1, sizeof *sorted);
    if (!sorted)
        return nabla_fail_memory(err, "the column names");
    for (size_t j = 0; j < table->count; j++)
        sorted[j] = table->columns[j].name;
    qsort(sorted, table->count, sizeof *sorted, compare_names);
    enum nabla_code code = NABLA_OK;
    for (size_t j = 1; j < table->count && !code; j++) {
        char shown[UTF8_EXCERPT_SIZE];
        if (strcmp(sorted[j - 1], sorted[j]) == 0)
            code = nabla_fail(err, NABLA_INVALID, NULL, "header: more than one column is named \"%s\"",
                              utf8_excerpt(shown, sorted[j], strlen(sorted[j])));
    }
    free(sorted);
    return code;
}

// The error lists the columns, as many as its text has room for.
static enum nabla_code no_such_column(const struct csv_columns *table, const char *name, const char *purpose,
                                      struct nabla_error *err)
{
    struct buffer list = buffer_new(sizeof err->text);
    char shown[UTF8_EXCERPT_SIZE];
    for (size_t j = 0; j < table->count && !list.failed; j++) {
        utf8_excerpt(shown, table->columns[j].name, strlen(table->columns[j].name));
        buffer_format(&list, "%s%s", j ? ", " : "", shown);
    }
    nabla_fail(err, NABLA_INVALID, NULL, "there is no column \"%s\" to be the %s; the columns are %s%s",
               utf8_excerpt(shown, name, strlen(name)), purpose, list.data ? list.data : "",
               list.failed ? ", …" : "");
    buffer_free(&list);
    return NABLA_INVALID;
}

static enum nabla_code give_role(struct csv_columns *table, const char *name, size_t size, enum csv_role role,
                                 struct nabla_error *err)
{
    const char *purpose = role == CSV_WEIGHT ? "weight" : "label";
    char *copy = strndup(name, size), shown[UTF8_EXCERPT_SIZE];
    struct csv_column *found = NULL;
    enum nabla_code code = NABLA_OK;
    if (!copy)
        return nabla_fail_memory(err, "the column names");
    for (size_t j = 0; j < table->count && !found; j++)
        found = strcmp(table->columns[j].name, copy) == 0 ? &table->columns[j] : NULL;
    if (!found)
        code = no_such_column(table, copy, purpose, err);
    else if (found->role != CSV_FEATURE)
        code = nabla_fail(err, NABLA_INVALID, NULL, "the column \"%s\" cannot be two things at once",
                          utf8_excerpt(shown, copy, size));
    else
        found->role = role;
    if (found && role == CSV_TARGET)
        found->place = table->targets++;
    free(copy);
    return code;
}

// Several columns are targets; whether a single one is stays open: it is a label until the rows are looked
// at.
static enum nabla_code give_labels(struct csv_columns *table, const struct csv_roles *roles,
                                   struct nabla_error *err)
{
    const char *at = roles->labels ? roles->labels : roles->label ? roles->label : NULL;
    const bool several = roles->labels && strchr(roles->labels, ',');
    const bool targets = several || roles->task == CSV_MULTI_LABEL || roles->task == CSV_REGRESSION;
    const enum csv_role role = targets ? CSV_TARGET : CSV_LABEL;
    if (several && roles->task == CSV_CLASSIFICATION)
        return nabla_fail(err, NABLA_INVALID, NULL, "classification has one label column, not several");
    if (!at) {
        size_t last = table->count - 1;
        if (table->columns[last].role != CSV_FEATURE && last > 0)
            last--;
        at = table->columns[last].name;
        return give_role(table, at, strlen(at), role, err);
    }
    for (;;) {
        const size_t size = several ? strcspn(at, ",") : strlen(at);
        enum nabla_code code = give_role(table, at, size, role, err);
        if (code || !at[size])
            return code;
        at += size + 1;
    }
}

enum nabla_code csv_columns_read(struct csv_cursor *cursor, size_t count, const struct csv_roles *roles,
                                 struct csv_columns *ret, struct nabla_error *err)
{
    struct csv_columns table = {.columns = size_alloc(count, 1, sizeof *table.columns), .count = count};
    if (!table.columns)
        return nabla_fail_memory(err, "the columns");
    enum nabla_code code = read_names(&table, cursor, err);
    if (!code)
        code = refuse_duplicate_names(&table, err);
    if (!code && roles->weight)
        code = give_role(&table, roles->weight, strlen(roles->weight), CSV_WEIGHT, err);
    if (!code)
        code = give_labels(&table, roles, err);
    if (code)
        csv_columns_free(&table);
    else
        *ret = table;
    return code;
}

void csv_columns_free(struct csv_columns *columns)
{
    if (!columns)
        return;
    for (size_t j = 0; columns->columns && j < columns->count; j++) {
        struct csv_column *column = &columns->columns[j];
        for (size_t i = 0; i < column->category_count; i++)
            free(column->categories[i]);
        free(column->categories);
        free(column->name);
    }
    free(columns->columns);
    *columns = (struct csv_columns){0};
}

// ---- what only the rows tell ----

// Of a column of labels.
struct label_look {
    bool all_numbers, any_fraction;
};

static void look_at_label(const struct csv_cell *cell, struct label_look *look)
{
    float number;
    bool overflow;
    const char *end = cell->text + cell->size;
    const bool is_number = number_read_float(cell->text, end, &number, &overflow) == end && cell->size > 0;
    look->all_numbers = look->all_numbers && is_number && !overflow;
    look->any_fraction = look->any_fraction || (is_number && number != floorf(number));
}

static bool is_number(const struct csv_cell *cell)
{
    float number;
    bool overflow;
    const char *end = cell->text + cell->size;
    return number_read_float(cell->text, end, &number, &overflow) == end;
}

static enum nabla_code look_at_cells(struct csv_columns *columns, struct csv_cursor cursor, size_t rows,
                                     bool one_hot, struct label_look *look, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < rows * columns->count && !code; i++) {
        struct csv_column *column = &columns->columns[i % columns->count];
        struct csv_cell cell;
        code = csv_cursor_next(&cursor, &cell, err);
        if (code)
            continue;
        if (column->role == CSV_LABEL)
            look_at_label(&cell, look);
        else if (one_hot && column->role == CSV_FEATURE && cell.size > 0 && !is_number(&cell) &&
                 !is_word(&cell))
            column->role = CSV_CATEGORY; // an empty cell, or one that says so, is missing
    }
    return code;
}

static enum nabla_code add_category(struct csv_columns *columns, struct class_table *table, size_t row,
                                    size_t column, const struct csv_cell *cell, struct nabla_error *err)
{
    const char *why;
    int32_t id;
    if (cell->size == 0)
        return csv_bad_cell(columns, row, column, cell, "expected a text", err);
    if (!csv_cell_is_name(cell, &why))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "row %zu, column %zu: %s", row + 1, column + 1, why);
    enum nabla_code code = class_table_add(table, cell, row + 1, &id, err);
    return code != NABLA_LIMIT
               ? code
               : csv_bad_cell(columns, row, column, cell,
                              "expected no more different texts than the limit max_dataset_columns", err);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The distinct texts in byte order: also where all are whole numbers.
static enum nabla_code take_categories(struct csv_column *column, const struct class_table *table,
                                       struct nabla_error *err)
{
    column->categories = size_alloc(table->count, 1, sizeof *column->categories);
    if (!column->categories)
        return nabla_fail_memory(err, "the categories");
    for (size_t i = 0; i < table->count; i++) {
        column->categories[i] = csv_cell_copy(&table->entries[i].cell);
        if (!column->categories[i])
            return nabla_fail_memory(err, "the categories");
        column->category_count++;
    }
    qsort(column->categories, column->category_count, sizeof *column->categories, compare_texts);
    size_t kept = 0; // quoted or not, one text is one category
    for (size_t i = 0; i < column->category_count; i++) {
        if (kept > 0 && strcmp(column->categories[kept - 1], column->categories[i]) == 0)
            free(column->categories[i]);
        else
            column->categories[kept++] = column->categories[i];
    }
    column->category_count = kept;
    return NABLA_OK;
}

static enum nabla_code find_categories(struct csv_columns *columns, struct csv_cursor cursor, size_t rows,
                                       size_t most, struct nabla_error *err)
{
    struct class_table *tables = size_alloc(columns->count, 1, sizeof *tables);
    enum nabla_code code = tables ? NABLA_OK : nabla_fail_memory(err, "the categories");
    for (size_t j = 0; j < columns->count && !code; j++)
        tables[j] = class_table_new(most);
    for (size_t i = 0; i < rows * columns->count && !code; i++) {
        const size_t j = i % columns->count;
        struct csv_cell cell;
        code = csv_cursor_next(&cursor, &cell, err);
        if (!code && columns->columns[j].role == CSV_CATEGORY)
            code = add_category(columns, &tables[j], i / columns->count, j, &cell, err);
    }
    for (size_t j = 0; j < columns->count && !code; j++)
        if (columns->columns[j].role == CSV_CATEGORY)
            code = take_categories(&columns->columns[j], &tables[j], err);
    for (size_t j = 0; tables && j < columns->count; j++)
        class_table_free(&tables[j]);
    free(tables);
    return code;
}

static void place_features(struct csv_columns *columns)
{
    for (size_t j = 0; j < columns->count; j++) {
        struct csv_column *column = &columns->columns[j];
        if (column->role != CSV_FEATURE && column->role != CSV_CATEGORY)
            continue;
        column->place = columns->features;
        columns->features += column->role == CSV_CATEGORY ? column->category_count : 1;
    }
}

enum nabla_code csv_columns_look(struct csv_columns *columns, struct csv_cursor cursor, size_t rows,
                                 const struct csv_roles *roles, size_t most, struct nabla_error *err)
{
    struct label_look look = {.all_numbers = true};
    bool any_text = false;
    enum nabla_code code = NABLA_OK;
    if (roles->one_hot || (roles->task == CSV_AUTOMATIC && columns->targets == 0))
        code = look_at_cells(columns, cursor, rows, roles->one_hot, &look, err);
    for (size_t j = 0; j < columns->count && !code; j++) {
        struct csv_column *column = &columns->columns[j];
        const bool is_real = roles->task == CSV_AUTOMATIC && look.all_numbers && look.any_fraction;
        any_text = any_text || column->role == CSV_CATEGORY;
        if (column->role == CSV_LABEL && is_real) {
            column->role = CSV_TARGET;
            column->place = columns->targets++;
        }
    }
    if (!code && any_text)
        code = find_categories(columns, cursor, rows, most, err);
    if (!code)
        place_features(columns);
    if (!code && columns->features == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "no column is left to be a feature");
    return code;
}

size_t csv_category_find(const struct csv_column *column, const struct csv_cell *cell)
{
    size_t low = 0, high = column->category_count;
    char *copy = cell->doubled ? csv_cell_copy(cell) : NULL;
    const char *text = copy ? copy : cell->text;
    const size_t size = copy ? strlen(copy) : cell->size;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const char *name = column->categories[middle];
        const int order = strncmp(name, text, size);
        if (order == 0 && name[size] == '\0')
            high = low = middle;
        else if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    free(copy);
    return high;
}
