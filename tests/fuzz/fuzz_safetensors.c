// Safetensors (data/safetensors.h): tensors lie within the bytes, side by side without a hole; what was read
// and is written again reads as the same; a data set made of them holds what it must.
#include "data/safetensors.h"
#include "tests/fuzz/fuzz_dataset.h"

static void require_layout(const struct safetensors *file, const uint8_t *bytes, size_t size)
{
    const uint8_t *next = NULL;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const struct tensor *tensor = &file->tensors[i];
        const uint8_t *data = tensor->data;
        fuzz_require(data >= bytes && data + tensor->bytes <= bytes + size);
        fuzz_require(!next || data == next);
        fuzz_require(safetensors_find(file, tensor->name) == tensor);
        next = data + tensor->bytes;
    }
    fuzz_require(!next || next == bytes + size);
}

static void write_and_read_back(const struct safetensors *file)
{
    struct buffer copy = buffer_new(1 << 24);
    struct nabla_error err = {0};
    struct safetensors *again;
    if (safetensors_write(file->tensors, file->tensor_count, file->metadata, file->metadata_count, &copy,
                          &err) == NABLA_OK) {
        fuzz_require(safetensors_read(copy.data, copy.size, &again, &err) == NABLA_OK);
        fuzz_require(again->tensor_count == file->tensor_count);
        fuzz_require(again->metadata_count == file->metadata_count);
        for (size_t i = 0; i < file->tensor_count; i++) {
            const struct tensor *a = &file->tensors[i], *b = safetensors_find(again, a->name);
            fuzz_require(b && a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
            fuzz_require(memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
            fuzz_require(memcmp(a->data, b->data, a->bytes) == 0);
        }
        safetensors_free(again);
    }
    buffer_free(&copy);
}

static void read_dataset(const uint8_t *bytes, size_t size)
{
    const struct dataset_limits limits = fuzz_limits();
    struct nabla_error err = {0};
    struct dataset *dataset, *again;
    enum nabla_code code = safetensors_read_dataset(bytes, size, &limits, &dataset, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return;
    }
    fuzz_require_dataset(dataset, &limits);
    struct buffer file = buffer_new(1 << 24);
    fuzz_require(safetensors_write_dataset(dataset, &file, &err) == NABLA_OK);
    fuzz_require(safetensors_read_dataset(file.data, file.size, &limits, &again, &err) == NABLA_OK);
    fuzz_require_same(dataset, again);
    dataset_free(again);
    dataset_free(dataset);
    buffer_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nabla_error err = {0};
    struct safetensors *file;
    enum nabla_code code = safetensors_read(bytes, size, &file, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    require_layout(file, bytes, size);
    write_and_read_back(file);
    safetensors_free(file);
    read_dataset(bytes, size);
    return 0;
}
