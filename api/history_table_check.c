// What a table has to be once all of it has come: from text, from tensors, or from both.
#include "api/history_table.h"

#include "store/history.h"

#include <math.h>
#include <stdint.h>
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

// What is behind a mean, row by row: the first that cannot be is told.
static void fold_check(struct table_reader *reader, const struct table *table, const char *column,
                       size_t stat)
{
    const struct series *parts[] = {&table->counts, &table->columns[stat], &table->minima[stat],
                                    &table->maxima[stat], &table->nonfinite[stat]};
    char place[160];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i]->absent.size != table_rows(table))
            return; // told already
    for (size_t row = 0; row < table_rows(table); row++) {
        if (table->columns[stat].absent.data[row])
            continue; // not recorded
        double count = series_value(&table->nonfinite[stat], row);
        bool is_count = count >= 0 && count <= series_value(&table->counts, row) && count == floor(count);
        bool is_range = !(series_value(&table->minima[stat], row) > series_value(&table->maxima[stat], row));
        if (is_count && is_range)
            continue;
        snprintf(place, sizeof place, "/%.110s/%s/%zu", column, is_count ? "min" : "nonfinite", row);
        table_problem(reader, table, place,
                      is_count ? "is above the maximum" : "must be a whole number from 0 to the row's count");
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
    fold_check(reader, table, column, stat);
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
        if (table->given & (1U << i))
            column_check(reader, table, i);
    for (size_t i = 0; i < table->named_count; i++) {
        snprintf(column, sizeof column, "columns/%s", table->named[i].name);
        length_check(reader, table, &table->named[i].values, column, "");
    }
}
