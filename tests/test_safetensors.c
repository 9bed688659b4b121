#include "data/dataset.h"
#include "data/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mapped_file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct dataset_limits roomy = {.rows = 1000, .columns = 100, .classes = 100, .bytes = 1 << 20};

// A file of this header and that many bytes of data, 1, 2, 3, …
static struct buffer make_file(const char *header, size_t data_size)
{
    struct buffer file = buffer_new(1 << 24);
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        buffer_char(&file, (char)(length >> (8 * i) & 0xFF));
    buffer_text(&file, header);
    for (size_t i = 0; i < data_size; i++)
        buffer_char(&file, (char)(i + 1));
    assert_int_equal(file.failed, NABLA_OK);
    return file;
}

// The bytes lie in memory of their exact size, so that a sanitizer sees a read beyond it. Frees what was
// read.
static enum nabla_code read_exact(const char *bytes, size_t size, struct nabla_error *err)
{
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, bytes, size);
    struct safetensors *file = NULL;
    enum nabla_code code = safetensors_read(exact, size, &file, err);
    assert_true((code == NABLA_OK) == (file != NULL));
    safetensors_free(file);
    free(exact);
    return code;
}

static const struct {
    const char *header;
    size_t data_size;
    const char *comment;
} accepted[] = {
    {"{}", 0, "no tensors"},
    {"{}      ", 0, "padding"},
    {"{\"__metadata__\":{}}", 0, "empty metadata"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3, "bytes"},
    {"{\"a\":{\"data_offsets\":[0,8],\"shape\":[1,1,1],\"dtype\":\"F64\"}}", 8, "fields in any order"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "a scalar"},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0, "an empty tensor"},
    {"{\"b\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[1,5]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     5, "entries not in order of their data"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
     3, "an empty tensor between two"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "eight dimensions"},
};

static void good_files_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct buffer file = make_file(accepted[i].header, accepted[i].data_size);
        struct nabla_error err = {0};
        if (read_exact(file.data, file.size, &err))
            fail_msg("%s: %s", accepted[i].comment, err.text);
        buffer_free(&file);
    }
}

#define ENTRY(dtype, shape, offsets)                                                                         \
    "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}}"

