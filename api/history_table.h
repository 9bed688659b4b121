// One table of a batch as it comes in: {"steps": […], "columns": {"loss": […], …}}, and for a layer its
// "index" and "name" beside them. With "counts": […] a row stands for several steps, and each column is
// {"mean": […], "min": […], "max": […], "nonfinite": […]}. A null cell was not recorded at its step; "NaN"
// was.
#ifndef NABLA_API_HISTORY_TABLE_H
#define NABLA_API_HISTORY_TABLE_H

#include "api/handler.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/stats.h"

// What all readers of a batch share; the first error ends the reading.
struct table_reader {
    struct json_reader json;
    struct problems *problems;
    enum nabla_code code;
    struct nabla_error *err;
    bool has_tensors; // which follow the text
};
// The next token; false once there was an error. A text that holds a NUL is one: to who compares texts up to
// there, "loss\u0000" would be "loss".
bool reader_next(struct table_reader *reader, enum json_token *ret);
// The newest key or string.
const char *reader_text(const struct table_reader *reader);
// Reads over the rest of a value whose first token was taken.
void reader_skip_rest(struct table_reader *reader, enum json_token token);

struct series {
    struct buffer values; // doubles
    struct buffer absent; // a byte each: 1 for null
};

enum { TABLE_COLUMNS_MAX = 32 };

struct table {
    char pointer[64];
    const struct stat_info *stats;
    size_t stat_count;
    bool is_layer, has_index, has_steps, has_columns;
    unsigned index;
    char *name;
    uint32_t given;  // columns that came
    bool has_counts; // its rows stand for several steps each; then columns have what is behind means
    struct series steps, counts, columns[TABLE_COLUMNS_MAX];
    struct series minima[TABLE_COLUMNS_MAX], maxima[TABLE_COLUMNS_MAX], nonfinite[TABLE_COLUMNS_MAX];
    uint32_t folded;            // columns that came with them
    struct named_series *named; // of the network: columns that are no statistic, metrics of a client's own
    size_t named_count;
};

struct named_series {
    char *name;
    struct series values;
};
enum { TABLE_NAMED_MAX = 1000 };

void table_begin(struct table *table, const char *pointer, const struct stat_info *stats, size_t stat_count,
                 bool is_layer);
void table_free(struct table *table);

// Reads the table whose first token was taken; problems are collected. What is checked once all has come (by
// table_check): now, unless more of it comes in tensors.
void table_read(struct table_reader *reader, enum json_token token, struct table *table);

void table_check(struct table_reader *reader, const struct table *table);
// A problem at a place within the table: "/steps/3".
void table_problem(struct table_reader *reader, const struct table *table, const char *place,
                   const char *text);
double series_value(const struct series *series, size_t row);

// A column that is no statistic: a metric that the client names itself. Whether the job may have one, the
// store knows. table_add_named is NULL when there is no memory, which ends the reading.
bool table_may_name(const struct table *table, const char *name);
bool table_has_named(const struct table *table, const char *name);
struct series *table_add_named(struct table_reader *reader, struct table *table, const char *name);

size_t table_rows(const struct table *table);
uint64_t table_step(const struct table *table, size_t row);
// How many steps a row stands for; and what is behind the means of its columns.
uint32_t table_counts(const struct table *table, size_t row);
void table_folds(const struct table *table, size_t row, double *minima, double *maxima, uint32_t *nonfinite);
// Fills `values` (stat_count of them, NaN where absent) and returns the mask of those recorded.
uint32_t table_values(const struct table *table, size_t row, double *values);

#endif
