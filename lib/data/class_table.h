// The distinct labels of a text and the ids of the classes that they become. Internal to the CSV reader.
//
// Labels get provisional ids in the order in which they come; once all are known, the classes are put in
// order: by value when all labels are integers, else by their bytes. A search in a sorted table rather than a
// hash table: no foreign text can make it slow. Thread safety: one table, one thread.
#ifndef NABLA_DATA_CLASS_TABLE_H
#define NABLA_DATA_CLASS_TABLE_H

#include "data/csv_cursor.h"

#include <stdint.h>

struct class_entry {
    struct csv_cell cell; // points into the text
    size_t row;           // where it came first
    int32_t provisional;
    int64_t value; // where all are integers
    char *name;
};

struct class_table {
    struct class_entry *entries; // by the bytes of their cells
    size_t count, capacity;
    size_t limit; // of classes
};

struct class_table class_table_new(size_t limit);
void class_table_free(struct class_table *table);

// The provisional id of a label, which is not empty.
enum nabla_code class_table_add(struct class_table *table, const struct csv_cell *cell, size_t row,
                                int32_t *ret, struct nabla_error *err);

// The classes in order: *ret_names (free each and the array) and their count; map[provisional] is the final
// id. `map` has room for table->count. Nothing may be added afterwards.
enum nabla_code class_table_finish(struct class_table *table, int32_t *map, char ***ret_names,
                                   size_t *ret_count, struct nabla_error *err);

#endif