static const struct {
    const char *header;
    size_t data_size;
    const char *error, *comment;
} refused[] = {
    {"", 0, "start with '{'", "no header"},
    {" {}", 0, "start with '{'", "white space in front"},
    {"[]", 0, "start with '{'", "a list"},
    {"{", 0, "ends too early", "JSON cut off"},
    {"{}{}", 0, "", "two objects"},
    {"{}\x01", 0, "", "something behind"},
    {"{} ", 1, "1 bytes behind the last tensor", "data that belongs to none"},
    {"{\"w\":1}", 0, "", "a tensor that is no object"},
    {"{\"w\":{}}", 0, "\"w\" lacks", "no fields"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "\"w\" lacks", "no offsets"},
    {"{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "\"w\" lacks", "no shape"},
    {"{\"w\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "\"w\" lacks", "no dtype"},
    {"{\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "\"w\" names a field twice", "a field twice"},
    {"{\"w\":{\"x\":1,\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "\"w\" has a field besides", "an unknown field"},
    {ENTRY("BF16", "1", "0,2"), 2, "\"w\" has a dtype besides", "an unknown dtype"},
    {ENTRY("u8", "1", "0,1"), 1, "\"w\" has a dtype besides", "a dtype in lower case"},
    {ENTRY("U8\\u0000", "1", "0,1"), 1, "NUL", "a dtype with a NUL"},
    {ENTRY("U8", "-1", "0,1"), 1, "\"w\"", "a negative dimension"},
    {ENTRY("U8", "1.0", "0,1"), 1, "\"w\"", "a fraction as dimension"},
    {ENTRY("U8", "1e0", "0,1"), 1, "\"w\"", "an exponent as dimension"},
    {ENTRY("U8", "\"1\"", "0,1"), 1, "\"w\"", "a text as dimension"},
    {ENTRY("U8", "[1]", "0,1"), 1, "\"w\"", "a list as dimension"},
    {ENTRY("U8", "18446744073709551616", "0,1"), 1, "\"w\"", "a dimension beyond 64 bits"},
    {ENTRY("U8", "1,1,1,1,1,1,1,1,1", "0,1"), 1, "\"w\" has too many", "nine dimensions"},
    {ENTRY("U8", "4294967296,4294967296", "0,0"), 0, "\"w\" has a shape whose product overflows",
     "a product that wraps to 0"},
    {ENTRY("F64", "2305843009213693953", "0,8"), 8, "\"w\" has a shape whose product overflows",
     "bytes that wrap to 8"},
    {ENTRY("U8", "2", "0,1"), 1, "\"w\" has offsets that do not span", "too few bytes for the shape"},
    {ENTRY("U8", "1", "0,2"), 2, "\"w\" has offsets that do not span", "too many bytes for the shape"},
    {ENTRY("U8", "2", "0,2"), 1, "\"w\" ends behind the end", "data cut off"},
    {ENTRY("U8", "1", "18446744073709551615,18446744073709551615"), 1, "\"w\" ends behind the end",
     "offsets at the end of 64 bits"},
    {ENTRY("U8", "1", "1,0"), 1, "\"w\" needs data_offsets", "offsets the wrong way round"},
    {ENTRY("U8", "1", "0"), 1, "\"w\" needs data_offsets", "one offset"},
    {ENTRY("U8", "1", "0,1,1"), 1, "\"w\" has too many", "three offsets"},
    {ENTRY("U8", "1", "1,2"), 2, "\"w\" leaves a hole", "a hole in front"},
    {ENTRY("U8", "1", "0,1"), 2, "1 bytes behind", "a hole at the end"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],"
     "\"data_offsets\":[2,3]}}",
     3, "\"b\" leaves a hole", "a hole between"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],"
     "\"data_offsets\":[1,3]}}",
     3, "\"b\" overlaps", "an overlap"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],"
     "\"data_offsets\":[0,2]}}",
     2, "overlaps", "the same bytes twice"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],"
     "\"data_offsets\":[1,2]}}",
     2, "\"a\" stands twice", "a name twice"},
    {"{\"a\\u0000\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "NUL", "a name with a NUL"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ stands twice", "metadata twice"},
    {"{\"__metadata__\":{\"k\":\"1\",\"j\":\"\",\"k\":\"2\"}}", 0, "__metadata__ has \"k\" twice",
     "a key of the metadata twice"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "", "a number in the metadata"},
    {"{\"__metadata__\":{\"k\":\"a\\u0000b\"}}", 0, "NUL", "a NUL in the metadata"},
    {"{\"__metadata__\":[]}", 0, "", "metadata that is a list"},
    {"{\"\xff\":{}}", 0, "UTF-8", "a name that is not UTF-8"},
};

static void bad_headers_are_refused_with_the_tensors_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct buffer file = make_file(refused[i].header, refused[i].data_size);
        struct nabla_error err = {0};
        enum nabla_code code = read_exact(file.data, file.size, &err);
        if (code != NABLA_MALFORMED || !strstr(err.text, refused[i].error))
            fail_msg("%s: %s, %s", refused[i].comment, nabla_code_name(code), err.text);
        buffer_free(&file);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct buffer file = make_file("{\"__metadata__\":{\"k\":\"v\"},"
                                   "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  ",
                                   8);
    struct nabla_error err;
    for (size_t size = 0; size < file.size; size++)
        assert_int_equal(read_exact(file.data, size, &err), NABLA_MALFORMED);
    assert_int_equal(read_exact(file.data, file.size, &err), NABLA_OK);
    buffer_free(&file);
}

