#include "data/array_dataset.h"

#include "base/size.h"
#include "base/utf8.h"
#include "data/array.h"
#include "data/idx.h"
#include "data/tensor_dataset.h"
#include "data/zip.h"

#include <string.h>

enum part { PART_FEATURES, PART_LABELS, PART_WEIGHTS, PART_COUNT };

static const char *const part_names[PART_COUNT] = {
    [PART_FEATURES] = "features", [PART_LABELS] = "labels", [PART_WEIGHTS] = "sample_weights"};

static const struct {
    const char *name;
    bool is_within; // anywhere in the name; else it is the whole name
    enum part part;
} names[] = {
    {"features", false, PART_FEATURES}, {"X", false, PART_FEATURES},
    {"x", false, PART_FEATURES},        {"X_train", false, PART_FEATURES},
    {"x_train", false, PART_FEATURES},  {"images", true, PART_FEATURES},
    {"y", false, PART_LABELS},          {"y_train", false, PART_LABELS},
    {"labels", true, PART_LABELS},      {"sample_weights", false, PART_WEIGHTS},
};

// Elements of features have at most 8 bytes where the data set's have 4; headers are small.
static size_t bytes_most(const struct dataset_limits *limits)
{
    size_t most;
    return size_mul(limits->bytes, 2, &most) && size_add(most, 1 << 16, &most) ? most : SIZE_MAX - 1;
}

bool archive_begins(const void *bytes, size_t size)
{
    return size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

bool array_begins(const void *bytes, size_t size)
{
    return (size >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0) ||
           (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) || idx_begins(bytes, size);
}

static enum nabla_code build(const struct array arrays[PART_COUNT], const bool present[PART_COUNT],
                             const struct dataset_limits *limits, struct dataset **ret,
                             struct nabla_error *err)
{
    struct dataset *dataset = NULL;
    const struct dataset_tensors tensors = {
        .features = present[PART_FEATURES] ? &arrays[PART_FEATURES].tensor : NULL,
        .labels = present[PART_LABELS] ? &arrays[PART_LABELS].tensor : NULL,
        .weights = present[PART_WEIGHTS] ? &arrays[PART_WEIGHTS].tensor : NULL};
    enum nabla_code code = dataset_from_tensors(&tensors, limits, &dataset, err);
    if (!code)
        code = dataset_fill_names(dataset, err);
    if (code)
        dataset_free(dataset);
    else
        *ret = dataset;
    return code;
}

enum nabla_code dataset_from_arrays(const struct array_bytes *features, const struct array_bytes *labels,
                                    const struct dataset_limits *limits, struct dataset **ret,
                                    struct nabla_error *err)
{
    const struct array_bytes *const files[] = {features, labels};
    struct array arrays[PART_COUNT] = {0};
    bool present[PART_COUNT] = {false};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && !code; i++) {
        code =
            array_open(files[i]->name, files[i]->bytes, files[i]->size, bytes_most(limits), &arrays[i], err);
        present[i] = !code;
    }
    if (!code)
        code = build(arrays, present, limits, ret, err);
    for (size_t i = 0; i < PART_COUNT; i++)
        array_close(&arrays[i]);
    return code;
}
_Static_assert(PART_FEATURES == 0 && PART_LABELS == 1, "the order of the two files");

// ---- archives ----

static bool ends_in(const char *text, size_t size, const char *end)
{
    const size_t length = strlen(end);
    return size > length && memcmp(text + size - length, end, length) == 0;
}

// The part that an entry is, or -1. Names that are long are none of ours.
static int part_of(const char *path)
{
    char name[256];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t size = strlen(base);
    if (size == 0 || size >= sizeof name)
        return -1;
    if (ends_in(base, size, ".gz"))
        size -= strlen(".gz");
    if (ends_in(base, size, ".npy"))
        size -= strlen(".npy");
    memcpy(name, base, size);
    name[size] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].is_within ? strstr(name, names[i].name) != NULL : strcmp(name, names[i].name) == 0)
            return (int)names[i].part;
    return -1;
}

static enum nabla_code find_parts(const struct zip *zip, const struct zip_entry *parts[PART_COUNT],
                                  struct nabla_error *err)
{
    for (size_t i = 0; i < zip->count; i++) {
        const struct zip_entry *entry = &zip->entries[i];
        const int part = part_of(entry->name);
        char first[UTF8_EXCERPT_SIZE], second[UTF8_EXCERPT_SIZE];
        if (part < 0)
            continue;
        if (parts[part])
            return nabla_fail(err, NABLA_INVALID, NULL,
                              "both \"%s\" and \"%s\" are taken for the %s: leave one out",
                              utf8_excerpt(first, parts[part]->name, strlen(parts[part]->name)),
                              utf8_excerpt(second, entry->name, strlen(entry->name)), part_names[part]);
        parts[part] = entry;
    }
    for (size_t i = PART_FEATURES; i <= PART_LABELS; i++)
        if (!parts[i])
            return nabla_fail(
                err, NABLA_INVALID, NULL,
                "the archive has no %s: an array named features, X or x, or images, is due, and one "
                "named labels or y",
                part_names[i]);
    return NABLA_OK;
}

static enum nabla_code open_parts(const struct zip_entry *const parts[PART_COUNT], size_t most,
                                  struct buffer rooms[PART_COUNT], struct array arrays[PART_COUNT],
                                  bool present[PART_COUNT], struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < PART_COUNT && !code; i++) {
        const void *bytes;
        if (!parts[i])
            continue;
        code = zip_content(parts[i], most, &rooms[i], &bytes, err);
        if (!code)
            code = array_open(parts[i]->name, bytes, (size_t)parts[i]->size, most, &arrays[i], err);
        present[i] = !code;
    }
    return code;
}

enum nabla_code dataset_from_archive(const void *bytes, size_t size, const struct dataset_limits *limits,
                                     struct dataset **ret, struct nabla_error *err)
{
    struct zip zip = {0};
    const struct zip_entry *parts[PART_COUNT] = {NULL};
    struct buffer rooms[PART_COUNT] = {{0}};
    struct array arrays[PART_COUNT] = {0};
    bool present[PART_COUNT] = {false};
    enum nabla_code code = zip_read(bytes, size, &zip, err);
    if (!code)
        code = find_parts(&zip, parts, err);
    if (!code)
        code = open_parts(parts, bytes_most(limits), rooms, arrays, present, err);
    if (!code)
        code = build(arrays, present, limits, ret, err);
    for (size_t i = 0; i < PART_COUNT; i++) {
        array_close(&arrays[i]);
        buffer_free(&rooms[i]);
    }
    zip_free(&zip);
    return code;
}
