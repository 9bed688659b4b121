// Reading: the header is walked once by the pull reader; every tensor is held against the bytes before any is
// used.
#include "data/safetensors.h"

#include "base/json.h"
#include "base/number.h"
#include "base/size.h"
#include "base/utf8.h"
#include "data/tensor_dtype.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_LENGTH_SIZE = 8, HEADER_MAX = 16 << 20, METADATA_MAX_BYTES = 8 << 20, TENSORS_MAX = 100000 };

// The dtypes that are read; the others of the format are refused by name.
const struct tensor_dtype_info tensor_dtypes[TENSOR_DTYPE_COUNT] = {
    [TENSOR_F64] = {"F64", 8}, [TENSOR_F32] = {"F32", 4}, [TENSOR_I64] = {"I64", 8},
    [TENSOR_I32] = {"I32", 4}, [TENSOR_U8] = {"U8", 1},
};

// What a header's entry says before it is checked.
struct entry {
    struct tensor tensor;
    size_t begin, end; // data_offsets
    bool has_dtype, has_shape, has_offsets;
};

struct header_reader {
    struct json_reader json;
    struct safetensors *file;
    size_t tensor_capacity, metadata_capacity;
};

static enum nabla_code malformed(struct nabla_error *err, const char *name, const char *what)
{
    char shown[UTF8_EXCERPT_SIZE];
    return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: tensor \"%s\" %s",
                      utf8_excerpt(shown, name, strlen(name)), what);
}

// The next token of the header, whose texts are kept as C strings: one with a NUL would be cut there.
static enum nabla_code next_token(struct json_reader *json, enum json_token *ret, struct nabla_error *err)
{
    enum nabla_code code = json_next(json, ret, err);
    bool has_text = !code && (*ret == JSON_KEY || *ret == JSON_STRING);
    if (has_text && strlen(json->string.data) != json->string.size)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "safetensors: a text in the header holds a NUL character");
    return code;
}

static enum nabla_code expect_token(struct json_reader *json, enum json_token wanted, const char *what,
                                    struct nabla_error *err)
{
    enum json_token token;
    enum nabla_code code = next_token(json, &token, err);
    if (code)
        return code;
    if (token != wanted)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: the header has no %s where one is due",
                          what);
    return NABLA_OK;
}

// A list of at most `most` whole numbers.
static enum nabla_code read_sizes(struct json_reader *json, size_t *ret, size_t most, size_t *ret_count,
                                  const char *name, struct nabla_error *err)
{
    enum nabla_code code = expect_token(json, JSON_ARRAY_BEGIN, "list", err);
    size_t count = 0;
    while (!code) {
        enum json_token token;
        code = next_token(json, &token, err);
        if (code || token == JSON_ARRAY_END)
            break;
        if (count == most)
            return malformed(err, name, "has too many dimensions or offsets");
        if (token != JSON_NUMBER || !number_read_size(json->token, json->at, &ret[count++]))
            return malformed(err, name, "has a shape or offset that is no whole number");
    }
    if (!code)
        *ret_count = count;
    return code;
}

static int dtype_find(const char *name)
{
    for (int i = 0; i < TENSOR_DTYPE_COUNT; i++)
        if (strcmp(tensor_dtypes[i].name, name) == 0)
            return i;
    return -1;
}

static enum nabla_code read_dtype(struct json_reader *json, struct entry *entry, struct nabla_error *err)
{
    enum nabla_code code = expect_token(json, JSON_STRING, "dtype", err);
    if (code)
        return code;
    int dtype = dtype_find(json->string.data);
    if (dtype < 0)
        return malformed(err, entry->tensor.name, "has a dtype besides F64, F32, I64, I32 and U8");
    entry->tensor.dtype = (enum tensor_dtype)dtype;
    entry->has_dtype = true;
    return NABLA_OK;
}

static enum nabla_code read_offsets(struct json_reader *json, struct entry *entry, struct nabla_error *err)
{
    size_t offsets[2], count;
    enum nabla_code code = read_sizes(json, offsets, 2, &count, entry->tensor.name, err);
    if (code)
        return code;
    if (count != 2 || offsets[0] > offsets[1])
        return malformed(err, entry->tensor.name, "needs data_offsets [begin, end]");
    entry->begin = offsets[0];
    entry->end = offsets[1];
    entry->has_offsets = true;
    return NABLA_OK;
}

static enum nabla_code read_entry_field(struct json_reader *json, struct entry *entry,
                                        struct nabla_error *err)
{
    const char *key = json->string.data;
    bool repeated = (strcmp(key, "dtype") == 0 && entry->has_dtype) ||
                    (strcmp(key, "shape") == 0 && entry->has_shape) ||
                    (strcmp(key, "data_offsets") == 0 && entry->has_offsets);
    if (repeated)
        return malformed(err, entry->tensor.name, "names a field twice");
    if (strcmp(key, "dtype") == 0)
        return read_dtype(json, entry, err);
    if (strcmp(key, "data_offsets") == 0)
        return read_offsets(json, entry, err);
    if (strcmp(key, "shape") != 0)
        return malformed(err, entry->tensor.name, "has a field besides dtype, shape and data_offsets");
    entry->has_shape = true;
    // The name is read_entry's to free, or the file's: clang's analyzer sees neither through add_tensor.
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    return read_sizes(json, entry->tensor.shape, TENSOR_RANK_MAX, &entry->tensor.rank, entry->tensor.name,
                      err);
}