static void header_lengths_are_held_to_file_and_limit(void **state)
{
    (void)state;
    static const unsigned char lengths[][8] = {
        {3, 0, 0, 0, 0, 0, 0, 0},                         // one more than there is
        {2, 0, 0, 0, 0, 0, 0, 0x80},                      // 2⁶³ + 2
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // wraps when 8 is added
        {0, 0, 0, 2, 0, 0, 0, 0},                         // 32 MiB: above the limit
    };
    for (size_t i = 0; i < COUNT(lengths); i++) {
        char bytes[10] = {[8] = '{', [9] = '}'};
        struct nabla_error err;
        memcpy(bytes, lengths[i], 8);
        assert_int_equal(read_exact(bytes, sizeof bytes, &err), NABLA_MALFORMED);
    }
}

// A search that compares each key with all before it would take minutes here.
static void many_keys_are_no_burden(void **state)
{
    (void)state;
    enum { KEYS = 200000 };
    struct buffer header = buffer_new(1 << 23);
    buffer_text(&header, "{\"__metadata__\":{");
    for (int i = 0; i < KEYS; i++)
        buffer_format(&header, "%s\"%d\":\"\"", i ? "," : "", i);
    buffer_text(&header, "}}");
    struct buffer file = make_file(header.data, 0);
    struct nabla_error err;
    assert_int_equal(read_exact(file.data, file.size, &err), NABLA_OK);
    buffer_free(&header);
    buffer_free(&file);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const double doubles[] = {-0.0, NAN};
    static const unsigned char bytes[] = {7, 8, 9};
    struct tensor tensors[] = {
        {.name = (char[]){"u \"\xc3\xa9\""},
         .dtype = TENSOR_U8,
         .rank = 1,
         .shape = {3},
         .data = bytes,
         .bytes = 3},
        {.name = (char[]){"d"},
         .dtype = TENSOR_F64,
         .rank = 2,
         .shape = {1, 2},
         .data = doubles,
         .bytes = 16},
        {.name = (char[]){"empty"}, .dtype = TENSOR_I64, .rank = 1, .shape = {0}, .data = NULL, .bytes = 0},
    };
    const struct tensor_metadata metadata[] = {{(char[]){"k\n"}, (char[]){"{\"a\":[1]}"}}};
    struct buffer buffer = buffer_new(10000);
    struct safetensors *file = NULL;
    buffer_text(&buffer, "before: "); // it appends
    assert_int_equal(safetensors_write(tensors, 3, metadata, 1, &buffer, NULL), NABLA_OK);
    const char *begin = buffer.data + 8;
    assert_int_equal((unsigned char)begin[0] % 8, 0);
    assert_int_equal(safetensors_read(begin, buffer.size - 8, &file, NULL), NABLA_OK);
    assert_int_equal(file->tensor_count, 3);
    assert_string_equal(safetensors_metadata(file, "k\n"), "{\"a\":[1]}");
    assert_null(safetensors_metadata(file, "k"));
    assert_null(safetensors_find(file, "nonesuch"));
    const struct tensor *d = safetensors_find(file, "d");
    assert_true(d->dtype == TENSOR_F64 && d->rank == 2 && d->shape[1] == 2 && d->elements == 2);
    assert_memory_equal(d->data, doubles, sizeof doubles);
    assert_memory_equal(safetensors_find(file, tensors[0].name)->data, bytes, sizeof bytes);
    assert_int_equal(safetensors_find(file, "empty")->elements, 0);
    safetensors_free(file);
    buffer_free(&buffer);
    safetensors_free(NULL);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    const struct tensor tensor = {.name = (char[]){"a"},
                                  .dtype = TENSOR_U8,
                                  .rank = 1,
                                  .shape = {100},
                                  .data = (char[100]){0},
                                  .bytes = 100};
    struct nabla_error err;
    for (size_t limit = 0; limit < 150; limit += 30) {
        struct buffer buffer = buffer_new(limit);
        assert_int_equal(safetensors_write(&tensor, 1, NULL, 0, &buffer, &err), NABLA_LIMIT);
        buffer_free(&buffer);
    }
}

