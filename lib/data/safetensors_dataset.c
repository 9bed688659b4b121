// A data set's tensors are `features`, `labels` and, where rows weigh differently, `sample_weights`; its
// names are JSON lists of texts in the metadata.
#include "base/json.h"
#include "base/size.h"
#include "data/dataset.h"
#include "data/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 1 << 16 };

static struct tensor matrix_tensor(char *name, enum tensor_dtype dtype, size_t rows, size_t columns,
                                   const void *data)
{
    struct tensor tensor = {.name = name, .dtype = dtype, .rank = columns > 0 ? 2 : 1, .data = data};
    tensor.shape[0] = rows;
    tensor.shape[1] = columns;
    tensor.elements = rows * (columns > 0 ? columns : 1);
    tensor.bytes = tensor.elements * sizeof(float);
    return tensor;
}
_Static_assert(sizeof(float) == sizeof(int32_t), "features and ids have elements of one size");

static void write_names(struct buffer *text, char *const *names, size_t count)
{
    buffer_char(text, '[');
    for (size_t i = 0; i < count; i++) {
        buffer_text(text, i ? "," : "");
        buffer_json_string(text, names[i] ? names[i] : "");
    }
    buffer_char(text, ']');
}

enum nabla_code safetensors_write_dataset(const struct dataset *dataset, struct buffer *ret,
                                          struct nabla_error *err)
{
    struct buffer features = buffer_new(ret->limit), classes = buffer_new(ret->limit);
    write_names(&features, dataset->feature_names, dataset->columns);
    write_names(&classes, dataset->class_names, dataset->classes);
    enum nabla_code code = buffer_status(&features, "the feature names", err);
    if (!code)
        code = buffer_status(&classes, "the class names", err);
    if (!code) {
        struct tensor tensors[] = {
            matrix_tensor("features", TENSOR_F32, dataset->rows, dataset->columns, dataset->features),
            dataset->ids
                ? matrix_tensor("labels", TENSOR_I32, dataset->rows, 0, dataset->ids)
                : matrix_tensor("labels", TENSOR_F32, dataset->rows, dataset->outputs, dataset->targets),
            matrix_tensor("sample_weights", TENSOR_F32, dataset->rows, 0, dataset->weights)};
        struct tensor_metadata metadata[] = {{"feature_names", features.data},
                                             {"class_names", classes.data},
                                             {"label_name", dataset->label_name ? dataset->label_name : ""}};
        code = safetensors_write(tensors, dataset->weights ? 3 : 2, metadata, 3, ret, err);
    }
    buffer_free(&features);
    buffer_free(&classes);
    return code;
}

// One element as a double, whatever the dtype; the bytes need not be aligned.
static double element(const struct tensor *tensor, size_t index)
{
    union {
        double f64;
        float f32;
        int64_t i64;
        int32_t i32;
        uint8_t u8;
    } value;
    size_t width = tensor->bytes / tensor->elements;
    memcpy(&value, (const char *)tensor->data + index * width, width);
    switch (tensor->dtype) {
    case TENSOR_F64:
        return value.f64;
    case TENSOR_F32:
        return (double)value.f32;
    case TENSOR_I64:
        return (double)value.i64;
    case TENSOR_I32:
        return value.i32;
    default:
        return value.u8;
    }
}

static bool is_integer(const struct tensor *tensor)
{
    return tensor->dtype != TENSOR_F64 && tensor->dtype != TENSOR_F32;
}

static enum nabla_code copy_finite(const struct tensor *tensor, size_t columns, float *ret,
                                   struct nabla_error *err)
{
    for (size_t i = 0; i < tensor->elements; i++) {
        ret[i] = (float)element(tensor, i);
        if (!isfinite(ret[i]))
            return nabla_fail(err, NABLA_INVALID, NULL,
                              "%s: row %zu, column %zu is not a finite number of float32's range",
                              tensor->name, i / columns + 1, i % columns + 1);
    }
    return NABLA_OK;
}

// Ids count from 0; the largest tells the number of classes, unless more are named.
static enum nabla_code count_classes(const struct tensor *labels, size_t named, size_t *ret,
                                     struct nabla_error *err)
{
    double least = element(labels, 0), most = least;
    for (size_t i = 0; i < labels->elements; i++) {
        double id = element(labels, i);
        if (id < 0 || id > INT32_MAX - 1)
            return nabla_fail(err, NABLA_INVALID, NULL,
                              "labels: row %zu has the class id %.0f; ids count from 0 to %d", i + 1, id,
                              INT32_MAX - 1);
        least = fmin(least, id);
        most = fmax(most, id);
    }
    if (least == most)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "labels: all rows have one class; at least two are needed");
    *ret = named > (size_t)most + 1 ? named : (size_t)most + 1;
    return NABLA_OK;
}

static enum nabla_code check_shapes(const struct tensor *features, const struct tensor *labels,
                                    struct nabla_error *err)
{
    if (!features || !labels)
        return nabla_fail(err, NABLA_INVALID, NULL, "a data set needs the tensors features and labels");
    if (features->rank != 2 || is_integer(features) || features->elements == 0)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "features must be F32 or F64 of the shape [rows, columns]");
    if (labels->rank != (is_integer(labels) ? 1U : 2U) || labels->elements == 0)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "labels must be I32 or I64 of the shape [rows], or F32 or F64 of [rows, outputs]");
    if (labels->shape[0] != features->shape[0])
        return nabla_fail(err, NABLA_INVALID, NULL, "labels has %zu rows where features has %zu",
                          labels->shape[0], features->shape[0]);
    return NABLA_OK;
}

