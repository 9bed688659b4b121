#include "api/history_batch_tensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_SIZE = 160 };

// A tensor, and what its name says.
struct piece {
    const struct tensor *tensor;
    struct table *table;
    const char *column; // the name behind "layers.INDEX."
};

const char *batch_document(const struct safetensors *file)
{
    const char *text = safetensors_metadata(file, "request");
    return text ? text : "{}";
}

static void tensor_problem(struct table_reader *reader, const struct tensor *tensor, const char *text)
{
    char pointer[PLACE_SIZE];
    snprintf(pointer, sizeof pointer, "/%.150s", tensor->name);
    problems_add(reader->problems, pointer, "%s", text);
}

static void take_series(struct table_reader *reader, const struct tensor *tensor, struct series *ret)
{
    if (ret->absent.size > 0) {
        tensor_problem(reader, tensor, "comes twice: the document has it too");
        return;
    }
    double *values = (double *)(void *)buffer_reserve(&ret->values, tensor->elements * sizeof *values + 1);
    char *absent = buffer_reserve(&ret->absent, tensor->elements + 1);
    if (!values || !absent) {
        reader->code = nabla_fail_memory(reader->err, "a batch");
        return;
    }
    for (size_t i = 0; i < tensor->elements; i++)
        values[i] = tensor_number(tensor, i);
    memset(absent, 0, tensor->elements);
    ret->values.size = tensor->elements * sizeof *values;
    ret->absent.size = tensor->elements;
}

static void take_whole(struct table_reader *reader, const struct piece *piece, bool *has,
                       struct series *series)
{
    if (piece->tensor->dtype != TENSOR_I64 && piece->tensor->dtype != TENSOR_I32)
        tensor_problem(reader, piece->tensor, "must have the dtype I64 or I32");
    else if (*has)
        tensor_problem(reader, piece->tensor, "comes twice: the document has it too");
    else
        take_series(reader, piece->tensor, series);
    *has = true;
}

// "COLUMN.SUFFIX" of a statistic, by its number; −1 for anything else.
static int stat_of_part(const struct piece *piece, const char *suffix)
{
    char name[PLACE_SIZE];
    const size_t length = strlen(piece->column), tail = strlen(suffix);
    if (length <= tail || length >= sizeof name || strcmp(piece->column + length - tail, suffix) != 0)
        return -1;
    memcpy(name, piece->column, length - tail);
    name[length - tail] = '\0';
    return stat_find(piece->table->stats, piece->table->stat_count, name);
}

// What is behind a mean. False: the tensor is none of these.
static bool take_part(struct table_reader *reader, const struct piece *piece)
{
    struct table *table = piece->table;
    const struct {
        const char *suffix;
        struct series *series;
    } parts[] = {{".min", table->minima}, {".max", table->maxima}, {".nonfinite", table->nonfinite}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int stat = stat_of_part(piece, parts[i].suffix);
        if (stat < 0)
            continue;
        table->folded |= 1U << stat;
        take_series(reader, piece->tensor, &parts[i].series[stat]);
        return true;
    }
    return false;
}

static void take_column(struct table_reader *reader, const struct piece *piece)
{
    struct table *table = piece->table;
    int stat = stat_find(table->stats, table->stat_count, piece->column);
    struct series *series = NULL;
    bool is_known = stat >= 0 ? table->given >> stat & 1 : table_has_named(table, piece->column);
    if (is_known) {
        tensor_problem(reader, piece->tensor, "comes twice: the document has it too");
    } else if (stat >= 0) {
        table->given |= 1U << stat;
        series = &table->columns[stat];
    } else if (table_may_name(table, piece->column)) {
        series = table_add_named(reader, table, piece->column);
    } else {
        tensor_problem(reader, piece->tensor, table_refusal(table));
    }
    if (series)
        take_series(reader, piece->tensor, series);
}