// From memory, and again from a mapped file: both are the same, mistakes included.
static enum nabla_code read_dataset(const struct buffer *buffer, struct dataset **ret,
                                    struct nabla_error *err)
{
    struct nabla_error mapped_err = {0};
    struct mapped mapped = map_bytes(buffer);
    struct dataset *of_file = NULL;
    enum nabla_code code = safetensors_read_dataset(buffer->data, buffer->size, &roomy, ret, err);
    assert_int_equal(safetensors_map_dataset(&mapped, &roomy, &of_file, &mapped_err), code);
    if (code && err)
        assert_string_equal(mapped_err.text, err->text);
    if (!code) {
        assert_true((mapped.bytes == NULL) == (of_file->file.bytes != NULL));
        assert_memory_equal(of_file->features, (*ret)->features,
                            (*ret)->rows * (*ret)->columns * sizeof *of_file->features);
        assert_null((*ret)->file.bytes);
    }
    dataset_free(of_file);
    mapped_close(&mapped);
    return code;
}

static struct dataset *write_and_read(const struct dataset *dataset)
{
    struct buffer buffer = buffer_new(1 << 16);
    struct nabla_error err = {0};
    struct dataset *again = NULL;
    assert_int_equal(safetensors_write_dataset(dataset, &buffer, &err), NABLA_OK);
    if (read_dataset(&buffer, &again, &err))
        fail_msg("%s", err.text);
    assert_true(again->rows == dataset->rows && again->columns == dataset->columns);
    assert_true(again->classes == dataset->classes && again->outputs == dataset->outputs);
    assert_memory_equal(again->features, dataset->features, dataset->rows * dataset->columns * sizeof(float));
    for (size_t j = 0; j < dataset->columns; j++)
        assert_string_equal(again->feature_names[j], dataset->feature_names[j]);
    assert_string_equal(again->label_name, dataset->label_name);
    buffer_free(&buffer);
    return again;
}

// The last class has no row: its name alone tells of it.
static void a_classification_data_set_reads_back(void **state)
{
    (void)state;
    static const float features[] = {1, -0.0f, 1e-45f, 3.4028235e38f, 5, 6};
    static const int32_t ids[] = {1, 0, 1};
    struct dataset *dataset;
    assert_int_equal(dataset_new(3, 2, 3, &dataset, NULL), NABLA_OK);
    memcpy(dataset->features, features, sizeof features);
    memcpy(dataset->ids, ids, sizeof ids);
    dataset->class_names[2] = strdup("\"quoted\", \xc3\xa9");
    dataset->feature_names[0] = strdup("a\nb");
    dataset->label_name = strdup("");
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    struct dataset *again = write_and_read(dataset);
    assert_memory_equal(again->ids, ids, sizeof ids);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(again->class_names[i], dataset->class_names[i]);
    dataset_free(again);
    dataset_free(dataset);
}

static void a_regression_data_set_reads_back(void **state)
{
    (void)state;
    static const float targets[] = {0.5f, -1, 2, 3};
    struct dataset *dataset;
    assert_int_equal(dataset_new_targets(2, 1, 2, &dataset, NULL), NABLA_OK);
    memcpy(dataset->targets, targets, sizeof targets);
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    struct dataset *again = write_and_read(dataset);
    assert_memory_equal(again->targets, targets, sizeof targets);
    dataset_free(again);
    dataset_free(dataset);
}

