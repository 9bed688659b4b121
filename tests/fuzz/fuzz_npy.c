// NPY (data/npy.h): an array that is taken lies within the bytes, and written again it is the same.
#include "data/npy.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void write_and_read_back(const struct npy *array)
{
    struct buffer file = buffer_new(1 << 24);
    struct nabla_error err = {0};
    struct npy again;
    char *elements = malloc(array->bytes ? array->bytes : 1);
    fuzz_require(elements != NULL);
    npy_copy(array, elements);
    fuzz_require(npy_write_header(array->dtype, array->rank, array->shape, &file, &err) == NABLA_OK);
    fuzz_require(file.size % 64 == 0);
    fuzz_require(buffer_append(&file, elements, array->bytes));
    fuzz_require(npy_read(file.data, file.size, &again, &err) == NABLA_OK);
    fuzz_require(again.dtype == array->dtype && again.rank == array->rank && !again.is_swapped &&
                 again.bytes == array->bytes);
    fuzz_require(memcmp(again.shape, array->shape, array->rank * sizeof *array->shape) == 0);
    fuzz_require(memcmp(again.data, elements, array->bytes) == 0);
    free(elements);
    buffer_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nabla_error err = {0};
    struct npy array;
    enum nabla_code code = npy_read(bytes, size, &array, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    fuzz_require((const uint8_t *)array.data + array.bytes == bytes + size);
    fuzz_require(array.rank <= TENSOR_RANK_MAX);
    write_and_read_back(&array);
    return 0;
}
