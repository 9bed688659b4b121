#include "data/dataset.h"

#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dataset_limits dataset_unlimited = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};

// All but the features.
static bool allocate_parts(struct dataset *dataset)
{
    dataset->feature_names = size_alloc(dataset->columns, 1, sizeof *dataset->feature_names);
    if (!dataset->feature_names)
        return false;
    if (dataset->outputs > 0) {
        dataset->targets = size_alloc(dataset->rows, dataset->outputs, sizeof *dataset->targets);
        return dataset->targets != NULL;
    }
    if (dataset->classes > 0) {
        dataset->ids = size_alloc(dataset->rows, 1, sizeof *dataset->ids);
        dataset->class_names = size_alloc(dataset->classes, 1, sizeof *dataset->class_names);
        return dataset->ids && dataset->class_names;
    }
    return true;
}

static enum nabla_code make(struct dataset sizes, struct dataset **ret, struct nabla_error *err)
{
    struct dataset *dataset = malloc(sizeof *dataset);
    if (!dataset) {
        mapped_close(&sizes.file);
        return nabla_fail_memory(err, "a data set");
    }
    *dataset = sizes;
    if (!dataset->features)
        dataset->features = size_alloc(dataset->rows, dataset->columns, sizeof *dataset->features);
    if (!dataset->features || !allocate_parts(dataset)) {
        dataset_free(dataset);
        return nabla_fail_memory(err, "a data set");
    }
    *ret = dataset;
    return NABLA_OK;
}

enum nabla_code dataset_new(size_t rows, size_t columns, size_t classes, struct dataset **ret,
                            struct nabla_error *err)
{
    return make((struct dataset){.rows = rows, .columns = columns, .classes = classes}, ret, err);
}

enum nabla_code dataset_new_targets(size_t rows, size_t columns, size_t outputs, struct dataset **ret,
                                    struct nabla_error *err)
{
    return make((struct dataset){.rows = rows, .columns = columns, .outputs = outputs}, ret, err);
}

enum nabla_code dataset_new_mapped(const struct dataset *sizes, const float *features, struct mapped *file,
                                   struct dataset **ret, struct nabla_error *err)
{
    const struct dataset mapped = {.rows = sizes->rows,
                                   .columns = sizes->columns,
                                   .classes = sizes->classes,
                                   .outputs = sizes->outputs,
                                   .features = (float *)(uintptr_t)features, // only read
                                   .file = *file};
    enum nabla_code code = make(mapped, ret, err);
    *file = (struct mapped){0};
    return code;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++)
        free(names[i]);
    free(names);
}

void dataset_free(struct dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->file.bytes)
        mapped_close(&dataset->file);
    else
        free(dataset->features);
    free(dataset->ids);
    free(dataset->targets);
    free(dataset->weights);
    free_names(dataset->feature_names, dataset->columns);
    free_names(dataset->class_names, dataset->classes);
    free(dataset->label_name);
    free(dataset);
}

enum nabla_code dataset_add_weights(struct dataset *dataset, struct nabla_error *err)
{
    if (!dataset->weights)
        dataset->weights = size_alloc(dataset->rows, 1, sizeof *dataset->weights);
    return dataset->weights ? NABLA_OK : nabla_fail_memory(err, "the weights of a data set's rows");
}

// `name` is the limit's own, as the server's configuration has it.
static enum nabla_code check_limit(const char *what, size_t value, const char *name, size_t limit,
                                   struct nabla_error *err)
{
    if (value <= limit)
        return NABLA_OK;
    return nabla_fail(err, NABLA_LIMIT, NULL, "the data set has %zu %s, the limit %s is %zu", value, what,
                      name, limit);
}

enum nabla_code dataset_check_size(size_t rows, size_t columns, size_t classes,
                                   const struct dataset_limits *limits, struct nabla_error *err)
{
    size_t bytes = SIZE_MAX;
    if (size_mul(rows, columns, &bytes) && !size_mul(bytes, sizeof(float), &bytes))
        bytes = SIZE_MAX;
    enum nabla_code code = check_limit("rows", rows, "max_dataset_rows", limits->rows, err);
    if (!code)
        code = check_limit("features", columns, "max_dataset_columns", limits->columns, err);
    if (!code)
        code = check_limit("classes", classes, "max_dataset_classes",
                           limits->classes < INT32_MAX ? limits->classes : INT32_MAX, err);
    if (!code)
        code = check_limit("bytes of features", bytes, "max_dataset_bytes", limits->bytes, err);
    return code;
}

static bool fill_name(char **name, const char *prefix, size_t number)
{
    if (!*name && asprintf(name, "%s%zu", prefix, number) < 0)
        *name = NULL;
    return *name != NULL;
}

enum nabla_code dataset_fill_names(struct dataset *dataset, struct nabla_error *err)
{
    bool filled = true;
    for (size_t i = 0; i < dataset->columns; i++)
        filled = filled && fill_name(&dataset->feature_names[i], "x", i);
    for (size_t i = 0; i < dataset->classes; i++)
        filled = filled && fill_name(&dataset->class_names[i], "", i);
    if (!dataset->label_name)
        dataset->label_name = strdup("label");
    return filled && dataset->label_name ? NABLA_OK : nabla_fail_memory(err, "the names of a data set");
}

void dataset_passed(const struct dataset *dataset, size_t rows)
{
    enum { PIECE_BYTES = 16 << 20 };
    const size_t width = dataset->columns * sizeof *dataset->features, end = rows * width;
    if (dataset->file.bytes && (rows == dataset->rows || end / PIECE_BYTES != (end - width) / PIECE_BYTES))
        mapped_release(&dataset->file);
}

// fmin and fmax pass over the NaN that the extremes start from.
static void add_to_mean(struct feature_summary *summaries, const float *row, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        double x = (double)row[j];
        if (isnan(x)) {
            summaries[j].missing++;
            continue;
        }
        summaries[j].mean += x;
        summaries[j].min = fmin(summaries[j].min, x);
        summaries[j].max = fmax(summaries[j].max, x);
    }
}

static void add_to_variance(struct feature_summary *summaries, const float *row, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        double deviation = (double)row[j] - summaries[j].mean;
        if (!isnan(row[j]))
            summaries[j].std += deviation * deviation;
    }
}

// The deviations want the mean first: two passes, each along the rows as they lie in memory. The sum's
// rounding must not make a constant feature vary.
void dataset_summarize(const struct dataset *dataset, struct feature_summary *summaries)
{
    size_t rows = dataset->rows, columns = dataset->columns;
    for (size_t j = 0; j < columns; j++)
        summaries[j] = (struct feature_summary){.min = NAN, .max = NAN};
    for (size_t i = 0; i < rows; dataset_passed(dataset, ++i))
        add_to_mean(summaries, dataset->features + i * columns, columns);
    for (size_t j = 0; j < columns; j++) {
        bool constant = summaries[j].min == summaries[j].max;
        size_t present = rows - summaries[j].missing;
        summaries[j].mean = constant ? summaries[j].min : summaries[j].mean / (double)present;
    }
    for (size_t i = 0; i < rows; dataset_passed(dataset, ++i))
        add_to_variance(summaries, dataset->features + i * columns, columns);
    for (size_t j = 0; j < columns; j++)
        summaries[j].std = sqrt(summaries[j].std / (double)(rows - summaries[j].missing));
}

void dataset_class_counts(const struct dataset *dataset, size_t *counts)
{
    for (size_t i = 0; i < dataset->classes; i++)
        counts[i] = 0;
    for (size_t i = 0; dataset->classes > 0 && i < dataset->rows; i++)
        counts[dataset->ids[i]]++;
}
