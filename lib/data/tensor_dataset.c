#include "data/tensor_dataset.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

static bool is_integer(const struct tensor *tensor)
{
    return tensor->dtype != TENSOR_F64 && tensor->dtype != TENSOR_F32;
}

static bool is_refused(float x, bool may_miss)
{
    return !isfinite(x) && !(may_miss && isnan(x));
}

static enum nabla_code refuse(const struct tensor *tensor, size_t columns, size_t i, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_INVALID, NULL,
                      "%s: row %zu, column %zu is not a finite number of float32's range", tensor->name,
                      i / columns + 1, i % columns + 1);
}

static enum nabla_code copy_finite(const struct tensor *tensor, size_t columns, bool may_miss, float *ret,
                                   struct nabla_error *err)
{
    for (size_t i = 0; i < tensor->elements; i++) {
        ret[i] = (float)tensor_number(tensor, i);
        if (is_refused(ret[i], may_miss))
            return refuse(tensor, columns, i, err);
    }
    return NABLA_OK;
}

// Features that stay where they are.
static enum nabla_code check_features(const struct tensor *tensor, const struct dataset *dataset,
                                      struct nabla_error *err)
{
    const size_t columns = dataset->columns;
    for (size_t i = 0; i < dataset->rows; dataset_passed(dataset, ++i))
        for (size_t j = 0; j < columns; j++)
            if (is_refused(dataset->features[i * columns + j], true))
                return refuse(tensor, columns, i * columns + j, err);
    return NABLA_OK;
}

// Ids count from 0; the largest tells the number of classes, unless more are named.
static enum nabla_code count_classes(const struct tensor *labels, size_t named, size_t *ret,
                                     struct nabla_error *err)
{
    double least = tensor_number(labels, 0), most = least;
    for (size_t i = 0; i < labels->elements; i++) {
        double id = tensor_number(labels, i);
        if (id < 0 || id > INT32_MAX - 1)
            return nabla_fail(err, NABLA_INVALID, NULL,
                              "%s: row %zu has the class id %.0f; ids count from 0 to %d", labels->name,
                              i + 1, id, INT32_MAX - 1);
        least = fmin(least, id);
        most = fmax(most, id);
    }
    if (least == most)
        return nabla_fail(err, NABLA_INVALID, NULL, "%s: all rows have one class; at least two are needed",
                          labels->name);
    *ret = named > (size_t)most + 1 ? named : (size_t)most + 1;
    return NABLA_OK;
}

// What stands behind the rows.
static size_t width_of(const struct tensor *tensor)
{
    return tensor->shape[0] ? tensor->elements / tensor->shape[0] : 0;
}

static bool are_ids(const struct tensor *labels)
{
    return is_integer(labels) && width_of(labels) == 1;
}

static enum nabla_code check_shapes(const struct dataset_tensors *tensors, struct nabla_error *err)
{
    const struct tensor *features = tensors->features, *labels = tensors->labels;
    if (!features || !labels)
        return nabla_fail(err, NABLA_INVALID, NULL, "a data set needs the tensors features and labels");
    if (features->rank < 2 || features->elements == 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "%s must be of the shape [rows, columns], or [rows, …]",
                          features->name);
    if (labels->rank < 1 || labels->rank > 2 || labels->elements == 0)
        return nabla_fail(
            err, NABLA_INVALID, NULL,
            "%s must be of the shape [rows]: whole numbers for classes, real ones for targets; or "
            "of [rows, outputs] for targets",
            labels->name);
    if (labels->shape[0] != features->shape[0])
        return nabla_fail(err, NABLA_INVALID, NULL, "%s has %zu rows where %s has %zu", labels->name,
                          labels->shape[0], features->name, features->shape[0]);
    return NABLA_OK;
}

static bool may_stay(const struct dataset_tensors *tensors)
{
    return tensors->file && tensors->features->dtype == TENSOR_F32 &&
           (uintptr_t)tensors->features->data % sizeof(float) == 0;
}

static enum nabla_code make_empty(const struct dataset_tensors *tensors, const struct dataset_limits *limits,
                                  struct dataset **ret, struct nabla_error *err)
{
    const struct tensor *features = tensors->features, *labels = tensors->labels;
    size_t classes = 0, rows = features->shape[0], columns = width_of(features);
    enum nabla_code code = NABLA_OK;
    if (are_ids(labels))
        code = count_classes(labels, tensors->classes, &classes, err);
    if (!code)
        code = dataset_check_size(rows, columns, classes, limits, err);
    if (code)
        return code;
    const struct dataset sizes = {
        .rows = rows, .columns = columns, .classes = classes, .outputs = classes ? 0 : width_of(labels)};
    if (may_stay(tensors))
        return dataset_new_mapped(&sizes, features->data, tensors->file, ret, err);
    return classes > 0 ? dataset_new(rows, columns, classes, ret, err)
                       : dataset_new_targets(rows, columns, sizes.outputs, ret, err);
}

static enum nabla_code read_weights(const struct tensor *weights, struct dataset *dataset,
                                    struct nabla_error *err)
{
    if (!weights)
        return NABLA_OK;
    if (weights->rank != 1 || is_integer(weights) || weights->elements != dataset->rows)
        return nabla_fail(err, NABLA_INVALID, NULL, "%s must be F32 or F64 of the shape [rows]",
                          weights->name);
    enum nabla_code code = dataset_add_weights(dataset, err);
    if (!code)
        code = copy_finite(weights, 1, false, dataset->weights, err);
    for (size_t i = 0; !code && i < dataset->rows; i++)
        if (dataset->weights[i] < 0)
            code = nabla_fail(err, NABLA_INVALID, NULL, "%s: row %zu is negative", weights->name, i + 1);
    return code;
}

static enum nabla_code fill(const struct dataset_tensors *tensors, struct dataset *dataset,
                            struct nabla_error *err)
{
    const struct tensor *labels = tensors->labels;
    enum nabla_code code =
        dataset->file.bytes ? check_features(tensors->features, dataset, err)
                            : copy_finite(tensors->features, dataset->columns, true, dataset->features, err);
    if (!code && dataset->targets)
        code = copy_finite(labels, dataset->outputs, false, dataset->targets, err);
    for (size_t i = 0; !code && dataset->ids && i < dataset->rows; i++)
        dataset->ids[i] = (int32_t)tensor_number(labels, i);
    return code ? code : read_weights(tensors->weights, dataset, err);
}

enum nabla_code dataset_from_tensors(const struct dataset_tensors *tensors,
                                     const struct dataset_limits *limits, struct dataset **ret,
                                     struct nabla_error *err)
{
    struct dataset *dataset = NULL;
    enum nabla_code code = check_shapes(tensors, err);
    if (!code)
        code = make_empty(tensors, limits, &dataset, err);
    if (!code)
        code = fill(tensors, dataset, err);
    if (code)
        dataset_free(dataset);
    else
        *ret = dataset;
    return code;
}
