// Archives (data/zip.h, data/array_dataset.h): entries lie within the bytes and apart from one another,
// contents have the size that the directory says, and what is taken is a data set within the limits.
#include "data/array_dataset.h"
#include "data/zip.h"
#include "tests/fuzz/fuzz_dataset.h"

static void look_at_entries(const struct zip *zip, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < zip->count; i++) {
        const struct zip_entry *entry = &zip->entries[i];
        struct buffer room = {0};
        struct nabla_error err = {0};
        const void *content;
        fuzz_require(entry->name[0] != '\0' && entry->begin < entry->end && entry->end <= size);
        fuzz_require((const uint8_t *)entry->data + entry->packed == bytes + entry->end);
        fuzz_require(i == 0 || zip->entries[i - 1].end <= entry->begin);
        enum nabla_code code = zip_content(entry, 1 << 16, &room, &content, &err);
        fuzz_require(room.size <= 1 << 16);
        if (code)
            fuzz_require_reason(code, &err);
        else
            fuzz_require(content == room.data ? room.size == entry->size : content == entry->data);
        buffer_free(&room);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct dataset_limits limits = fuzz_limits();
    struct nabla_error err = {0};
    struct zip zip;
    struct dataset *dataset;
    enum nabla_code code = zip_read(bytes, size, &zip, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    look_at_entries(&zip, bytes, size);
    zip_free(&zip);
    code = dataset_from_archive(bytes, size, &limits, &dataset, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    fuzz_require_dataset(dataset, &limits);
    dataset_free(dataset);
    return 0;
}
