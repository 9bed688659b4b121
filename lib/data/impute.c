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

static size_t first_missing(const struct dataset *dataset, size_t column)
{
    size_t row = 0;
    while (row < dataset->rows && !isnan(dataset->features[row * dataset->columns + column]))
        row++;
    return row;
}

// Along the rows, as they lie in memory: most data sets miss nothing.
static bool any_missing(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->rows * dataset->columns; i++)
        if (isnan(dataset->features[i]))
            return true;
    return false;
}

enum nabla_code dataset_refuse_missing(const struct dataset *dataset, struct nabla_error *err)
{
    struct buffer list = buffer_new(sizeof err->text / 2);
    char shown[UTF8_EXCERPT_SIZE];
    if (!any_missing(dataset))
        return NABLA_OK;
    for (size_t j = 0; j < dataset->columns && !list.failed; j++) {
        const char *name = dataset->feature_names[j] ? dataset->feature_names[j] : "";
        const size_t row = first_missing(dataset, j);
        if (row < dataset->rows)
            buffer_format(&list, "%scolumn %zu (%s) from row %zu on", list.size ? ", " : "", j + 1,
                          utf8_excerpt(shown, name, strlen(name)), row + 1);
    }
    nabla_fail(err, NABLA_INVALID, NULL, "values are missing: %s%s", list.data ? list.data : "",
               list.failed ? ", …" : "");
    buffer_free(&list);
    return NABLA_INVALID;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static size_t take_sorted(const struct dataset *dataset, const size_t *rows, size_t row_count, size_t column,
                          float *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < row_count; i++) {
        const float x = dataset->features[rows[i] * dataset->columns + column];
        if (!isnan(x))
            ret[count++] = x;
    }
    qsort(ret, count, sizeof *ret, compare_floats);
    return count;
}

static enum nabla_code learn_all(enum missing missing, const struct dataset *dataset, const size_t *rows,
                                 size_t row_count, float *room, float *values, struct nabla_error *err)
{
    for (size_t j = 0; j < dataset->columns; j++) {
        const char *name = dataset->feature_names[j] ? dataset->feature_names[j] : "";
        char shown[UTF8_EXCERPT_SIZE];
        const size_t count = take_sorted(dataset, rows, row_count, j, room);
        if (count == 0)
            return nabla_fail(
                err, NABLA_INVALID, NULL,
                "column %zu (%s) has no value in the training rows: nothing tells what is missing", j + 1,
                utf8_excerpt(shown, name, strlen(name)));
        values[j] = ways[missing].learn(room, count);
    }
    return NABLA_OK;
}

enum nabla_code impute_fit(enum missing missing, double constant, const struct dataset *dataset,
                           const size_t *rows, size_t row_count, float **ret, struct nabla_error *err)
{
    float *values = size_alloc(dataset->columns, 1, sizeof *values);
    float *room = size_alloc(row_count + 1, 1, sizeof *room);
    enum nabla_code code = values && room ? NABLA_OK : nabla_fail_memory(err, "what is missing");
    for (size_t j = 0; j < dataset->columns && !code && missing == MISSING_CONSTANT; j++)
        values[j] = (float)constant;
    if (!code && missing != MISSING_CONSTANT)
        code = learn_all(missing, dataset, rows, row_count, room, values, err);
    free(room);
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
