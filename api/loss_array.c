// Where arrays come from. Tensors are used where they lie in the body, unless their bytes are not aligned, or
// not in the order that the kernels read.
#include "api/loss_array.h"

#include "base/size.h"
#include "data/npy.h"
#include "data/tensor_dtype.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct loss_array_place loss_array_places[IN_COUNT] = {
    [IN_LOGITS] = {"/logits", "logits"},
    [IN_PROBABILITIES] = {"/probabilities", "probabilities"},
    [IN_LABELS] = {"/labels", "labels"},
    [IN_SAMPLE_WEIGHTS] = {"/sample_weights", "sample_weights"},
    [IN_CLASS_WEIGHTS] = {"/loss/class_weights", "class_weights"},
    [IN_POS_WEIGHT] = {"/loss/pos_weight", "pos_weight"},
};

void loss_arrays_free(struct loss_array arrays[IN_COUNT])
{
    for (size_t i = 0; i < IN_COUNT; i++)
        if (arrays[i].is_owned)
            free(arrays[i].values);
}

void loss_arrays_of_bulks(struct bulk bulks[IN_COUNT], struct loss_array ret[IN_COUNT],
                          struct problems *problems)
{
    for (size_t i = 0; i < IN_COUNT; i++) {
        if (bulks[i].shape == BULK_ABSENT)
            continue;
        if (ret[i].shape != BULK_ABSENT) {
            problems_add(problems, bulks[i].pointer, "is given twice: in the document and as a tensor");
            continue;
        }
        ret[i] = (struct loss_array){.shape = bulks[i].shape,
                                     .rows = bulks[i].rows,
                                     .columns = bulks[i].columns,
                                     .dtype = TENSOR_F64,
                                     .is_owned = true,
                                     .values = bulks[i].values};
        bulks[i].values = NULL;
    }
}

// "[4, 3]"
static void shape_write(char *text, size_t size, size_t rank, const size_t *shape)
{
    size_t length = (size_t)snprintf(text, size, "[");
    for (size_t i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, i == 0 ? "%zu" : ", %zu", shape[i]);
    if (length < size)
        snprintf(text + length, size - length, "]");
}

// Puts a tensor's shape and dtype into its place; false, with the problem told, where no array has that
// shape.
static bool array_place(struct loss_array *array, enum loss_array_name name, enum tensor_dtype dtype,
                        size_t rank, const size_t *shape, struct problems *problems)
{
    static const enum bulk_shape shapes[] = {BULK_SCALAR, BULK_LIST, BULK_ROWS};
    if (rank >= sizeof shapes / sizeof *shapes) {
        char text[128];
        shape_write(text, sizeof text, rank, shape);
        problems_add(problems, loss_array_places[name].pointer,
                     "has the shape %s; two dimensions are the most", text);
        *array = (struct loss_array){.shape = BULK_OTHER, .dtype = dtype, .is_tensor = true};
        return false;
    }
    *array = (struct loss_array){.shape = shapes[rank],
                                 .rows = rank > 0 ? shape[0] : 1,
                                 .columns = rank > 1 ? shape[1] : 1,
                                 .dtype = dtype,
                                 .is_tensor = true};
    return true;
}

// ---- safetensors ----

static enum nabla_code tensor_use(struct loss_array *array, const struct tensor *tensor, struct buffer *body,
                                  struct nabla_error *err)
{
    char *place = body->data + ((const char *)tensor->data - body->data); // the same, but writable
    if ((uintptr_t)place % tensor_dtypes[tensor->dtype].size == 0) {
        array->values = place;
        return NABLA_OK;
    }
    array->values = size_alloc(tensor->bytes, 1, 1);
    array->is_owned = true;
    if (!array->values)
        return nabla_fail_memory(err, "a tensor");
    memcpy(array->values, tensor->data, tensor->bytes);
    return NABLA_OK;
}

static int tensor_find(const char *name)
{
    for (int i = 0; i < IN_COUNT; i++)
        if (strcmp(loss_array_places[i].tensor, name) == 0)
            return i;
    return -1;
}

static enum nabla_code tensor_take(const struct tensor *tensor, struct buffer *body,
                                   struct loss_array arrays[IN_COUNT], struct problems *problems,
                                   struct nabla_error *err)
{
    int name = tensor_find(tensor->name);
    if (name < 0) {
        char pointer[160];
        snprintf(pointer, sizeof pointer, "/%.100s", tensor->name);
        problems_add(problems, pointer,
                     "there is no such tensor here; there are logits, probabilities, labels, sample_weights, "
                     "class_weights, pos_weight");
        return NABLA_OK;
    }
    if (!array_place(&arrays[name], (enum loss_array_name)name, tensor->dtype, tensor->rank, tensor->shape,
                     problems))
        return NABLA_OK;
    return tensor_use(&arrays[name], tensor, body, err);
}

static enum nabla_code request_copy(const struct safetensors *file, char **ret, struct nabla_error *err)
{
    const char *text = safetensors_metadata(file, "request");
    char *copy = strdup(text ? text : "{}");
    if (!copy)
        return nabla_fail_memory(err, "the request's document");
    *ret = copy;
    return NABLA_OK;
}

enum nabla_code loss_arrays_of_safetensors(struct buffer *body, struct loss_array ret[IN_COUNT],
                                           struct problems *problems, char **ret_request,
                                           struct nabla_error *err)
{
    struct safetensors *file;
    enum nabla_code code = safetensors_read(body->data ? body->data : "", body->size, &file, err);
    if (code)
        return code;
    for (size_t i = 0; i < file->tensor_count && !code; i++)
        code = tensor_take(&file->tensors[i], body, ret, problems, err);
    if (!code)
        code = request_copy(file, ret_request, err);
    safetensors_free(file);
    return code;
}

// ---- NPY ----

enum nabla_code loss_arrays_of_npy(struct buffer *body, enum loss_array_name name,
                                   struct loss_array ret[IN_COUNT], struct problems *problems,
                                   struct nabla_error *err)
{
    struct npy npy;
    enum nabla_code code = npy_read(body->data ? body->data : "", body->size, &npy, err);
    if (code || !array_place(&ret[name], name, npy.dtype, npy.rank, npy.shape, problems))
        return code;
    if (!npy.is_swapped && !npy.is_fortran) {
        const struct tensor tensor = {.dtype = npy.dtype, .data = npy.data, .bytes = npy.bytes};
        return tensor_use(&ret[name], &tensor, body, err);
    }
    ret[name].values = size_alloc(npy.bytes, 1, 1);
    ret[name].is_owned = true;
    if (!ret[name].values)
        return nabla_fail_memory(err, "the array");
    npy_copy(&npy, ret[name].values);
    return NABLA_OK;
}
