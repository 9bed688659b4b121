#include "data/array.h"

#include "base/gzip.h"
#include "base/size.h"
#include "base/utf8.h"
#include "data/idx.h"
#include "data/npy.h"
#include "data/tensor_dtype.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
    const char *bytes;
    size_t size, most;
};

static bool begins(struct view view, const char *magic, size_t size)
{
    return view.size >= size && memcmp(view.bytes, magic, size) == 0;
}

static enum nabla_code inflate(struct view *view, struct array *array, struct nabla_error *err)
{
    struct buffer content = buffer_new(view->most);
    enum nabla_code code = inflate_whole(INFLATE_GZIP, view->bytes, view->size, &content, err);
    if (code) {
        buffer_free(&content);
        return code;
    }
    view->bytes = array->inflated = buffer_steal(&content, &view->size);
    return NABLA_OK;
}

static void shape_set(struct tensor *tensor, size_t rank, const size_t *shape)
{
    tensor->rank = rank;
    memcpy(tensor->shape, shape, rank * sizeof *shape);
}

// Room for elements that do not lie as they are wanted.
static enum nabla_code copy_room(struct view view, struct array *array, struct nabla_error *err)
{
    if (array->tensor.bytes > view.most)
        return nabla_fail(err, NABLA_LIMIT, NULL, "the array has %zu bytes, more than %zu",
                          array->tensor.bytes, view.most);
    array->copy = size_alloc(array->tensor.bytes ? array->tensor.bytes : 1, 1, 1);
    array->tensor.data = array->copy;
    return array->copy ? NABLA_OK : nabla_fail_memory(err, "an array");
}

static enum nabla_code take_npy(struct view view, struct array *array, struct nabla_error *err)
{
    struct npy npy;
    enum nabla_code code = npy_read(view.bytes, view.size, &npy, err);
    if (code)
        return code;
    array->tensor.dtype = npy.dtype;
    array->tensor.elements = npy.elements;
    array->tensor.bytes = npy.bytes;
    array->tensor.data = npy.data;
    shape_set(&array->tensor, npy.rank, npy.shape);
    if (!npy.is_swapped && (!npy.is_fortran || npy.rank < 2))
        return NABLA_OK;
    code = copy_room(view, array, err);
    if (!code)
        npy_copy(&npy, array->copy);
    return code;
}

static enum nabla_code take_idx(struct view view, struct array *array, struct nabla_error *err)
{
    struct idx idx;
    enum nabla_code code = idx_read(view.bytes, view.size, &idx, err);
    if (code)
        return code;
    array->tensor.dtype = idx.dtype;
    array->tensor.elements = idx.elements;
    array->tensor.data = idx.data;
    shape_set(&array->tensor, idx.rank, idx.shape);
    if (!size_mul(idx.elements, tensor_dtypes[idx.dtype].size, &array->tensor.bytes))
        return nabla_fail(err, NABLA_LIMIT, NULL, "the array is too large");
    if (idx.type == IDX_U8)
        return NABLA_OK;
    code = copy_room(view, array, err);
    if (!code)
        idx_copy(&idx, array->copy);
    return code;
}

static enum nabla_code take(struct view view, struct array *array, struct nabla_error *err)
{
    if (begins(view, "\x1f\x8b", 2)) {
        enum nabla_code code = inflate(&view, array, err);
        if (code)
            return code;
    }
    if (begins(view, "\x93NUMPY", 6))
        return take_npy(view, array, err);
    if (idx_begins(view.bytes, view.size))
        return take_idx(view, array, err);
    return nabla_fail(err, NABLA_MALFORMED, NULL,
                      "it is neither NPY nor IDX, nor either of them within gzip");
}

enum nabla_code array_open(const char *name, const void *bytes, size_t size, size_t most, struct array *ret,
                           struct nabla_error *err)
{
    struct array array = {.tensor = {.name = (char *)(uintptr_t)name}}; // only read
    struct nabla_error why;
    char shown[UTF8_EXCERPT_SIZE];
    enum nabla_code code = take((struct view){bytes, size, most}, &array, &why);
    if (!code) {
        *ret = array;
        return NABLA_OK;
    }
    array_close(&array);
    return nabla_fail(err, code, NULL, "%s: %s", utf8_excerpt(shown, name, strlen(name)), why.text);
}

void array_close(struct array *array)
{
    if (!array)
        return;
    free(array->inflated);
    free(array->copy);
    *array = (struct array){0};
}
