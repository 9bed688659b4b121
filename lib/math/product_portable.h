// The operations of product_tiles.h in the compiler's own vectors, for the `number` and the PRODUCT that the
// includer has defined.
#include "math/product.h"

// A product and its sum are one operation where the processor has it.
#pragma GCC optimize("fp-contract=fast")

typedef number vec __attribute__((vector_size(16)));
typedef number loose_vec __attribute__((vector_size(16), aligned(sizeof(number)), may_alias));

enum {
    LANES = sizeof(vec) / sizeof(number),
    VECTORS = 2,
    ROWS_OF_1 = 8,
    ROWS_OF_2 = 6,
    ROWS_OF_3 = 0,
    DEPTH = 256,
    COPY_WIDTH = 256,
    PACKS_A = 1,
    MASKS_ARE_FREE = 0,
};

typedef size_t vec_mask;

static inline vec_mask vec_mask_first(size_t count)
{
    return count;
}

static inline vec vec_zero(void)
{
    return (vec){0};
}

// -0 - 0 is -0.
static inline vec vec_all(number value)
{
    return value - (vec){0};
}

static inline vec vec_load(const number *from)
{
    return *(const loose_vec *)from;
}

static inline vec vec_load_first(const number *from, vec_mask count)
{
    vec v = {from[0]};
    for (size_t i = 1; i < LANES; i++)
        v[i] = i < count ? from[i] : 0;
    return v;
}

static inline void vec_store(number *to, vec v)
{
    *(loose_vec *)to = v;
}

static inline void vec_store_first(number *to, vec v, vec_mask count)
{
    for (size_t i = 0; i < LANES; i++)
        if (i < count)
            to[i] = v[i];
}

// a·b + c
static inline vec vec_multiply_add(vec a, vec b, vec c)
{
    return a * b + c;
}

static inline void turn_block(number *turned, size_t stride, const number *b, size_t width, size_t count,
                              size_t depth)
{
    for (size_t j = 0; j < count; j++)
        for (size_t l = 0; l < depth; l++)
            turned[l * stride + j] = b[j * width + l];
}

#include "math/product_tiles.h"
