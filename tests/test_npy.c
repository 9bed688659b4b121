// NPY files: what is read, and what is refused at which byte.
#include "data/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A file with this header and data (NULL: zeros), in memory of exactly its size, so that
// reading behind its end is noticed.
struct file {
    char *bytes;
    size_t size;
};

static struct file file_make(unsigned major, size_t length, const char *header, const void *data,
                             size_t data_size)
{
    size_t width = major == 1 ? 2 : 4, size = 8 + width + strlen(header) + data_size;
    struct file file = {malloc(size), size};
    assert_non_null(file.bytes);
    memcpy(file.bytes, "\x93NUMPY", 6);
    file.bytes[6] = (char)major;
    file.bytes[7] = 0;
    for (size_t i = 0; i < width; i++)
        file.bytes[8 + i] = (char)(length >> (8 * i) & 0xFF);
    memcpy(file.bytes + 8 + width, header, strlen(header));
    if (data)
        memcpy(file.bytes + size - data_size, data, data_size);
    else
        memset(file.bytes + size - data_size, 0, data_size);
    return file;
}

static const struct {
    const char *comment;
    unsigned version;
    const char *header;
    size_t data_size;
    enum tensor_dtype dtype;
    size_t rank, first, last; // of the shape
} taken[] = {
    {"as NumPy writes it", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }  \n", 48,
     TENSOR_F64, 2, 2, 3},
    {"one dimension", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }\n", 20, TENSOR_F32, 1, 5,
     5},
    {"no dimension is one element", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4,
     TENSOR_F32, 0, 0, 0},
    {"version 2.0", 2, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n", 8, TENSOR_I64, 1, 1, 1},
    {"version 3.0", 3, "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }\n", 4, TENSOR_I32, 1, 1, 1},
    {"bytes have no order", 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", 3, TENSOR_U8, 1,
     3, 3},
    {"fields in any order, other quotes, no spaces, no last comma", 1,
     "{\"shape\":(2,2),\"fortran_order\":True,\"descr\":\">f8\"}", 32, TENSOR_F64, 2, 2, 2},
    {"no elements", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 7), }\n", 0, TENSOR_F64, 2, 0,
     7},
    {"eight dimensions", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2), }\n", 8,
     TENSOR_F32, 8, 1, 2},
};

static void test_headers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        struct npy array;
        struct nabla_error err = {0};
        const char *header = taken[i].header;
        struct file file = file_make(taken[i].version, strlen(header), header, NULL, taken[i].data_size);
        print_message("%s\n", taken[i].comment);
        if (npy_read(file.bytes, file.size, &array, &err))
            fail_msg("%s", err.text);
        assert_int_equal(array.dtype, taken[i].dtype);
        assert_int_equal(array.rank, taken[i].rank);
        assert_int_equal(array.shape[0], taken[i].first);
        assert_int_equal(array.shape[array.rank ? array.rank - 1 : 0], taken[i].last);
        assert_int_equal(array.bytes, taken[i].data_size);
        assert_ptr_equal(array.data, file.bytes + file.size - taken[i].data_size);
        free(file.bytes);
    }
}

#define F8 "{'descr': '<f8', 'fortran_order': False, 'shape': "

