#include "data/standardize.h"

#include "base/size.h"
#include "base/utf8.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// What is learned of one feature.
struct moments {
    double mean, variance; // sums while they are taken
    double min, max;
    size_t count;
};

static double value(const float *row, const float *imputed, size_t j)
{
    return (double)(imputed && isnan(row[j]) ? imputed[j] : row[j]);
}

static void add_to_mean(struct moments *moments, const float *row, const float *imputed, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        const double x = value(row, imputed, j);
        if (isnan(x))
            continue;
        moments[j].count++;
        moments[j].mean += x;
        moments[j].min = fmin(moments[j].min, x);
        moments[j].max = fmax(moments[j].max, x);
    }
}

static void add_to_variance(struct moments *moments, const float *row, const float *imputed, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        const double deviation = value(row, imputed, j) - moments[j].mean;
        if (!isnan(deviation))
            moments[j].variance += deviation * deviation;
    }
}

// Two passes along the rows, in double: no sum of squares that cancels. A missing value counts nothing; a
// feature without any value, or with one value throughout, has nothing to scale.
static void take_moments(const struct dataset *dataset, const float *imputed, const size_t *rows,
                         size_t row_count, struct moments *moments)
{
    size_t columns = dataset->columns;
    for (size_t j = 0; j < columns; j++)
        moments[j] = (struct moments){.min = NAN, .max = NAN};
    for (size_t i = 0; i < row_count; dataset_passed(dataset, ++i))
        add_to_mean(moments, dataset->features + rows[i] * columns, imputed, columns);
    for (size_t j = 0; j < columns; j++)
        moments[j].mean = moments[j].count ? moments[j].mean / (double)moments[j].count : 0;
    for (size_t i = 0; i < row_count; dataset_passed(dataset, ++i))
        add_to_variance(moments, dataset->features + rows[i] * columns, imputed, columns);
    for (size_t j = 0; j < columns; j++)
        moments[j].variance = moments[j].count ? moments[j].variance / (double)moments[j].count : 0;
}

static enum nabla_code refuse_infinity(const struct dataset *dataset, const struct moments *moments,
                                       struct nabla_error *err)
{
    for (size_t j = 0; j < dataset->columns; j++) {
        char shown[UTF8_EXCERPT_SIZE];
        const char *name = dataset->feature_names[j] ? dataset->feature_names[j] : "";
        if (isinf(moments[j].min) || isinf(moments[j].max))
            return nabla_fail(err, NABLA_INVALID, NULL,
                              "column %zu (%s) holds an infinite value: it cannot be standardized", j + 1,
                              utf8_excerpt(shown, name, strlen(name)));
    }
    return NABLA_OK;
}

// What is taken from a feature, and what it is then divided by.
typedef void learn_feature(const struct moments *moments, double *ret_shift, double *ret_scale);

static void learn_deviation(const struct moments *moments, double *ret_shift, double *ret_scale)
{
    *ret_shift = moments->mean;
    *ret_scale = sqrt(moments->variance);
}

static void learn_range(const struct moments *moments, double *ret_shift, double *ret_scale)
{
    *ret_shift = moments->count ? moments->min : 0;
    *ret_scale = moments->max - moments->min;
}

static const struct {
    const char *name;
    learn_feature *learn;
} scalings[SCALING_COUNT] = {[SCALING_NONE] = {"none", NULL},
                             [SCALING_STANDARDIZE] = {"standardize", learn_deviation},
                             [SCALING_MIN_MAX] = {"min_max", learn_range}};

const char *scaling_name(enum scaling scaling)
{
    return scalings[scaling].name;
}

int scaling_find(const char *name)
{
    for (int i = 0; i < SCALING_COUNT; i++)
        if (strcmp(scalings[i].name, name) == 0)
            return i;
    return -1;
}

// A range may be wider than the largest float.
static void learn(enum scaling scaling, const struct moments *moments, float *ret_shift, float *ret_scale)
{
    double shift, scale;
    scalings[scaling].learn(moments, &shift, &scale);
    const bool constant = moments->count == 0 || moments->min == moments->max;
    *ret_shift = (float)shift;
    *ret_scale = constant ? 1 : fminf(fmaxf((float)scale, FLT_TRUE_MIN), FLT_MAX);
}

static enum nabla_code make(enum scaling scaling, const struct moments *moments, size_t columns,
                            struct standardizer *ret, struct nabla_error *err)
{
    struct standardizer made = {.columns = columns,
                                .mean = size_alloc(columns, 1, sizeof *made.mean),
                                .scale = size_alloc(columns, 1, sizeof *made.scale)};
    if (!made.mean || !made.scale) {
        standardizer_free(&made);
        return nabla_fail_memory(err, "the standardizer");
    }
    for (size_t j = 0; j < columns; j++)
        learn(scaling, &moments[j], &made.mean[j], &made.scale[j]);
    *ret = made;
    return NABLA_OK;
}

enum nabla_code standardizer_fit(enum scaling scaling, const struct dataset *dataset, const float *imputed,
                                 const size_t *rows, size_t row_count, struct standardizer *ret,
                                 struct nabla_error *err)
{
    if (row_count == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "there are no rows to standardize by");
    struct moments *moments = size_alloc(dataset->columns, 1, sizeof *moments);
    if (!moments)
        return nabla_fail_memory(err, "the standardizer");
    take_moments(dataset, imputed, rows, row_count, moments);
    enum nabla_code code = refuse_infinity(dataset, moments, err);
    if (!code)
        code = make(scaling, moments, dataset->columns, ret, err);
    free(moments);
    return code;
}

void standardizer_free(struct standardizer *standardizer)
{
    if (!standardizer)
        return;
    free(standardizer->mean);
    free(standardizer->scale);
    *standardizer = (struct standardizer){0};
}

void standardizer_apply(const struct standardizer *standardizer, float *features, size_t rows)
{
    size_t columns = standardizer->columns;
    for (size_t i = 0; i < rows; i++) {
        float *row = features + i * columns;
        for (size_t j = 0; j < columns; j++)
            row[j] =
                (float)(((double)row[j] - (double)standardizer->mean[j]) / (double)standardizer->scale[j]);
    }
}
