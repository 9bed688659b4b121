// Histograms of a batch as they come in: a list of {"index", "name", "kind", "steps": […], "counts": [[64
// numbers], …], "nonfinite": […]}, one entry a layer and kind; "nonfinite" may be missing.
#ifndef NABLA_API_HISTOGRAM_DECODE_H
#define NABLA_API_HISTOGRAM_DECODE_H

#include "api/history_table.h"
#include "store/histograms.h"

struct histogram_input {
    struct buffer entries; // struct histogram_entry; their names are those below
    struct buffer names;   // char *
};
void histogram_input_begin(struct histogram_input *input);
void histogram_input_free(struct histogram_input *input);
const struct histogram_entry *histogram_input_entries(const struct histogram_input *input, size_t *ret_count);

// Reads the list that comes next; null is none. Problems are collected.
void histogram_input_read(struct table_reader *reader, struct histogram_input *ret);

#endif
