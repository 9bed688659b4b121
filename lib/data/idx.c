#include "data/idx.h"

#include "base/size.h"

#include <stdint.h>
#include <string.h>

enum { TYPE_AT = 2, RANK_AT = 3, SHAPE_AT = 4, DIMENSION_SIZE = 4 };

static const struct {
    unsigned char code; // in the file
    size_t size;        // of an element there
    enum tensor_dtype dtype;
} types[IDX_TYPE_COUNT] = {
    [IDX_U8] = {0x08, 1, TENSOR_U8},   [IDX_I8] = {0x09, 1, TENSOR_I32},  [IDX_I16] = {0x0B, 2, TENSOR_I32},
    [IDX_I32] = {0x0C, 4, TENSOR_I32}, [IDX_F32] = {0x0D, 4, TENSOR_F32}, [IDX_F64] = {0x0E, 8, TENSOR_F64},
};

bool idx_begins(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    return size >= SHAPE_AT && at[0] == 0 && at[1] == 0 && at[TYPE_AT] >= types[IDX_U8].code &&
           at[TYPE_AT] <= types[IDX_F64].code;
}

static uint64_t big_endian(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static enum nabla_code malformed(struct nabla_error *err, const char *what)
{
    return nabla_fail(err, NABLA_MALFORMED, NULL, "idx: %s", what);
}

static enum nabla_code read_type(const unsigned char *at, struct idx *ret, struct nabla_error *err)
{
    for (int i = 0; i < IDX_TYPE_COUNT; i++)
        if (types[i].code == at[TYPE_AT]) {
            ret->type = (enum idx_type)i;
            ret->dtype = types[i].dtype;
            return NABLA_OK;
        }
    return nabla_fail(err, NABLA_MALFORMED, NULL,
                      "idx: byte 2: the type 0x%02x is not known; 0x08, 0x09 and 0x0b to 0x0e are",
                      at[TYPE_AT]);
}

static enum nabla_code read_shape(const unsigned char *at, size_t size, struct idx *ret,
                                  struct nabla_error *err)
{
    ret->rank = at[RANK_AT];
    ret->elements = 1;
    if (ret->rank < 1 || ret->rank > TENSOR_RANK_MAX)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "idx: byte 3: %zu dimensions; from 1 to %d are taken",
                          ret->rank, TENSOR_RANK_MAX);
    if (size < SHAPE_AT + ret->rank * DIMENSION_SIZE)
        return malformed(err, "the file ends within its dimensions");
    for (size_t i = 0; i < ret->rank; i++) {
        ret->shape[i] = (size_t)big_endian(at + SHAPE_AT + i * DIMENSION_SIZE, DIMENSION_SIZE);
        if (!size_mul(ret->elements, ret->shape[i], &ret->elements))
            return malformed(err, "the product of the dimensions overflows");
    }
    return NABLA_OK;
}

enum nabla_code idx_read(const void *bytes, size_t size, struct idx *ret, struct nabla_error *err)
{
    struct idx idx = {0};
    const unsigned char *at = bytes;
    size_t due;
    if (!idx_begins(bytes, size))
        return malformed(err, "the file does not start with two zero bytes and a type");
    enum nabla_code code = read_type(at, &idx, err);
    if (!code)
        code = read_shape(at, size, &idx, err);
    if (code)
        return code;
    const size_t start = SHAPE_AT + idx.rank * DIMENSION_SIZE;
    if (!size_mul(idx.elements, types[idx.type].size, &due))
        return malformed(err, "the product of the dimensions overflows");
    if (size - start != due)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "idx: %zu elements of %zu bytes are due behind byte %zu, but %zu bytes stand there",
                          idx.elements, types[idx.type].size, start, size - start);
    idx.data = at + start;
    *ret = idx;
    return NABLA_OK;
}

static int32_t whole_number(enum idx_type type, const unsigned char *at)
{
    if (type == IDX_I8)
        return (int8_t)at[0];
    if (type == IDX_I16)
        return (int16_t)big_endian(at, sizeof(int16_t));
    return (int32_t)big_endian(at, sizeof(int32_t));
}

static void copy_element(enum idx_type type, const unsigned char *from, size_t index, void *ret)
{
    if (type == IDX_F64) {
        const uint64_t bits = big_endian(from, sizeof bits);
        memcpy((char *)ret + index * sizeof bits, &bits, sizeof bits);
    } else if (type == IDX_F32) {
        const uint32_t bits = (uint32_t)big_endian(from, sizeof bits);
        memcpy((char *)ret + index * sizeof bits, &bits, sizeof bits);
    } else {
        const int32_t value = whole_number(type, from);
        memcpy((char *)ret + index * sizeof value, &value, sizeof value);
    }
}

void idx_copy(const struct idx *idx, void *ret)
{
    const size_t size = types[idx->type].size;
    const unsigned char *from = idx->data;
    if (idx->type == IDX_U8 && idx->elements > 0)
        memcpy(ret, from, idx->elements);
    for (size_t i = 0; idx->type != IDX_U8 && i < idx->elements; i++)
        copy_element(idx->type, from + i * size, i, ret);
}
