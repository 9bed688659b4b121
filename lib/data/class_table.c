#include "data/class_table.h"

#include "base/number.h"
#include "base/size.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct class_table class_table_new(size_t limit)
{
    return (struct class_table){.limit = limit < INT32_MAX ? limit : INT32_MAX};
}

void class_table_free(struct class_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++)
        free(table->entries[i].name);
    free(table->entries);
    *table = class_table_new(table->limit);
}

static int compare_cells(const struct csv_cell *a, const struct csv_cell *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->text, b->text, common);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

// Where the label stands, or would have to stand.
static size_t find(const struct class_table *table, const struct csv_cell *cell, bool *ret_found)
{
    size_t low = 0, high = table->count;
    *ret_found = false;
    while (low < high && !*ret_found) {
        size_t middle = low + (high - low) / 2;
        int order = compare_cells(&table->entries[middle].cell, cell);
        *ret_found = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

static bool grow(struct class_table *table)
{
    size_t capacity = table->capacity ? table->capacity * 2 : 16;
    struct class_entry *grown = reallocarray(table->entries, capacity, sizeof *grown);
    if (!grown)
        return false;
    table->entries = grown;
    table->capacity = capacity;
    return true;
}

enum nabla_code class_table_add(struct class_table *table, const struct csv_cell *cell, size_t row,
                                int32_t *ret, struct nabla_error *err)
{
    bool found;
    size_t place = find(table, cell, &found);
    if (found) {
        *ret = table->entries[place].provisional;
        return NABLA_OK;
    }
    if (table->count == table->limit)
        return nabla_fail(err, NABLA_LIMIT, NULL,
                          "row %zu: the labels have more than %zu classes, the limit max_dataset_classes",
                          row, table->limit);
    if (table->count == table->capacity && !grow(table))
        return nabla_fail_memory(err, "the classes");
    struct class_entry *entry = table->entries + place;
    memmove(entry + 1, entry, (table->count - place) * sizeof *entry);
    *entry = (struct class_entry){.cell = *cell, .row = row, .provisional = (int32_t)table->count++};
    *ret = entry->provisional;
    return NABLA_OK;
}

static bool is_integer(const struct csv_cell *cell)
{
    size_t sign = cell->text[0] == '-';
    for (size_t i = sign; i < cell->size; i++)
        if (cell->text[i] < '0' || cell->text[i] > '9')
            return false;
    return cell->size > sign;
}

static bool all_integers(const struct class_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (!is_integer(&table->entries[i].cell))
            return false;
    return true;
}

// "7" and "007" are one class.
static enum nabla_code name_integers(struct class_table *table, struct nabla_error *err)
{
    for (size_t i = 0; i < table->count; i++) {
        struct class_entry *entry = &table->entries[i];
        const char *text = entry->cell.text;
        char shown[UTF8_EXCERPT_SIZE];
        if (!number_read_int(text, text + entry->cell.size, &entry->value))
            return nabla_fail(err, NABLA_INVALID, NULL, "row %zu: the label %s does not fit into 64 bits",
                              entry->row, utf8_excerpt(shown, text, entry->cell.size));
        if (asprintf(&entry->name, "%" PRId64, entry->value) < 0) {
            entry->name = NULL;
            return nabla_fail_memory(err, "the classes");
        }
    }
    return NABLA_OK;
}

static enum nabla_code name_texts(struct class_table *table, struct nabla_error *err)
{
    for (size_t i = 0; i < table->count; i++) {
        table->entries[i].name = csv_cell_copy(&table->entries[i].cell);
        if (!table->entries[i].name)
            return nabla_fail_memory(err, "the classes");
    }
    return NABLA_OK;
}

static int compare_values(const void *a, const void *b)
{
    const struct class_entry *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static int compare_names(const void *a, const void *b)
{
    const struct class_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

// Hands the names out along the sorted entries; equal names are one class.
static size_t number_classes(struct class_table *table, int32_t *map, char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct class_entry *entry = &table->entries[i];
        if (count == 0 || strcmp(names[count - 1], entry->name) != 0) {
            names[count++] = entry->name;
            entry->name = NULL;
        }
        map[entry->provisional] = (int32_t)(count - 1);
    }
    return count;
}

enum nabla_code class_table_finish(struct class_table *table, int32_t *map, char ***ret_names,
                                   size_t *ret_count, struct nabla_error *err)
{
    bool integers = all_integers(table);
    enum nabla_code code = integers ? name_integers(table, err) : name_texts(table, err);
    if (code)
        return code;
    char **names = size_alloc(table->count, 1, sizeof *names);
    if (!names)
        return nabla_fail_memory(err, "the classes");
    if (table->count > 0)
        qsort(table->entries, table->count, sizeof *table->entries,
              integers ? compare_values : compare_names);
    *ret_count = number_classes(table, map, names);
    *ret_names = names;
    return NABLA_OK;
}
