#include "api/history_table.h"

#include "base/number.h"
#include "store/history.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)NETWORK_STAT_COUNT <= (int)TABLE_COLUMNS_MAX &&
                   (int)LAYER_STAT_COUNT <= (int)TABLE_COLUMNS_MAX,
               "a table has room for every statistic");

bool reader_next(struct table_reader *reader, enum json_token *ret)
{
    const struct buffer *text = &reader->json.string;
    if (!reader->code)
        reader->code = json_next(&reader->json, ret, reader->err);
    if (!reader->code && (*ret == JSON_KEY || *ret == JSON_STRING) && text->size > 0 &&
        memchr(text->data, 0, text->size))
        reader->code = nabla_fail(reader->err, NABLA_MALFORMED, NULL, "a text or a key holds \\u0000");
    return !reader->code;
}

const char *reader_text(const struct table_reader *reader)
{
    return reader->json.string.data ? reader->json.string.data : ""; // "" may have no memory at all
}

void reader_skip_rest(struct table_reader *reader, enum json_token token)
{
    unsigned depth = 0;
    do {
        if (token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN)
            depth++;
        else if (token == JSON_OBJECT_END || token == JSON_ARRAY_END)
            depth--;
    } while (depth > 0 && reader_next(reader, &token));
}

static void series_begin(struct series *series)
{
    series->values = buffer_new(SIZE_MAX - 1); // the body's limit holds
    series->absent = buffer_new(SIZE_MAX - 1);
}

static void series_free(struct series *series)
{
    buffer_free(&series->values);
    buffer_free(&series->absent);
}

static void each_series(struct table *table, void (*act)(struct series *series))
{
    act(&table->steps);
    act(&table->counts);
    for (size_t i = 0; i < table->stat_count; i++) {
        act(&table->columns[i]);
        act(&table->minima[i]);
        act(&table->maxima[i]);
        act(&table->nonfinite[i]);
    }
}

void table_begin(struct table *table, const char *pointer, const struct stat_info *stats, size_t stat_count,
                 bool is_layer)
{
    *table = (struct table){.stats = stats, .stat_count = stat_count, .is_layer = is_layer};
    snprintf(table->pointer, sizeof table->pointer, "%s", pointer);
    each_series(table, series_begin);
}

void table_free(struct table *table)
{
    free(table->name);
    table->name = NULL;
    each_series(table, series_free);
    for (size_t i = 0; i < table->named_count; i++) {
        free(table->named[i].name);
        series_free(&table->named[i].values);
    }
    free(table->named);
    table->named = NULL;
    table->named_count = 0;
}

void table_problem(struct table_reader *reader, const struct table *table, const char *place,
                   const char *text)
{
    char pointer[160];
    snprintf(pointer, sizeof pointer, "%s%.90s", table->pointer, place);
    problems_add(reader->problems, pointer, "%s", text);
}

// One cell: a number, one of the three words, or null. False: anything else.
static bool cell_read(const struct table_reader *reader, enum json_token token, double *ret, char *ret_absent)
{
    const struct json_reader *json = &reader->json;
    bool overflow = false;
    *ret_absent = token == JSON_NULL;
    *ret = NAN;
    if (token == JSON_NUMBER)
        return number_read_double(json->token, json->at, ret, &overflow) && !overflow;
    if (token == JSON_STRING)
        return number_read_word(reader_text(reader), reader_text(reader) + json->string.size, ret);
    return token == JSON_NULL;
}

// A list whose first token was taken; `place` is the series' pointer within the table: "/columns/loss".
static void series_read_from(struct table_reader *reader, enum json_token token, const struct table *table,
                             const char *place, struct series *series)
{
    char at[160];
    if (token != JSON_ARRAY_BEGIN) {
        table_problem(reader, table, place, "must be a list of numbers");
        reader_skip_rest(reader, token);
        return;
    }
    for (size_t i = 0; reader_next(reader, &token) && token != JSON_ARRAY_END; i++) {
        double value;
        char absent;
        if (!cell_read(reader, token, &value, &absent)) {
            snprintf(at, sizeof at, "%.120s/%zu", place, i);
            table_problem(reader, table, at,
                          "must be a number, \"NaN\", \"Infinity\", \"-Infinity\" or null");
            reader_skip_rest(reader, token);
        }
        if (!buffer_append(&series->values, &value, sizeof value) ||
            !buffer_append(&series->absent, &absent, 1))
            reader->code = nabla_fail_memory(reader->err, "a batch");
    }
}