static void what_rows_weigh_reads_back_and_is_checked(void **state)
{
    (void)state;
    const struct {
        float weight;
        const char *error;
    } cases[] = {{0, NULL},
                 {2.5f, NULL},
                 {-1, "sample_weights: row 2 is negative"},
                 {INFINITY, "sample_weights: row 2, column 1 is not a finite number of float32's range"}};
    struct dataset *dataset, *again;
    assert_int_equal(dataset_new_targets(2, 1, 1, &dataset, NULL), NABLA_OK);
    assert_int_equal(dataset_add_weights(dataset, NULL), NABLA_OK);
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    dataset->weights[0] = 0.25f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer buffer = buffer_new(1 << 16);
        struct nabla_error err = {0};
        dataset->weights[1] = cases[i].weight;
        assert_int_equal(safetensors_write_dataset(dataset, &buffer, &err), NABLA_OK);
        enum nabla_code code = read_dataset(&buffer, &again, &err);
        buffer_free(&buffer);
        assert_string_equal(code ? err.text : "", cases[i].error ? cases[i].error : "");
        if (code)
            continue;
        assert_memory_equal(again->weights, dataset->weights, 2 * sizeof(float));
        dataset_free(again);
    }
    dataset_free(dataset);
}

// A file of features and labels as someone else would write it.
static enum nabla_code read_foreign(const struct tensor *features, const struct tensor *labels,
                                    const char *key, const char *value, struct dataset **ret,
                                    struct nabla_error *err)
{
    const struct tensor_metadata metadata = {(char *)(uintptr_t)key, (char *)(uintptr_t)value};
    struct tensor tensors[] = {*labels, *features};
    struct buffer buffer = buffer_new(1 << 16);
    assert_int_equal(safetensors_write(tensors, 2, &metadata, key != NULL, &buffer, NULL), NABLA_OK);
    enum nabla_code code = read_dataset(&buffer, ret, err);
    buffer_free(&buffer);
    return code;
}

static struct tensor tensor_of(const char *name, enum tensor_dtype dtype, size_t rows, size_t columns,
                               const void *data)
{
    static const size_t widths[] = {
        [TENSOR_F64] = 8, [TENSOR_F32] = 4, [TENSOR_I64] = 8, [TENSOR_I32] = 4, [TENSOR_U8] = 1};
    struct tensor tensor = {.name = (char *)(uintptr_t)name,
                            .dtype = dtype,
                            .rank = columns ? 2 : 1,
                            .shape = {rows, columns},
                            .data = data};
    tensor.bytes = rows * (columns ? columns : 1) * widths[dtype];
    return tensor;
}

static void foreign_dtypes_are_converted_and_names_made_up(void **state)
{
    (void)state;
    static const double f64[] = {1, 1e-320, -2.5, 0.1};
    static const int64_t i64[] = {0, 2};
    static const unsigned char u8[] = {0, 2};
    static const double targets[] = {0.1, -3};
    const struct tensor features = tensor_of("features", TENSOR_F64, 2, 2, f64);
    const struct tensor labels[] = {tensor_of("labels", TENSOR_I64, 2, 0, i64),
                                    tensor_of("labels", TENSOR_U8, 2, 0, u8)};
    struct dataset *d;
    for (size_t i = 0; i < COUNT(labels); i++) {
        assert_int_equal(read_foreign(&features, &labels[i], NULL, NULL, &d, NULL), NABLA_OK);
        assert_true(d->features[0] == 1 && d->features[1] == 0 && d->features[3] == 0.1f);
        assert_true(d->classes == 3 && d->ids[0] == 0 && d->ids[1] == 2);
        assert_string_equal(d->feature_names[1], "x1");
        assert_string_equal(d->class_names[2], "2");
        dataset_free(d);
    }
    const struct tensor numbers = tensor_of("labels", TENSOR_F64, 2, 1, targets);
    assert_int_equal(read_foreign(&features, &numbers, NULL, NULL, &d, NULL), NABLA_OK);
    assert_true(d->outputs == 1 && d->targets[0] == 0.1f && d->targets[1] == -3 && d->classes == 0);
    dataset_free(d);
    const struct tensor alone = tensor_of("labels", TENSOR_F64, 2, 0, targets);
    assert_int_equal(read_foreign(&features, &alone, NULL, NULL, &d, NULL), NABLA_OK);
    assert_true(d->outputs == 1 && d->targets[0] == 0.1f && d->targets[1] == -3 && d->classes == 0);
    dataset_free(d);
}