static struct series *series_find(struct table *table, const char *name, size_t length)
{
    for (size_t i = 0; i < table->stat_count; i++)
        if (table->given >> i & 1 && strlen(table->stats[i].name) == length &&
            strncmp(table->stats[i].name, name, length) == 0)
            return &table->columns[i];
    for (size_t i = 0; i < table->named_count; i++)
        if (strlen(table->named[i].name) == length && strncmp(table->named[i].name, name, length) == 0)
            return &table->named[i].values;
    return NULL;
}

static const char recorded[] = ".recorded";

static bool is_mask(const struct piece *piece)
{
    const size_t length = strlen(piece->column), tail = sizeof recorded - 1;
    return length > tail && strcmp(piece->column + length - tail, recorded) == 0;
}

// Rows where the mask is 0 were not recorded.
static void take_mask(struct table_reader *reader, const struct piece *piece)
{
    const size_t length = strlen(piece->column) - (sizeof recorded - 1);
    struct series *series = series_find(piece->table, piece->column, length);
    if (!series || piece->tensor->dtype != TENSOR_U8 || piece->tensor->elements != series->absent.size) {
        tensor_problem(reader, piece->tensor, "must be of a column, U8, and as long as that");
        return;
    }
    for (size_t i = 0; i < piece->tensor->elements; i++)
        series->absent.data[i] = tensor_number(piece->tensor, i) == 0;
}

static void take(struct table_reader *reader, const struct piece *piece)
{
    if (strcmp(piece->column, "steps") == 0)
        take_whole(reader, piece, &piece->table->has_steps, &piece->table->steps);
    else if (strcmp(piece->column, "counts") == 0)
        take_whole(reader, piece, &piece->table->has_counts, &piece->table->counts);
    else if (!take_part(reader, piece))
        take_column(reader, piece);
}

// False: a problem was told.
static bool find_table(struct table_reader *reader, const struct tensor *tensor, struct table *network,
                       struct table *layers, size_t layer_count, struct piece *ret)
{
    static const char prefix[] = "layers.";
    char *end;
    *ret = (struct piece){.tensor = tensor, .table = network, .column = tensor->name};
    if (tensor->rank != 1) {
        tensor_problem(reader, tensor, "must have one dimension: a value a step");
        return false;
    }
    if (strncmp(tensor->name, prefix, sizeof prefix - 1) != 0)
        return true;
    const char *digits = tensor->name + sizeof prefix - 1;
    const unsigned long index = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, 10) : ULONG_MAX;
    for (size_t i = 0; index != ULONG_MAX && *end == '.' && i < layer_count; i++)
        if (layers[i].index == index) {
            ret->table = &layers[i];
            ret->column = end + 1;
            return true;
        }
    tensor_problem(reader, tensor,
                   "is of no layer that the request's layers have: {\"index\": …, \"name\": …}");
    return false;
}

void batch_take_tensors(struct table_reader *reader, const struct safetensors *file, struct table *network,
                        struct table *layers, size_t layer_count)
{
    struct piece piece;
    bool has_network = network->has_come;
    for (int masks = 0; masks < 2; masks++) // a mask needs its column
        for (size_t i = 0; i < file->tensor_count && !reader->code; i++) {
            if (masks == 1 && file->tensors[i].rank != 1)
                continue; // told already
            struct problems told = {.count = 0}, *problems = reader->problems;
            if (masks == 1)
                reader->problems = &told; // as is a layer that is not known
            const bool found = find_table(reader, &file->tensors[i], network, layers, layer_count, &piece);
            reader->problems = problems;
            if (!found || is_mask(&piece) != (masks == 1))
                continue;
            has_network |= piece.table == network;
            (masks ? take_mask : take)(reader, &piece);
        }
    for (size_t i = 0; i < layer_count && !reader->code; i++)
        table_check(reader, &layers[i]);
    if (has_network && !reader->code)
        table_check(reader, network);
}
