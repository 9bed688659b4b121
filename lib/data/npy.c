// The header is a Python literal, but only the three fields that NumPy writes: a cursor walks over it, and
// what it does not expect is an error at that byte.
#include "data/npy.h"

#include "base/number.h"
#include "base/size.h"
#include "data/tensor_dtype.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { MAGIC_SIZE = 6, VERSION_END = 8, DATA_ALIGNMENT = 64, TEXT_MAX = 32 };
static const char magic[MAGIC_SIZE + 1] = "\x93NUMPY";

static const bool host_is_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

// A dtype's letters behind its byte order.
static const char *const codes[TENSOR_DTYPE_COUNT] = {
    [TENSOR_F64] = "f8", [TENSOR_F32] = "f4", [TENSOR_I64] = "i8", [TENSOR_I32] = "i4", [TENSOR_U8] = "u1",
};

enum field { FIELD_DESCR, FIELD_ORDER, FIELD_SHAPE, FIELD_COUNT };
static const char *const field_names[FIELD_COUNT] = {
    [FIELD_DESCR] = "descr", [FIELD_ORDER] = "fortran_order", [FIELD_SHAPE] = "shape"};

struct cursor {
    const char *begin, *at, *end; // the file's first byte; the header's rest
    struct nabla_error *err;
};

static enum nabla_code malformed(const struct cursor *cursor, const char *what)
{
    return nabla_fail(cursor->err, NABLA_MALFORMED, NULL, "npy: byte %zu, in the header: %s",
                      (size_t)(cursor->at - cursor->begin), what);
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && isspace((unsigned char)*cursor->at))
        cursor->at++;
}

static bool at_char(struct cursor *cursor, char c)
{
    skip_space(cursor);
    return cursor->at < cursor->end && *cursor->at == c;
}

static bool take_char(struct cursor *cursor, char c)
{
    bool found = at_char(cursor, c);
    cursor->at += found;
    return found;
}

static bool take_word(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);
    skip_space(cursor);
    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
        return false;
    cursor->at += length;
    return true;
}

// A short text in quotes of either kind, without escapes.
static enum nabla_code take_text(struct cursor *cursor, char ret[TEXT_MAX])
{
    if (!at_char(cursor, '\'') && !at_char(cursor, '"'))
        return malformed(cursor, "expected a text in quotes");
    const char *begin = cursor->at + 1, *close = begin;
    while (close < cursor->end && *close != *cursor->at && *close != '\\')
        close++;
    size_t length = (size_t)(close - begin);
    if (close == cursor->end || *close == '\\' || length >= TEXT_MAX)
        return malformed(cursor, "the text in quotes is too long, has no end or holds an escape");
    memcpy(ret, begin, length);
    ret[length] = '\0';
    cursor->at = close + 1;
    return NABLA_OK;
}

static int code_find(const char *code)
{
    for (int i = 0; i < TENSOR_DTYPE_COUNT; i++)
        if (strcmp(codes[i], code) == 0)
            return i;
    return -1;
}

static enum nabla_code read_descr(struct cursor *cursor, struct npy *ret)
{
    char text[TEXT_MAX] = "";
    if (at_char(cursor, '['))
        return malformed(cursor, "a structured dtype is not taken: save one plain array of numbers");
    const char *place = cursor->at;
    enum nabla_code code = take_text(cursor, text);
    if (code)
        return code;
    cursor->at = place; // an error points at the value
    if (strchr(text, 'O'))
        return malformed(cursor, "the array holds Python objects; they are pickled and never read");
    bool has_order = text[0] && strchr("<>=|", text[0]);
    int dtype = code_find(has_order ? text + 1 : text);
    if (dtype < 0 || !has_order || (text[0] == '|' && tensor_dtypes[dtype].size > 1))
        return nabla_fail(
            cursor->err, NABLA_MALFORMED, NULL,
            "npy: byte %zu, in the header: the dtype '%s' is not taken; f4, f8, i4, i8 and u1 are, "
            "with '<' or '>' before them",
            (size_t)(place - cursor->begin), text);
    ret->dtype = (enum tensor_dtype)dtype;
    ret->is_swapped = tensor_dtypes[dtype].size > 1 && (text[0] == '<' || text[0] == '>') &&
                      (text[0] == '>') != host_is_big;
    return take_text(cursor, text);
}

static enum nabla_code read_order(struct cursor *cursor, struct npy *ret)
{
    ret->is_fortran = take_word(cursor, "True");
    if (!ret->is_fortran && !take_word(cursor, "False"))
        return malformed(cursor, "fortran_order must be True or False");
    return NABLA_OK;
}