static enum nabla_code bad_names(const char *key, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_INVALID, NULL, "the metadata %s is no JSON list of texts, one for each",
                      key);
}

// Reads the JSON list of texts under `key` into names (`count` of them), or only counts it where names is
// NULL. Without the key *ret_count is 0.
static enum nabla_code read_names(const struct safetensors *file, const char *key, char **names, size_t count,
                                  size_t *ret_count, struct nabla_error *err)
{
    const char *text = safetensors_metadata(file, key);
    *ret_count = 0;
    if (!text)
        return NABLA_OK;
    struct json_reader json = json_open(text, strlen(text), NAME_MAX_BYTES);
    enum json_token token;
    bool bad = json_next(&json, &token, NULL) || token != JSON_ARRAY_BEGIN;
    enum nabla_code code = NABLA_OK;
    size_t read = 0;
    while (!bad && !code) {
        bad = json_next(&json, &token, NULL) || (token != JSON_STRING && token != JSON_ARRAY_END);
        if (bad || token == JSON_ARRAY_END)
            break;
        bad = strlen(json.string.data) != json.string.size || (names && read == count);
        if (!bad && names && !(names[read] = strdup(json.string.data)))
            code = nabla_fail_memory(err, "names");
        read++;
    }
    bad = bad || (!code && (json_next(&json, &token, NULL) || token != JSON_END));
    json_close(&json);
    if (!code && (bad || (names && read != count)))
        return bad_names(key, err);
    *ret_count = read;
    return code;
}

static enum nabla_code make_empty(const struct safetensors *file, const struct dataset_limits *limits,
                                  struct dataset **ret, struct nabla_error *err)
{
    const struct tensor *features = safetensors_find(file, "features");
    const struct tensor *labels = safetensors_find(file, "labels");
    size_t classes = 0, named;
    enum nabla_code code = read_names(file, "class_names", NULL, 0, &named, err);
    if (!code && is_integer(labels))
        code = count_classes(labels, named, &classes, err);
    if (!code)
        code = dataset_check_size(features->shape[0], features->shape[1], classes, limits, err);
    if (code)
        return code;
    if (classes > 0)
        return dataset_new(features->shape[0], features->shape[1], classes, ret, err);
    return dataset_new_targets(features->shape[0], features->shape[1], labels->shape[1], ret, err);
}

static enum nabla_code read_all_names(const struct safetensors *file, struct dataset *dataset,
                                      struct nabla_error *err)
{
    const char *label = safetensors_metadata(file, "label_name");
    size_t count;
    enum nabla_code code =
        read_names(file, "feature_names", dataset->feature_names, dataset->columns, &count, err);
    if (!code && dataset->classes > 0)
        code = read_names(file, "class_names", dataset->class_names, dataset->classes, &count, err);
    if (!code && label && !(dataset->label_name = strdup(label)))
        code = nabla_fail_memory(err, "the label's name");
    return code ? code : dataset_fill_names(dataset, err);
}

static enum nabla_code read_weights(const struct safetensors *file, struct dataset *dataset,
                                    struct nabla_error *err)
{
    const struct tensor *weights = safetensors_find(file, "sample_weights");
    if (!weights)
        return NABLA_OK;
    if (weights->rank != 1 || is_integer(weights) || weights->elements != dataset->rows)
        return nabla_fail(err, NABLA_INVALID, NULL, "sample_weights must be F32 or F64 of the shape [rows]");
    enum nabla_code code = dataset_add_weights(dataset, err);
    if (!code)
        code = copy_finite(weights, 1, dataset->weights, err);
    for (size_t i = 0; !code && i < dataset->rows; i++)
        if (dataset->weights[i] < 0)
            code = nabla_fail(err, NABLA_INVALID, NULL, "sample_weights: row %zu is negative", i + 1);
    return code;
}

static enum nabla_code fill(const struct safetensors *file, struct dataset *dataset, struct nabla_error *err)
{
    const struct tensor *labels = safetensors_find(file, "labels");
    enum nabla_code code =
        copy_finite(safetensors_find(file, "features"), dataset->columns, dataset->features, err);
    if (!code && dataset->targets)
        code = copy_finite(labels, dataset->outputs, dataset->targets, err);
    for (size_t i = 0; !code && dataset->ids && i < dataset->rows; i++)
        dataset->ids[i] = (int32_t)element(labels, i);
    if (!code)
        code = read_weights(file, dataset, err);
    return code ? code : read_all_names(file, dataset, err);
}

enum nabla_code safetensors_read_dataset(const void *bytes, size_t size, const struct dataset_limits *limits,
                                         struct dataset **ret, struct nabla_error *err)
{
    struct safetensors *file = NULL;
    struct dataset *dataset = NULL;
    enum nabla_code code = safetensors_read(bytes, size, &file, err);
    if (code)
        return code;
    code = check_shapes(safetensors_find(file, "features"), safetensors_find(file, "labels"), err);
    if (!code)
        code = make_empty(file, limits, &dataset, err);
    if (!code)
        code = fill(file, dataset, err);
    safetensors_free(file);
    if (code)
        dataset_free(dataset);
    else
        *ret = dataset;
    return code;
}