// The shape's product must be the bytes that the offsets span, inside the file.
static enum nabla_code check_entry(struct entry *entry, size_t data_size, struct nabla_error *err)
{
    struct tensor *tensor = &entry->tensor;
    if (!entry->has_dtype || !entry->has_shape || !entry->has_offsets)
        return malformed(err, tensor->name, "lacks dtype, shape or data_offsets");
    tensor->elements = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        if (!size_mul(tensor->elements, tensor->shape[i], &tensor->elements))
            return malformed(err, tensor->name, "has a shape whose product overflows");
    if (!size_mul(tensor->elements, tensor_dtypes[tensor->dtype].size, &tensor->bytes))
        return malformed(err, tensor->name, "has a shape whose product overflows");
    if (entry->end > data_size)
        return malformed(err, tensor->name, "ends behind the end of the file");
    if (entry->end - entry->begin != tensor->bytes)
        return malformed(err, tensor->name, "has offsets that do not span its shape");
    return NABLA_OK;
}

// Room for one more element of `width` bytes; a doubling array.
static bool grow(void **array, size_t count, size_t *capacity, size_t width)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 8, bytes;
    void *grown = size_mul(wanted, width, &bytes) ? realloc(*array, bytes) : NULL;
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

static enum nabla_code add_tensor(struct header_reader *reader, const struct entry *entry, const char *data,
                                  struct nabla_error *err)
{
    struct safetensors *file = reader->file;
    if (file->tensor_count == TENSORS_MAX)
        return nabla_fail(err, NABLA_LIMIT, NULL, "safetensors: more than %d tensors", TENSORS_MAX);
    if (!grow((void **)&file->tensors, file->tensor_count, &reader->tensor_capacity, sizeof *file->tensors))
        return nabla_fail_memory(err, "a tensor's header");
    file->tensors[file->tensor_count] = entry->tensor;
    file->tensors[file->tensor_count++].data = data + entry->begin;
    return NABLA_OK;
}

static enum nabla_code read_entry(struct header_reader *reader, const char *data, size_t data_size,
                                  struct nabla_error *err)
{
    struct entry entry = {.tensor.name = strdup(reader->json.string.data)};
    if (!entry.tensor.name)
        return nabla_fail_memory(err, "a tensor's name");
    enum nabla_code code = expect_token(&reader->json, JSON_OBJECT_BEGIN, "tensor's object", err);
    while (!code) {
        enum json_token token;
        code = next_token(&reader->json, &token, err);
        if (code || token == JSON_OBJECT_END)
            break;
        code = read_entry_field(&reader->json, &entry, err);
    }
    if (!code)
        code = check_entry(&entry, data_size, err);
    if (!code)
        code = add_tensor(reader, &entry, data, err);
    if (code)
        free(entry.tensor.name);
    return code;
}

static enum nabla_code read_metadata_pair(struct header_reader *reader, struct nabla_error *err)
{
    struct safetensors *file = reader->file;
    char *key = strdup(reader->json.string.data);
    enum nabla_code code = expect_token(&reader->json, JSON_STRING, "text in __metadata__", err);
    char *value = code ? NULL : strdup(reader->json.string.data);
    if (!code && (!key || !value ||
                  !grow((void **)&file->metadata, file->metadata_count, &reader->metadata_capacity,
                        sizeof *file->metadata)))
        code = nabla_fail_memory(err, "metadata");
    if (!code) {
        file->metadata[file->metadata_count++] = (struct tensor_metadata){.key = key, .value = value};
        return NABLA_OK;
    }
    free(key);
    free(value);
    return code;
}

static enum nabla_code read_metadata(struct header_reader *reader, struct nabla_error *err)
{
    enum nabla_code code = expect_token(&reader->json, JSON_OBJECT_BEGIN, "object for __metadata__", err);
    while (!code) {
        enum json_token token;
        code = next_token(&reader->json, &token, err);
        if (code || token == JSON_OBJECT_END)
            return code;
        code = read_metadata_pair(reader, err);
    }
    return code;
}

