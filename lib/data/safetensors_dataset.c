// A data set's tensors are `features`, `labels` and, where rows weigh differently, `sample_weights`; its
// names are JSON lists of texts in the metadata.
#include "base/json_texts.h"
#include "base/size.h"
#include "data/dataset.h"
#include "data/safetensors.h"
#include "data/tensor_dataset.h"

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

// Fills `ret` (3 of them). Returns how many the data set has.
static size_t dataset_tensors(const struct dataset *dataset, struct tensor *ret)
{
    ret[0] = matrix_tensor("features", TENSOR_F32, dataset->rows, dataset->columns, dataset->features);
    ret[1] = dataset->ids
                 ? matrix_tensor("labels", TENSOR_I32, dataset->rows, 0, dataset->ids)
                 : matrix_tensor("labels", TENSOR_F32, dataset->rows, dataset->outputs, dataset->targets);
    ret[2] = matrix_tensor("sample_weights", TENSOR_F32, dataset->rows, 0, dataset->weights);
    return dataset->weights ? 3 : 2;
}

static enum nabla_code write_header(const struct dataset *dataset, const struct tensor *tensors, size_t count,
                                    struct buffer *ret, struct nabla_error *err)
{
    struct buffer features = buffer_new(ret->limit), classes = buffer_new(ret->limit);
    json_texts_write(&features, dataset->feature_names, dataset->columns);
    json_texts_write(&classes, dataset->class_names, dataset->classes);
    enum nabla_code code = buffer_status(&features, "the feature names", err);
    if (!code)
        code = buffer_status(&classes, "the class names", err);
    if (!code) {
        struct tensor_metadata metadata[] = {{"feature_names", features.data},
                                             {"class_names", classes.data},
                                             {"label_name", dataset->label_name ? dataset->label_name : ""}};
        code = safetensors_write_header(tensors, count, metadata, 3, 0, ret, err);
    }
    buffer_free(&features);
    buffer_free(&classes);
    return code;
}

enum nabla_code safetensors_dataset_pieces(const struct dataset *dataset, struct buffer *ret_header,
                                           struct iovec ret[DATASET_PIECES], size_t *ret_count,
                                           struct nabla_error *err)
{
    struct tensor tensors[DATASET_PIECES - 1];
    const size_t count = dataset_tensors(dataset, tensors), before = ret_header->size;
    enum nabla_code code = write_header(dataset, tensors, count, ret_header, err);
    if (code)
        return code;
    ret[0] = (struct iovec){ret_header->data + before, ret_header->size - before};
    for (size_t i = 0; i < count; i++)
        ret[1 + i] = (struct iovec){(void *)(uintptr_t)tensors[i].data, tensors[i].bytes}; // only read
    *ret_count = 1 + count;
    return NABLA_OK;
}

enum nabla_code safetensors_write_dataset(const struct dataset *dataset, struct buffer *ret,
                                          struct nabla_error *err)
{
    struct iovec pieces[DATASET_PIECES];
    size_t count;
    enum nabla_code code = safetensors_dataset_pieces(dataset, ret, pieces, &count, err);
    for (size_t i = 1; !code && i < count; i++)
        buffer_append(ret, pieces[i].iov_base, pieces[i].iov_len);
    return code ? code : buffer_status(ret, "a safetensors file", err);
}

static enum nabla_code bad_names(const char *key, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_INVALID, NULL, "the metadata %s is no JSON list of texts, one for each",
                      key);
}

// The list of texts under `key`; none without the key.
static enum nabla_code read_names(const struct safetensors *file, const char *key, char ***ret,
                                  size_t *ret_count, struct nabla_error *err)
{
    const char *text = safetensors_metadata(file, key);
    *ret = NULL;
    *ret_count = 0;
    const enum nabla_code code = text ? json_texts_read(text, NAME_MAX_BYTES, ret, ret_count, err) : NABLA_OK;
    return code && code != NABLA_NO_MEMORY ? bad_names(key, err) : code;
}

// Puts a list in the place of the `count` names that there is room for; an absent one leaves them to be made
// up.
static enum nabla_code take_names(const char *key, char ***list, size_t list_count, size_t count,
                                  char ***names, struct nabla_error *err)
{
    if (!*list)
        return NABLA_OK;
    if (list_count != count)
        return bad_names(key, err);
    free(*names);
    *names = *list;
    *list = NULL;
    return NABLA_OK;
}

static enum nabla_code read_features(const struct safetensors *file, struct dataset *dataset,
                                     struct nabla_error *err)
{
    char **list;
    size_t count;
    enum nabla_code code = read_names(file, "feature_names", &list, &count, err);
    if (!code)
        code = take_names("feature_names", &list, count, dataset->columns, &dataset->feature_names, err);
    json_texts_free(list, count);
    return code;
}

static enum nabla_code read_label(const struct safetensors *file, struct dataset *dataset,
                                  struct nabla_error *err)
{
    const char *label = safetensors_metadata(file, "label_name");
    if (label && !(dataset->label_name = strdup(label)))
        return nabla_fail_memory(err, "the label's name");
    return dataset_fill_names(dataset, err);
}

// With the file that the bytes are of, where the features may stay in it. The names of classes tell how many
// there are.
static enum nabla_code read_dataset(const void *bytes, size_t size, struct mapped *mapped,
                                    const struct dataset_limits *limits, struct dataset **ret,
                                    struct nabla_error *err)
{
    struct safetensors *file = NULL;
    struct dataset *dataset = NULL;
    struct dataset_tensors tensors = {.file = mapped};
    char **classes;
    enum nabla_code code = safetensors_read(bytes, size, &file, err);
    if (code)
        return code;
    tensors.features = safetensors_find(file, "features");
    tensors.labels = safetensors_find(file, "labels");
    tensors.weights = safetensors_find(file, "sample_weights");
    code = read_names(file, "class_names", &classes, &tensors.classes, err);
    if (!code)
        code = dataset_from_tensors(&tensors, limits, &dataset, err);
    if (!code)
        code = read_features(file, dataset, err);
    if (!code && dataset->classes > 0)
        code = take_names("class_names", &classes, tensors.classes, dataset->classes, &dataset->class_names,
                          err);
    if (!code)
        code = read_label(file, dataset, err);
    json_texts_free(classes, tensors.classes);
    safetensors_free(file);
    if (code)
        dataset_free(dataset);
    else
        *ret = dataset;
    return code;
}

enum nabla_code safetensors_read_dataset(const void *bytes, size_t size, const struct dataset_limits *limits,
                                         struct dataset **ret, struct nabla_error *err)
{
    return read_dataset(bytes, size, NULL, limits, ret, err);
}

enum nabla_code safetensors_map_dataset(struct mapped *mapped, const struct dataset_limits *limits,
                                        struct dataset **ret, struct nabla_error *err)
{
    return read_dataset(mapped->bytes, mapped->size, mapped, limits, ret, err);
}

enum nabla_code safetensors_open_dataset(const char *path, const struct dataset_limits *limits,
                                         struct dataset **ret, struct nabla_error *err)
{
    struct mapped mapped;
    enum nabla_code code = mapped_open_path(path, &mapped, err);
    if (code)
        return code;
    code = safetensors_map_dataset(&mapped, limits, ret, err);
    mapped_close(&mapped); // unless the data set has it
    return code;
}
