// IDX (data/idx.h): an array that is taken lies within the bytes, and becomes a data set within the limits.
#include "data/array_dataset.h"
#include "data/idx.h"
#include "data/tensor_dtype.h"
#include "tests/fuzz/fuzz_dataset.h"

static void copy_all(const struct idx *idx)
{
    char *elements = malloc(idx->elements ? idx->elements * tensor_dtypes[idx->dtype].size : 1);
    fuzz_require(elements != NULL);
    idx_copy(idx, elements);
    free(elements);
}

// As many labels as the array has rows, of two classes.
static void make_dataset(const uint8_t *bytes, size_t size, size_t rows)
{
    const struct dataset_limits limits = fuzz_limits();
    uint8_t labels[8 + 1000] = {0, 0, 8, 1, 0, 0, (uint8_t)(rows >> 8), (uint8_t)rows};
    const struct array_bytes images = {"images", bytes, size}, ids = {"labels", labels, 8 + rows};
    struct nabla_error err = {0};
    struct dataset *dataset;
    for (size_t i = 0; i < rows; i++)
        labels[8 + i] = i & 1;
    enum nabla_code code = dataset_from_arrays(&images, &ids, &limits, &dataset, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return;
    }
    fuzz_require_dataset(dataset, &limits);
    dataset_free(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nabla_error err = {0};
    struct idx idx;
    enum nabla_code code = idx_read(bytes, size, &idx, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    fuzz_require(idx.rank >= 1 && idx.rank <= TENSOR_RANK_MAX);
    fuzz_require((const uint8_t *)idx.data >= bytes &&
                 (const uint8_t *)idx.data + idx.elements <= bytes + size);
    copy_all(&idx);
    if (idx.shape[0] <= 1000)
        make_dataset(bytes, size, idx.shape[0]);
    return 0;
}