static enum nabla_code read_header(struct header_reader *reader, const char *data, size_t data_size,
                                   struct nabla_error *err)
{
    bool metadata_seen = false;
    enum nabla_code code = expect_token(&reader->json, JSON_OBJECT_BEGIN, "object", err);
    while (!code) {
        enum json_token token;
        code = next_token(&reader->json, &token, err);
        if (code || token == JSON_OBJECT_END)
            break;
        bool is_metadata = strcmp(reader->json.string.data, "__metadata__") == 0;
        if (is_metadata && metadata_seen)
            return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: __metadata__ stands twice");
        metadata_seen = metadata_seen || is_metadata;
        code = is_metadata ? read_metadata(reader, err) : read_entry(reader, data, data_size, err);
    }
    return code ? code : expect_token(&reader->json, JSON_END, "end", err);
}

static int compare_by_data(const void *a, const void *b)
{
    const struct tensor *left = a, *right = b;
    if (left->data != right->data)
        return (const char *)left->data < (const char *)right->data ? -1 : 1;
    return left->bytes < right->bytes ? -1 : left->bytes > right->bytes;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Sorted, equal names stand together: no header can make the search slow.
static const char *find_repeated(char **names, size_t count)
{
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return names[i];
    return NULL;
}

static enum nabla_code check_names(const struct safetensors *file, struct nabla_error *err)
{
    size_t most = file->tensor_count > file->metadata_count ? file->tensor_count : file->metadata_count;
    char **names = size_alloc(most, 1, sizeof *names);
    if (!names)
        return nabla_fail_memory(err, "tensor names");
    for (size_t i = 0; i < file->tensor_count; i++)
        names[i] = file->tensors[i].name;
    const char *tensor = find_repeated(names, file->tensor_count);
    for (size_t i = 0; i < file->metadata_count; i++)
        names[i] = file->metadata[i].key;
    const char *key = find_repeated(names, file->metadata_count);
    free(names);
    char shown[UTF8_EXCERPT_SIZE];
    if (tensor)
        return malformed(err, tensor, "stands twice");
    if (key)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: __metadata__ has \"%s\" twice",
                          utf8_excerpt(shown, key, strlen(key)));
    return NABLA_OK;
}

// In the order of their data the tensors must follow each other without overlap or hole, to the file's last
// byte.
static enum nabla_code check_cover(struct safetensors *file, const char *data, size_t data_size,
                                   struct nabla_error *err)
{
    if (file->tensor_count > 0)
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_by_data);
    const char *due = data;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const struct tensor *tensor = &file->tensors[i];
        if ((const char *)tensor->data < due)
            return malformed(err, tensor->name, "overlaps another one");
        if ((const char *)tensor->data > due)
            return malformed(err, tensor->name, "leaves a hole before its data");
        due = (const char *)tensor->data + tensor->bytes;
    }
    if (due != data + data_size)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "safetensors: %zu bytes behind the last tensor belong to none",
                          (size_t)(data + data_size - due));
    return NABLA_OK;
}

static enum nabla_code header_length(const unsigned char *bytes, size_t size, size_t *ret,
                                     struct nabla_error *err)
{
    if (size < HEADER_LENGTH_SIZE)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: %zu bytes are too few for a header",
                          size);
    uint64_t length = 0;
    for (int i = HEADER_LENGTH_SIZE - 1; i >= 0; i--)
        length = length << 8 | bytes[i];
    if (length > HEADER_MAX)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "safetensors: a header of %llu bytes is above the limit of %d",
                          (unsigned long long)length, HEADER_MAX);
    if (length > size - HEADER_LENGTH_SIZE)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: the file ends inside its header");
    if (length == 0 || bytes[HEADER_LENGTH_SIZE] != '{') // the format allows white space only behind it
        return nabla_fail(err, NABLA_MALFORMED, NULL, "safetensors: the header does not start with '{'");
    *ret = (size_t)length;
    return NABLA_OK;
}

enum nabla_code safetensors_read(const void *bytes, size_t size, struct safetensors **ret,
                                 struct nabla_error *err)
{
    size_t length = 0;
    enum nabla_code code = header_length(bytes, size, &length, err);
    if (code)
        return code;
    const char *header = (const char *)bytes + HEADER_LENGTH_SIZE, *data = header + length;
    size_t data_size = size - HEADER_LENGTH_SIZE - length;
    struct header_reader reader = {.json = json_open(header, length, METADATA_MAX_BYTES),
                                   .file = calloc(1, sizeof *reader.file)};
    code = reader.file ? read_header(&reader, data, data_size, err)
                       : nabla_fail_memory(err, "a safetensors file");
    if (!code)
        code = check_names(reader.file, err);
    if (!code)
        code = check_cover(reader.file, data, data_size, err);
    json_close(&reader.json);
    if (code)
        safetensors_free(reader.file);
    else
        *ret = reader.file;
    return code;
}

void safetensors_free(struct safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->tensor_count; i++)
        free(file->tensors[i].name);
    for (size_t i = 0; i < file->metadata_count; i++) {
        free(file->metadata[i].key);
        free(file->metadata[i].value);
    }
    free(file->tensors);
    free(file->metadata);
    free(file);
}

double tensor_number(const struct tensor *tensor, size_t index)
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

const struct tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    return NULL;
}
