#include "data/impute.h"

#include "base/size.h"
#include "base/utf8.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// What stands for a column's missing values, of its `count` others in ascending order, at least one.
typedef float learn_value(const float *sorted, size_t count);

static float learn_mean(const float *sorted, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)sorted[i];
    return (float)(sum / (double)count);
}

static float learn_median(const float *sorted, size_t count)
{
    return (float)(((double)sorted[(count - 1) / 2] + (double)sorted[count / 2]) / 2);
}

static float learn_most_frequent(const float *sorted, size_t count)
{
    size_t best = 0, begin = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        if (sorted[i] != sorted[begin])
            begin = i;
        if (i - begin + 1 > most) {
            most = i - begin + 1;
            best = begin;
        }
    }
    return sorted[best];
}

static const struct {
    const char *name;
    learn_value *learn;
} ways[MISSING_COUNT] = {[MISSING_REFUSE] = {"refuse", NULL},
                         [MISSING_MEAN] = {"mean", learn_mean},
                         [MISSING_MEDIAN] = {"median", learn_median},
                         [MISSING_MOST_FREQUENT] = {"most_frequent", learn_most_frequent},
                         [MISSING_CONSTANT] = {"constant", NULL}};

const char *missing_name(enum missing missing)
{
    return ways[missing].name;
}

int missing_find(const char *name)
{
    for (int i = 0; i < MISSING_COUNT; i++)
        if (strcmp(ways[i].name, name) == 0)
            return i;
    return -1;
}

// Along the rows, as they lie in memory: most data sets miss nothing.
static bool any_missing(const struct dataset *dataset)
{
    const size_t columns = dataset->columns;
    for (size_t i = 0; i < dataset->rows; dataset_passed(dataset, ++i))
        for (size_t j = 0; j < columns; j++)
            if (isnan(dataset->features[i * columns + j]))
                return true;
    return false;
}

// Where each column begins to miss values: 1 for the first row, 0 for nowhere.
static void find_missing(const struct dataset *dataset, size_t *ret)
{
    const size_t columns = dataset->columns;
    for (size_t i = 0; i < dataset->rows; dataset_passed(dataset, ++i))
        for (size_t j = 0; j < columns; j++)
            if (ret[j] == 0 && isnan(dataset->features[i * columns + j]))
                ret[j] = i + 1;
}

static void list_missing(const struct dataset *dataset, const size_t *first, struct buffer *list)
{
    char shown[UTF8_EXCERPT_SIZE];
    for (size_t j = 0; j < dataset->columns && !list->failed; j++) {
        const char *name = dataset->feature_names[j] ? dataset->feature_names[j] : "";
        if (first[j] > 0)
            buffer_format(list, "%scolumn %zu (%s) from row %zu on", list->size ? ", " : "", j + 1,
                          utf8_excerpt(shown, name, strlen(name)), first[j]);
    }
}

enum nabla_code dataset_refuse_missing(const struct dataset *dataset, struct nabla_error *err)
{
    struct buffer list = buffer_new(sizeof err->text / 2);
    if (!any_missing(dataset))
        return NABLA_OK;
    size_t *first = size_alloc(dataset->columns, 1, sizeof *first);
    if (!first)
        return nabla_fail_memory(err, "what is missing");
    find_missing(dataset, first);
    list_missing(dataset, first, &list);
    nabla_fail(err, NABLA_INVALID, NULL, "values are missing: %s%s", list.data ? list.data : "",
               list.failed ? ", …" : "");
    buffer_free(&list);
    free(first);
    return NABLA_INVALID;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Some columns of some rows, each by itself without what is missing.
struct taken {
    size_t first, count; // of the columns
    float *values;       // count × row_count
    size_t *present;     // of each column
};

// In one pass along the rows, as they lie in memory or in a file.
static void take(const struct dataset *dataset, const size_t *rows, size_t row_count, struct taken *taken)
{
    memset(taken->present, 0, taken->count * sizeof *taken->present);
    for (size_t i = 0; i < row_count; dataset_passed(dataset, ++i)) {
        const float *row = dataset->features + rows[i] * dataset->columns + taken->first;
        for (size_t j = 0; j < taken->count; j++)
            if (!isnan(row[j]))
                taken->values[j * row_count + taken->present[j]++] = row[j];
    }
}

static enum nabla_code refuse_empty(const struct dataset *dataset, size_t column, struct nabla_error *err)
{
    const char *name = dataset->feature_names[column] ? dataset->feature_names[column] : "";
    char shown[UTF8_EXCERPT_SIZE];
    return nabla_fail(err, NABLA_INVALID, NULL,
                      "column %zu (%s) has no value in the training rows: nothing tells what is missing",
                      column + 1, utf8_excerpt(shown, name, strlen(name)));
}

static enum nabla_code learn_all(enum missing missing, const struct dataset *dataset, const size_t *rows,
                                 size_t row_count, struct taken *taken, float *values,
                                 struct nabla_error *err)
{
    const size_t at_once = taken->count;
    for (taken->first = 0; taken->first < dataset->columns; taken->first += at_once) {
        const size_t left = dataset->columns - taken->first;
        taken->count = at_once < left ? at_once : left;
        take(dataset, rows, row_count, taken);
        for (size_t j = 0; j < taken->count; j++) {
            float *column = taken->values + j * row_count;
            if (taken->present[j] == 0)
                return refuse_empty(dataset, taken->first + j, err);
            qsort(column, taken->present[j], sizeof *column, compare_floats);
            values[taken->first + j] = ways[missing].learn(column, taken->present[j]);
        }
    }
    return NABLA_OK;
}

// As many columns at once as go into some megabytes, at least one.
static enum nabla_code learn(enum missing missing, const struct dataset *dataset, const size_t *rows,
                             size_t row_count, float *values, struct nabla_error *err)
{
    enum { ROOM = 16 << 20 };
    const size_t fit = ROOM / sizeof(float) / (row_count + 1) + 1;
    struct taken taken = {.count = fit < dataset->columns ? fit : dataset->columns};
    taken.values = size_alloc(row_count + 1, taken.count, sizeof *taken.values);
    taken.present = size_alloc(taken.count, 1, sizeof *taken.present);
    enum nabla_code code = taken.values && taken.present
                               ? learn_all(missing, dataset, rows, row_count, &taken, values, err)
                               : nabla_fail_memory(err, "what is missing");
    free(taken.values);
    free(taken.present);
    return code;
}

enum nabla_code impute_fit(enum missing missing, double constant, const struct dataset *dataset,
                           const size_t *rows, size_t row_count, float **ret, struct nabla_error *err)
{
    float *values = size_alloc(dataset->columns, 1, sizeof *values);
    if (!values)
        return nabla_fail_memory(err, "what is missing");
    enum nabla_code code = NABLA_OK;
    for (size_t j = 0; j < dataset->columns && missing == MISSING_CONSTANT; j++)
        values[j] = (float)constant;
    if (missing != MISSING_CONSTANT)
        code = learn(missing, dataset, rows, row_count, values, err);
    if (code)
        free(values);
    else
        *ret = values;
    return code;
}

void impute_apply(const float *values, size_t columns, float *features, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            if (isnan(features[i * columns + j]))
                features[i * columns + j] = values[j];
}