static const struct {
    const char *comment;
    unsigned version;
    const char *header;
    size_t data_size;
    const char *says;
} refused[] = {
    {"objects are pickles", 1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8,
     "byte 20, in the header: the array holds Python objects"},
    {"objects of any spelling", 1, "{'descr': 'O8', 'fortran_order': False, 'shape': (1,)}", 8, "pickled"},
    {"structures", 1, "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", 8,
     "structured dtype"},
    {"half precision", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", 2, "'<f2' is not taken"},
    {"complex", 1, "{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", 16, "'<c16' is not taken"},
    {"no byte order", 1, "{'descr': 'f8', 'fortran_order': False, 'shape': (1,)}", 8, "'f8' is not taken"},
    {"no byte order where there must be one", 1, "{'descr': '|f8', 'fortran_order': False, 'shape': (1,)}", 8,
     "'|f8' is not taken"},
    {"an empty dtype", 1, "{'descr': '', 'fortran_order': False, 'shape': (1,)}", 8, "'' is not taken"},
    {"an endless text", 1, "{'descr': '<f8", 8, "has no end"},
    {"an escape", 1, "{'descr': '<f\\x38', 'fortran_order': False, 'shape': (1,)}", 8, "escape"},
    {"an order that is no truth", 1, "{'descr': '<f8', 'fortran_order': 1, 'shape': (1,)}", 8,
     "byte 44, in the header: fortran_order must be True or False"},
    {"a number is no tuple", 1, F8 "(3)}", 24, "is written (3,)"},
    {"a list is no tuple", 1, F8 "[3]}", 24, "shape must be a tuple"},
    {"a negative dimension", 1, F8 "(-3,)}", 24, "whole number"},
    {"a dimension beyond 64 bits", 1, F8 "(18446744073709551616,)}", 24, "fits into 64 bits"},
    {"a product beyond 64 bits", 1, F8 "(4294967296,4294967296)}", 24, "overflows"},
    {"bytes beyond 64 bits", 1, F8 "(4611686018427387904,)}", 24, "overflows"},
    {"nine dimensions", 1, F8 "(1,1,1,1,1,1,1,1,1)}", 8, "more than 8 dimensions"},
    {"an open tuple", 1, F8 "(3,", 24, "whole number"},
    {"no comma between dimensions", 1, F8 "(3 4)}", 24, "expected ',' or ')'"},
    {"no comma between fields", 1, "{'descr': '<f8' 'shape': (1,)}", 8, "expected ',' or '}'"},
    {"no colon", 1, "{'descr' '<f8'}", 8, "expected ':'"},
    {"an unknown field", 1, "{'dtype': '<f8', 'fortran_order': False, 'shape': (1,)}", 8,
     "byte 11, in the header: only"},
    {"a field twice", 1, "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8,
     "each once"},
    {"a field missing", 1, "{'descr': '<f8', 'shape': (1,)}", 8, "lacks 'fortran_order'"},
    {"nothing in the dict", 1, "{}", 8, "lacks 'descr'"},
    {"no dict", 1, "('descr',)", 8, "expected '{'"},
    {"an empty header", 1, "", 0, "expected '{'"},
    {"something behind the dict", 1, F8 "(1,)} x", 8, "something follows"},
    {"truncated data", 1, F8 "(2,)}", 15,
     "2 elements of 8 bytes are due behind byte 65, but 15 bytes stand there"},
    {"trailing bytes", 1, F8 "(2,)}", 17, "but 17 bytes"},
    {"no data", 1, F8 "(2,)}", 0, "but 0 bytes"},
    {"version 0", 0, F8 "(2,)}", 16, "version 0.0"},
    {"version 4", 4, F8 "(2,)}", 16, "version 4.0"},
};

static void test_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct npy array = {.rank = 99};
        struct nabla_error err = {0};
        const char *header = refused[i].header;
        struct file file = file_make(refused[i].version, strlen(header), header, NULL, refused[i].data_size);
        print_message("%s\n", refused[i].comment);
        assert_int_equal(npy_read(file.bytes, file.size, &array, &err), NABLA_MALFORMED);
        if (!strstr(err.text, refused[i].says))
            fail_msg("\"%s\" lacks \"%s\"", err.text, refused[i].says);
        assert_int_equal(array.rank, 99);
        free(file.bytes);
    }
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    const char *header = F8 "(2,)}\n";
    for (unsigned version = 1; version <= 3; version++) {
        struct file file = file_make(version, strlen(header), header, NULL, 16);
        for (size_t size = 0; size < file.size; size++) {
            struct npy array;
            char *part = malloc(size ? size : 1);
            memcpy(part, file.bytes, size);
            assert_int_equal(npy_read(part, size, &array, NULL), NABLA_MALFORMED);
            free(part);
        }
        free(file.bytes);
    }
}