static void series_read(struct table_reader *reader, const struct table *table, const char *place,
                        struct series *series)
{
    enum json_token token;
    if (reader_next(reader, &token))
        series_read_from(reader, token, table, place, series);
}

// The parts of a folded column, by their names.
static struct series *part_find(struct table *table, int stat, const char *name)
{
    return strcmp(name, "mean") == 0        ? &table->columns[stat]
           : strcmp(name, "min") == 0       ? &table->minima[stat]
           : strcmp(name, "max") == 0       ? &table->maxima[stat]
           : strcmp(name, "nonfinite") == 0 ? &table->nonfinite[stat]
                                            : NULL;
}

static bool series_among(const struct series *series, struct series *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == series)
            return true;
    return false;
}

// {"mean": […], "min": […], "max": […], "nonfinite": […]}, whose first token was taken.
static void fold_read(struct table_reader *reader, struct table *table, const char *place, int stat)
{
    enum json_token token;
    char at[120];
    struct series *seen[4];
    size_t seen_count = 0;
    table->folded |= 1U << stat;
    while (reader_next(reader, &token) && token == JSON_KEY) {
        struct series *part = part_find(table, stat, reader_text(reader));
        snprintf(at, sizeof at, "%.60s/%.40s", place, reader_text(reader));
        if (part && !series_among(part, seen, seen_count)) {
            seen[seen_count++] = part;
            series_read(reader, table, at, part);
            continue;
        }
        table_problem(reader, table, at, part ? "comes twice" : "is not known: mean, min, max, nonfinite");
        if (reader_next(reader, &token))
            reader_skip_rest(reader, token);
    }
}

static void column_read(struct table_reader *reader, struct table *table, const char *place, int stat)
{
    enum json_token token;
    table->given |= 1U << stat;
    if (!reader_next(reader, &token))
        return;
    if (token == JSON_OBJECT_BEGIN)
        fold_read(reader, table, place, stat);
    else
        series_read_from(reader, token, table, place, &table->columns[stat]);
}

bool table_has_named(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->named_count; i++)
        if (strcmp(table->named[i].name, name) == 0)
            return true;
    return false;
}

bool table_may_name(const struct table *table, const char *name)
{
    return !table->is_layer && *name && strlen(name) <= HISTORY_NAME_MAX &&
           table->named_count < TABLE_NAMED_MAX &&
           stat_find(layer_stats, LAYER_STAT_COUNT, name) < 0; // which is in the wrong table
}

struct series *table_add_named(struct table_reader *reader, struct table *table, const char *name)
{
    struct named_series *grown = reallocarray(table->named, table->named_count + 1, sizeof *table->named);
    char *copy = grown ? strdup(name) : NULL;
    if (grown)
        table->named = grown;
    if (!copy) {
        reader->code = nabla_fail_memory(reader->err, "a batch");
        return NULL;
    }
    struct named_series *named = &table->named[table->named_count++];
    named->name = copy;
    series_begin(&named->values);
    return &named->values;
}

static void named_read(struct table_reader *reader, struct table *table, const char *place)
{
    struct series *values = table_add_named(reader, table, reader_text(reader));
    if (values)
        series_read(reader, table, place, values);
}

static void columns_read(struct table_reader *reader, struct table *table)
{
    enum json_token token;
    char place[160];
    if (!reader_next(reader, &token))
        return;
    if (token != JSON_OBJECT_BEGIN) {
        table_problem(reader, table, "/columns", "must be an object of lists");
        reader_skip_rest(reader, token);
        return;
    }
    while (reader_next(reader, &token) && token == JSON_KEY) {
        const char *name = reader_text(reader);
        snprintf(place, sizeof place, "/columns/%.110s", name);
        int stat = stat_find(table->stats, table->stat_count, name);
        bool is_named = stat < 0 && table_may_name(table, name);
        if (stat >= 0 && !(table->given & (1U << stat))) {
            column_read(reader, table, place, stat);
        } else if (is_named && !table_has_named(table, name)) {
            named_read(reader, table, place);
        } else {
            table_problem(reader, table, place,
                          stat < 0 && !is_named ? "there is no such statistic" : "comes twice");
            if (reader_next(reader, &token))
                reader_skip_rest(reader, token);
        }
    }
}