// Only float32 that lies on its bounds can be read where it is.
static void features_stay_in_their_file(void **state)
{
    (void)state;
    static const float f32[] = {1, NAN, 3, 4};
    static const double f64[] = {1, NAN, 3, 4};
    static const unsigned char ids[] = {0, 1};
    const struct {
        struct tensor features, labels;
        bool stays;
    } cases[] = {
        {tensor_of("features", TENSOR_F32, 2, 2, f32),
         tensor_of("labels", TENSOR_I32, 2, 0, (int32_t[]){0, 1}), true},
        {tensor_of("features", TENSOR_F64, 2, 2, f64), tensor_of("labels", TENSOR_U8, 2, 0, ids), false},
        {tensor_of("features", TENSOR_F32, 2, 2, f32), tensor_of("labels", TENSOR_U8, 2, 0, ids), false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct tensor tensors[] = {cases[i].labels, cases[i].features};
        struct buffer buffer = buffer_new(1 << 16);
        struct dataset *dataset;
        assert_int_equal(safetensors_write(tensors, 2, NULL, 0, &buffer, NULL), NABLA_OK);
        struct mapped mapped = map_bytes(&buffer);
        assert_int_equal(safetensors_map_dataset(&mapped, &roomy, &dataset, NULL), NABLA_OK);
        assert_int_equal(dataset->file.bytes != NULL, cases[i].stays);
        assert_int_equal(mapped.bytes == NULL, cases[i].stays);
        for (size_t row = 0; row < 2; dataset_passed(dataset, ++row)) // let go of, they are read again
            assert_true(dataset->ids[row] == (int32_t)row && dataset->features[2 * row] == f32[2 * row]);
        assert_true(dataset->features[0] == 1 && isnan(dataset->features[1]) && dataset->features[3] == 4);
        dataset_free(dataset);
        mapped_close(&mapped);
        buffer_free(&buffer);
    }
    struct dataset *none;
    assert_int_equal(safetensors_open_dataset("/nonexistent", &roomy, &none, NULL), NABLA_NOT_FOUND);
}

static const float some_features[] = {1, 2, 3, 4};

static const struct {
    enum tensor_dtype dtype;
    size_t rows, columns;
    double labels[4];
    const char *key, *value;
    enum nabla_code code;
    const char *error;
} bad_labels[] = {
    {TENSOR_I64, 2, 0, {0, -1}, NULL, NULL, NABLA_INVALID, "labels: row 2 has the class id -1"},
    {TENSOR_I64,
     2,
     0,
     {4294967296.0, 1},
     NULL,
     NULL,
     NABLA_INVALID,
     "labels: row 1 has the class id 4294967296"},
    {TENSOR_I64, 2, 0, {2147483647, 1}, NULL, NULL, NABLA_INVALID, "labels: row 1"},
    {TENSOR_I64,
     2,
     0,
     {100, 1},
     NULL,
     NULL,
     NABLA_LIMIT,
     "101 classes, the limit max_dataset_classes is 100"},
    {TENSOR_I64, 2, 0, {1, 1}, NULL, NULL, NABLA_INVALID, "one class"},
    {TENSOR_I64, 1, 0, {0}, NULL, NULL, NABLA_INVALID, "labels has 1 rows where features has 2"},
    {TENSOR_I64, 0, 0, {0}, NULL, NULL, NABLA_INVALID, "labels must be"},
    {TENSOR_F64, 2, 1, {0, NAN}, NULL, NULL, NABLA_INVALID, "labels: row 2, column 1"},
    {TENSOR_F64, 2, 2, {0, 1, 2, 1e39}, NULL, NULL, NABLA_INVALID, "labels: row 2, column 2"},
    {TENSOR_I64, 2, 0, {0, 1}, "class_names", "[\"a\"]", NABLA_INVALID, "class_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "class_names", "[\"a\",1]", NABLA_INVALID, "class_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "class_names", "[\"a\",\"b\\u0000\"]", NABLA_INVALID, "class_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "class_names", "{\"a\":\"b\"}", NABLA_INVALID, "class_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "feature_names", "a,b", NABLA_INVALID, "feature_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "feature_names", "[\"a\",\"b\",\"c\"]", NABLA_INVALID, "feature_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "feature_names", "[\"a\",\"b\"", NABLA_INVALID, "feature_names"},
    {TENSOR_I64, 2, 0, {0, 1}, "feature_names", "[\"a\",\"b\"] x", NABLA_INVALID, "feature_names"},
};

static void bad_labels_and_names_are_refused(void **state)
{
    (void)state;
    const struct tensor features = tensor_of("features", TENSOR_F32, 2, 2, some_features);
    for (size_t i = 0; i < COUNT(bad_labels); i++) {
        int64_t ids[4];
        for (size_t k = 0; k < 4; k++)
            ids[k] = bad_labels[i].dtype == TENSOR_I64 ? (int64_t)bad_labels[i].labels[k] : 0;
        const void *data = bad_labels[i].dtype == TENSOR_I64 ? (const void *)ids : bad_labels[i].labels;
        const struct tensor labels =
            tensor_of("labels", bad_labels[i].dtype, bad_labels[i].rows, bad_labels[i].columns, data);
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        enum nabla_code code =
            read_foreign(&features, &labels, bad_labels[i].key, bad_labels[i].value, &dataset, &err);
        if (code != bad_labels[i].code || !strstr(err.text, bad_labels[i].error) || dataset)
            fail_msg("case %zu: %s, %s", i, nabla_code_name(code), err.text);
    }
}

static void bad_features_are_refused(void **state)
{
    (void)state;
    static const double beyond[] = {1, 2, 1e39, 4};
    static const float infinite[] = {1, INFINITY, 3, 4};
    static const int32_t ids[] = {0, 1};
    const struct {
        struct tensor features;
        enum nabla_code code;
        const char *error;
    } cases[] = {
        {tensor_of("features", TENSOR_F64, 2, 2, beyond), NABLA_INVALID, "features: row 2, column 1"},
        {tensor_of("features", TENSOR_F32, 2, 2, infinite), NABLA_INVALID, "features: row 1, column 2"},
        {tensor_of("features", TENSOR_F32, 4, 0, some_features), NABLA_INVALID, "features must be"},
        {tensor_of("features", TENSOR_F32, 0, 2, some_features), NABLA_INVALID, "features must be"},
        {tensor_of("x", TENSOR_F32, 2, 2, some_features), NABLA_INVALID,
         "needs the tensors features and labels"},
    };
    const struct tensor labels = tensor_of("labels", TENSOR_I32, 2, 0, ids);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        enum nabla_code code = read_foreign(&cases[i].features, &labels, NULL, NULL, &dataset, &err);
        if (code != cases[i].code || !strstr(err.text, cases[i].error) || dataset)
            fail_msg("case %zu: %s, %s", i, nabla_code_name(code), err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(bad_headers_are_refused_with_the_tensors_name),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(header_lengths_are_held_to_file_and_limit),
        cmocka_unit_test(many_keys_are_no_burden),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(a_classification_data_set_reads_back),
        cmocka_unit_test(a_regression_data_set_reads_back),
        cmocka_unit_test(what_rows_weigh_reads_back_and_is_checked),
        cmocka_unit_test(foreign_dtypes_are_converted_and_names_made_up),
        cmocka_unit_test(features_stay_in_their_file),
        cmocka_unit_test(bad_labels_and_names_are_refused),
        cmocka_unit_test(bad_features_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