static enum nabla_code read_dimension(struct cursor *cursor, struct npy *ret)
{
    const char *end = cursor->at;
    while (end < cursor->end && isdigit((unsigned char)*end))
        end++;
    if (ret->rank == TENSOR_RANK_MAX)
        return malformed(cursor, "the array has more than 8 dimensions");
    if (!number_read_size(cursor->at, end, &ret->shape[ret->rank]))
        return malformed(cursor, "a dimension must be a whole number that fits into 64 bits");
    ret->rank++;
    cursor->at = end;
    return NABLA_OK;
}
_Static_assert(TENSOR_RANK_MAX == 8, "the text of the error names the limit");

// A tuple: (), (3,), (3, 4) or (3, 4,). (3) is a number in Python.
static enum nabla_code read_shape(struct cursor *cursor, struct npy *ret)
{
    bool comma = true;
    if (!take_char(cursor, '('))
        return malformed(cursor, "shape must be a tuple");
    while (!at_char(cursor, ')')) {
        if (!comma)
            return malformed(cursor, "expected ',' or ')'");
        enum nabla_code code = read_dimension(cursor, ret);
        if (code)
            return code;
        comma = take_char(cursor, ',');
    }
    if (ret->rank == 1 && !comma)
        return malformed(cursor, "a shape of one dimension is written (3,)");
    cursor->at++;
    return NABLA_OK;
}

static enum nabla_code read_field(struct cursor *cursor, bool seen[FIELD_COUNT], struct npy *ret)
{
    static enum nabla_code (*const readers[FIELD_COUNT])(struct cursor *, struct npy *) = {
        [FIELD_DESCR] = read_descr, [FIELD_ORDER] = read_order, [FIELD_SHAPE] = read_shape};
    char name[TEXT_MAX];
    skip_space(cursor);
    const char *place = cursor->at;
    enum nabla_code code = take_text(cursor, name);
    if (code)
        return code;
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(field_names[i], name) != 0 || seen[i])
            continue;
        seen[i] = true;
        return take_char(cursor, ':') ? readers[i](cursor, ret) : malformed(cursor, "expected ':'");
    }
    cursor->at = place;
    return malformed(cursor, "only descr, fortran_order and shape stand in a header, each once");
}

static enum nabla_code read_dict(struct cursor *cursor, struct npy *ret)
{
    bool seen[FIELD_COUNT] = {false}, comma = true;
    if (!take_char(cursor, '{'))
        return malformed(cursor, "expected '{'");
    while (!at_char(cursor, '}')) {
        if (!comma)
            return malformed(cursor, "expected ',' or '}'");
        enum nabla_code code = read_field(cursor, seen, ret);
        if (code)
            return code;
        comma = take_char(cursor, ',');
    }
    for (int i = 0; i < FIELD_COUNT; i++)
        if (!seen[i])
            return nabla_fail(cursor->err, NABLA_MALFORMED, NULL, "npy: the header lacks '%s'",
                              field_names[i]);
    cursor->at++;
    skip_space(cursor);
    return cursor->at == cursor->end ? NABLA_OK : malformed(cursor, "something follows the dict");
}

// Sets the cursor on the header's text.
static enum nabla_code find_header(struct cursor *cursor, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)cursor->begin;
    if (size < VERSION_END || memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return nabla_fail(cursor->err, NABLA_MALFORMED, NULL,
                          "npy: the body does not start with \\x93NUMPY and a version");
    unsigned major = bytes[6], minor = bytes[7];
    if (major < 1 || major > 3 || minor != 0)
        return nabla_fail(cursor->err, NABLA_MALFORMED, NULL,
                          "npy: version %u.%u is not known; 1.0, 2.0 and 3.0 are", major, minor);
    size_t width = major == 1 ? 2 : 4, length = 0, start = VERSION_END + width;
    for (size_t i = 0; i < width && start <= size; i++)
        length |= (size_t)bytes[VERSION_END + i] << (8 * i);
    if (start > size || length > size - start)
        return nabla_fail(cursor->err, NABLA_MALFORMED, NULL,
                          "npy: the header of %zu bytes goes beyond the end, at byte %zu", length, size);
    cursor->at = cursor->begin + start;
    cursor->end = cursor->at + length;
    return NABLA_OK;
}