static void index_read(struct table_reader *reader, struct table *table)
{
    enum json_token token;
    int64_t index = -1;
    if (!reader_next(reader, &token))
        return;
    bool whole = token == JSON_NUMBER && number_read_int(reader->json.token, reader->json.at, &index);
    if (!whole || index < 0 || index > INT16_MAX)
        table_problem(reader, table, "/index", "must be a whole number from 0 to 32767");
    reader_skip_rest(reader, token);
    table->index = (unsigned)index;
    table->has_index = true;
}

static void name_read(struct table_reader *reader, struct table *table)
{
    enum json_token token;
    if (!reader_next(reader, &token))
        return;
    if (token != JSON_STRING || table->name || reader->json.string.size > 200)
        table_problem(reader, table, "/name", "must be a text of up to 200 bytes");
    else
        table->name = strdup(reader_text(reader));
    reader_skip_rest(reader, token);
}

static void member_read(struct table_reader *reader, struct table *table)
{
    char place[120];
    enum json_token token;
    const char *name = reader_text(reader);
    if (strcmp(name, "steps") == 0 && !table->has_steps) {
        table->has_steps = true;
        series_read(reader, table, "/steps", &table->steps);
    } else if (strcmp(name, "counts") == 0 && !table->has_counts) {
        table->has_counts = true;
        series_read(reader, table, "/counts", &table->counts);
    } else if (strcmp(name, "columns") == 0 && !table->has_columns) {
        table->has_columns = true;
        columns_read(reader, table);
    } else if (table->is_layer && strcmp(name, "index") == 0 && !table->has_index) {
        index_read(reader, table);
    } else if (table->is_layer && strcmp(name, "name") == 0) {
        name_read(reader, table);
    } else {
        snprintf(place, sizeof place, "/%.90s", name);
        table_problem(reader, table, place, "is not known, or comes twice");
        if (reader_next(reader, &token))
            reader_skip_rest(reader, token);
    }
}

double series_value(const struct series *series, size_t row)
{
    return ((const double *)(const void *)series->values.data)[row];
}

void table_read(struct table_reader *reader, enum json_token token, struct table *table)
{
    if (token != JSON_OBJECT_BEGIN) {
        table_problem(reader, table, "", "must be an object with steps and columns");
        reader_skip_rest(reader, token);
        return;
    }
    while (reader_next(reader, &token) && token == JSON_KEY)
        member_read(reader, table);
    if (!reader->code && !reader->has_tensors)
        table_check(reader, table);
}

size_t table_rows(const struct table *table)
{
    return table->steps.absent.size;
}

uint64_t table_step(const struct table *table, size_t row)
{
    return (uint64_t)series_value(&table->steps, row);
}

uint32_t table_values(const struct table *table, size_t row, double *values)
{
    uint32_t recorded = 0;
    for (size_t i = 0; i < table->stat_count; i++) {
        bool given = table->given & (1U << i) && !table->columns[i].absent.data[row];
        values[i] = given ? series_value(&table->columns[i], row) : NAN;
        recorded |= (uint32_t)given << i;
    }
    return recorded;
}

uint32_t table_counts(const struct table *table, size_t row)
{
    return table->has_counts ? (uint32_t)series_value(&table->counts, row) : 1;
}

void table_folds(const struct table *table, size_t row, double *minima, double *maxima, uint32_t *nonfinite)
{
    for (size_t i = 0; i < table->stat_count; i++) {
        bool given = table->given & (1U << i) && !table->columns[i].absent.data[row];
        double value = given ? series_value(&table->columns[i], row) : NAN;
        bool folded = given && table->folded & (1U << i);
        double count = folded ? series_value(&table->nonfinite[i], row) : !isfinite(value);
        minima[i] = folded ? series_value(&table->minima[i], row) : value;
        maxima[i] = folded ? series_value(&table->maxima[i], row) : value;
        nonfinite[i] = given ? (uint32_t)count : 0; // checked: within the row's count
    }
}