static void test_a_header_length_that_lies_is_refused(void **state)
{
    (void)state;
    const size_t lengths[] = {0, 1, 55, 56, 57, 72, 73, 65535};
    const char *header = F8 "(2,)}\n";
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct npy array;
        struct file file = file_make(1, lengths[i], header, NULL, 16);
        enum nabla_code code = npy_read(file.bytes, file.size, &array, NULL);
        assert_int_equal(code, lengths[i] == strlen(header) ? NABLA_OK : NABLA_MALFORMED);
        free(file.bytes);
    }
}

static void test_fortran_order_and_byte_order_are_undone(void **state)
{
    (void)state;
    // The floats 1 to 6 as a 2×3 matrix, columns first, high byte first.
    static const unsigned char data[] = {0x3F, 0x80, 0, 0, 0x40, 0x80, 0, 0, 0x40, 0,    0, 0,
                                         0x40, 0xA0, 0, 0, 0x40, 0x40, 0, 0, 0x40, 0xC0, 0, 0};
    const char *header = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3)}";
    struct file file = file_make(1, strlen(header), header, data, sizeof data);
    struct npy array;
    float values[6];
    assert_int_equal(npy_read(file.bytes, file.size, &array, NULL), NABLA_OK);
    npy_copy(&array, values);
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (float)(i + 1));
    free(file.bytes);
}

static void test_three_dimensions_in_fortran_order(void **state)
{
    (void)state;
    int64_t stored[24], values[24];
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 3; j++)
            for (size_t k = 0; k < 4; k++)
                stored[i + 2 * j + 6 * k] = (int64_t)(i * 12 + j * 4 + k);
    const char *header = "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 3, 4)}";
    struct file file = file_make(1, strlen(header), header, stored, sizeof stored);
    struct npy array;
    assert_int_equal(npy_read(file.bytes, file.size, &array, NULL), NABLA_OK);
    npy_copy(&array, values);
    for (int i = 0; i < 24; i++)
        assert_int_equal(values[i], i);
    free(file.bytes);
}

static void test_doubles_of_the_other_byte_order(void **state)
{
    (void)state;
    static const unsigned char data[] = {0xC0, 0x04, 0, 0, 0, 0, 0, 0}; // -2.5
    const char *header = "{'descr': '>f8', 'fortran_order': False, 'shape': ()}";
    struct file file = file_make(1, strlen(header), header, data, sizeof data);
    struct npy array;
    double value;
    assert_int_equal(npy_read(file.bytes, file.size, &array, NULL), NABLA_OK);
    npy_copy(&array, &value);
    assert_true(value == -2.5);
    free(file.bytes);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static const struct {
        size_t rank, shape[3];
        const char *text;
    } shapes[] = {
        {0, {0}, "'shape': (), }"}, {1, {3}, "'shape': (3,), }"}, {2, {2, 2}, "'shape': (2, 2), }"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        static const double elements[4] = {1, 2, 3, 4};
        const size_t counts[] = {1, 3, 4};
        struct buffer file = buffer_new(4096);
        struct npy array;
        assert_int_equal(npy_write_header(TENSOR_F64, shapes[i].rank, shapes[i].shape, &file, NULL),
                         NABLA_OK);
        assert_int_equal(file.size % 64, 0);
        assert_int_equal(file.data[file.size - 1], '\n');
        assert_non_null(strstr(file.data + 10, shapes[i].text));
        buffer_append(&file, elements, counts[i] * sizeof *elements);
        assert_int_equal(npy_read(file.data, file.size, &array, NULL), NABLA_OK);
        assert_int_equal(array.elements, counts[i]);
        assert_int_equal(array.rank, shapes[i].rank);
        assert_false(array.is_swapped);
        assert_false(array.is_fortran);
        assert_memory_equal(array.data, elements, array.bytes);
        buffer_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_are_read),
        cmocka_unit_test(test_headers_are_refused),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_a_header_length_that_lies_is_refused),
        cmocka_unit_test(test_fortran_order_and_byte_order_are_undone),
        cmocka_unit_test(test_three_dimensions_in_fortran_order),
        cmocka_unit_test(test_doubles_of_the_other_byte_order),
        cmocka_unit_test(test_what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