// What stands behind the header must be the elements, to the last byte.
static enum nabla_code check_data(const struct cursor *cursor, size_t size, struct npy *ret)
{
    size_t bytes, given = size - (size_t)(cursor->end - cursor->begin);
    ret->elements = 1;
    for (size_t i = 0; i < ret->rank; i++)
        if (!size_mul(ret->elements, ret->shape[i], &ret->elements))
            return malformed(cursor, "the product of the shape overflows");
    if (!size_mul(ret->elements, tensor_dtypes[ret->dtype].size, &bytes))
        return malformed(cursor, "the product of the shape overflows");
    if (given != bytes)
        return nabla_fail(cursor->err, NABLA_MALFORMED, NULL,
                          "npy: %zu elements of %zu bytes are due behind byte %zu, but %zu bytes stand there",
                          ret->elements, tensor_dtypes[ret->dtype].size,
                          (size_t)(cursor->end - cursor->begin), given);
    ret->data = cursor->end;
    ret->bytes = bytes;
    return NABLA_OK;
}

enum nabla_code npy_read(const void *bytes, size_t size, struct npy *ret, struct nabla_error *err)
{
    struct cursor cursor = {.begin = bytes, .err = err};
    struct npy array = {0};
    enum nabla_code code = find_header(&cursor, size);
    if (!code)
        code = read_dict(&cursor, &array);
    if (!code)
        code = check_data(&cursor, size, &array);
    if (!code)
        *ret = array;
    return code;
}

// ---- elements ----

static void copy_element(char *to, const char *from, size_t size, bool is_swapped)
{
    uint32_t narrow;
    uint64_t wide;
    if (!is_swapped) {
        memcpy(to, from, size);
    } else if (size == sizeof narrow) {
        memcpy(&narrow, from, sizeof narrow);
        narrow = __builtin_bswap32(narrow);
        memcpy(to, &narrow, sizeof narrow);
    } else {
        memcpy(&wide, from, sizeof wide);
        wide = __builtin_bswap64(wide);
        memcpy(to, &wide, sizeof wide);
    }
}

// How far apart, in elements, neighbours along each dimension lie.
static void strides_of(const struct npy *array, size_t ret[TENSOR_RANK_MAX])
{
    size_t stride = 1;
    for (size_t i = 0; i < array->rank; i++) {
        size_t dimension = array->is_fortran ? i : array->rank - 1 - i;
        ret[dimension] = stride;
        stride *= array->shape[dimension];
    }
}

void npy_copy(const struct npy *array, void *ret)
{
    size_t size = tensor_dtypes[array->dtype].size, from = 0;
    size_t index[TENSOR_RANK_MAX] = {0}, strides[TENSOR_RANK_MAX];
    if (!array->is_swapped && (!array->is_fortran || array->rank < 2)) {
        if (array->bytes > 0)
            memcpy(ret, array->data, array->bytes);
        return;
    }
    strides_of(array, strides);
    for (size_t to = 0; to < array->elements; to++) {
        copy_element((char *)ret + to * size, (const char *)array->data + from * size, size,
                     array->is_swapped);
        // The next index, as an odometer: the last dimension runs fastest.
        for (size_t i = array->rank; i-- > 0;) {
            from += strides[i];
            if (++index[i] < array->shape[i])
                break;
            from -= strides[i] * array->shape[i];
            index[i] = 0;
        }
    }
}

enum nabla_code npy_write_header(enum tensor_dtype dtype, size_t rank, const size_t *shape,
                                 struct buffer *ret, struct nabla_error *err)
{
    struct buffer dict = buffer_new(UINT16_MAX);
    char order = tensor_dtypes[dtype].size == 1 ? '|' : host_is_big ? '>' : '<';
    buffer_format(&dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", order, codes[dtype]);
    for (size_t i = 0; i < rank; i++)
        buffer_format(&dict, i == 0 ? "%zu" : ", %zu", shape[i]);
    buffer_text(&dict, rank == 1 ? ",), }" : "), }");
    while (!dict.failed && (VERSION_END + 2 + dict.size + 1) % DATA_ALIGNMENT != 0)
        buffer_char(&dict, ' ');
    buffer_char(&dict, '\n');
    enum nabla_code code = buffer_status(&dict, "an npy header", err);
    if (!code) {
        const char version_and_length[4] = {1, 0, (char)(dict.size & 0xFF), (char)(dict.size >> 8)};
        buffer_append(ret, magic, MAGIC_SIZE);
        buffer_append(ret, version_and_length, sizeof version_and_length);
        buffer_append(ret, dict.data, dict.size);
        code = buffer_status(ret, "an npy file", err);
    }
    buffer_free(&dict);
    return code;
}
