#include "math/matrix.h"

#include "base/crew.h"
#include "math/product.h"

#ifdef NABLA_REAL_DOUBLE
#define PRODUCT product64
#define COMPUTE compute64
#else
#define PRODUCT product
#define COMPUTE compute
#endif

enum {
    SHARED_WORK = 1 << 20, // a product of fewer multiplications, about 10 µs of them, is not worth sharing
    PIECES = 16,           // at least, of one that is, so that all threads end at about the same time
    ROW_STEP = 16,         // that pieces' heights are multiples of
};

// A product cut into blocks, column after column of them.
struct shared_product {
    struct PRODUCT product;
    const struct product_kernel *kernel;
    size_t rows, row_pieces; // of a block; of blocks
};

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static void multiply_piece(void *context, size_t i)
{
    const struct shared_product *shared = context;
    const struct PRODUCT *product = &shared->product;
    const size_t row = i % shared->row_pieces * shared->rows;
    const size_t column = i / shared->row_pieces * PRODUCT_WIDTH;
    const size_t rows = product->m - row, columns = product->n - column;
    shared->kernel->COMPUTE(product,
                            &(struct product_piece){row, rows < shared->rows ? rows : shared->rows, column,
                                                    columns < PRODUCT_WIDTH ? columns : PRODUCT_WIDTH});
}

static void multiply_shared(const struct PRODUCT *product, const struct product_kernel *kernel)
{
    const size_t column_pieces = divide_up(product->n, PRODUCT_WIDTH);
    const size_t wanted = divide_up(product->m, divide_up(PIECES, column_pieces));
    struct shared_product shared = {*product, kernel, divide_up(wanted, ROW_STEP) * ROW_STEP, 0};
    shared.row_pieces = divide_up(product->m, shared.rows);
    crew_share(multiply_piece, &shared, column_pieces * shared.row_pieces);
}

static void multiply(const struct PRODUCT *product)
{
    const struct product_kernel *kernel = product_kernel();
    if (crew_helps() && product->m * product->n >= SHARED_WORK / product->k)
        multiply_shared(product, kernel);
    else
        kernel->COMPUTE(product, &(struct product_piece){0, product->m, 0, product->n});
}

ENGINE void matrix_multiply(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(&(struct PRODUCT){c, a, b, NULL, m, n, k, false, false});
}

ENGINE void matrix_multiply_bias(real *c, const real *a, const real *b, const real *bias, size_t m, size_t n,
                                 size_t k)
{
    multiply(&(struct PRODUCT){c, a, b, bias, m, n, k, false, false});
}

ENGINE void matrix_multiply_transposed_a(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(&(struct PRODUCT){c, a, b, NULL, m, n, k, true, false});
}

ENGINE void matrix_multiply_transposed_b(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(&(struct PRODUCT){c, a, b, NULL, m, n, k, false, true});
}

#ifndef NABLA_REAL_DOUBLE
const char *matrix_kernel_name(void)
{
    return product_kernel()->name;
}
#endif
