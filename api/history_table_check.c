// Whether a table that has come makes sense as a whole.
#include "api/history_table.h"
#include "store/history.h"

#include <math.h>
#include <stdio.h>

static const double STEP_MAX = 9007199254740991; // 2^53 − 1

static void steps_check(struct table_reader *reader, const struct table *table)
{
    const double *steps = (const double *)(const void *)table->steps.values.data;
    char place[40];
    for (size_t i = 0; i < table_rows(table); i++) {
        if (steps[i] >= 0 && steps[i] <= STEP_MAX && steps[i] == floor(steps[i]))
            continue;
        snprintf(place, sizeof place, "/steps/%zu", i);
        table_problem(reader, table, place, "must be a whole number from 0 to 2^53 - 1");
        return;
    }
}

static void counts_check(struct table_reader *reader, const struct table *table)
{
    char place[40];
    for (size_t i = 0; i < table_rows(table) && table->counts.absent.size == table_rows(table); i++) {
        double count = series_value(&table->counts, i);
        if (count >= 1 && count <= UINT32_MAX && count == floor(count))
            continue;
        snprintf(place, sizeof place, "/counts/%zu", i);
        table_problem(reader, table, place, "must be a whole number from 1 to 2^32 - 1");
        return;
    }
}

static void length_check(struct table_reader *reader, const struct table *table, const struct series *series,
                         const char *column, const char *part)
{
    char place[160];
    if (series->absent.size == table_rows(table))
        return;
    snprintf(place, sizeof place, "/%.110s%s", column, part);
    table_problem(reader, table, place, "must be as long as steps");
}

// Whether what is behind the means can be: no more non-finite values than steps, no minimum above the
// maximum.
static void folds_check(struct table_reader *reader, const struct table *table, size_t stat)
{
    char place[120];
    const size_t rows = table_rows(table);
    const struct series *nonfinite = &table->nonfinite[stat], *min = &table->minima[stat],
                        *max = &table->maxima[stat];
    if (table->counts.absent.size != rows || nonfinite->absent.size != rows || min->absent.size != rows ||
        max->absent.size != rows || table->columns[stat].absent.size != rows)
        return; // told already
    for (size_t i = 0; i < rows; i++) {
        const double count = series_value(nonfinite, i);
        if (table->columns[stat].absent.data[i])
            continue;
        const bool counted = count >= 0 && count <= series_value(&table->counts, i) && count == floor(count);
        if (counted && (series_value(min, i) <= series_value(max, i) ||
                        !isfinite(series_value(&table->columns[stat], i))))
            continue;
        snprintf(place, sizeof place, "/columns/%s/%s/%zu", table->stats[stat].name,
                 counted ? "min" : "nonfinite", i);
        table_problem(reader, table, place,
                      counted ? "must be a number up to max"
                              : "must be a whole number from 0 to the row's count");
        return;
    }
}

static void column_check(struct table_reader *reader, const struct table *table, size_t stat)
{
    char column[80];
    snprintf(column, sizeof column, "columns/%s", table->stats[stat].name);
    length_check(reader, table, &table->columns[stat], column, "");
    if (!table->has_counts) {
        if (table->folded & (1U << stat))
            table_problem(reader, table, "/counts", "is missing: how many steps each mean is of");
        return;
    }
    if (!(table->folded & (1U << stat)))
        return; // one value each, of the last of the steps
    length_check(reader, table, &table->minima[stat], column, "/min");
    length_check(reader, table, &table->maxima[stat], column, "/max");
    length_check(reader, table, &table->nonfinite[stat], column, "/nonfinite");
    folds_check(reader, table, stat);
}

void table_check(struct table_reader *reader, const struct table *table)
{
    char column[HISTORY_NAME_MAX + 20];
    if (!table->has_steps)
        table_problem(reader, table, "/steps", "is missing");
    if (table->is_layer && !table->has_index)
        table_problem(reader, table, "/index", "is missing");
    if (table->is_layer && !table->name)
        table_problem(reader, table, "/name", "is missing");
    steps_check(reader, table);
    if (table->has_counts) {
        length_check(reader, table, &table->counts, "counts", "");
        counts_check(reader, table);
    }
    for (size_t i = 0; i < table->stat_count; i++)
        if ((table->given | table->folded) & (1U << i))
            column_check(reader, table, i);
    for (size_t i = 0; i < table->named_count; i++) {
        snprintf(column, sizeof column, "columns/%s", table->named[i].name);
        length_check(reader, table, &table->named[i].values, column, "");
    }
}
