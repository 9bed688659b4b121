#include "math/matrix.h"

#include "base/crew.h"
#include "math/product.h"
#include "math/vectorised.h"

#include <cblas.h>
#include <stdlib.h>
#include <strings.h>

// A product of the sizes m, n, k.
struct sizes {
    size_t m, n, k;
    bool a_transposed, b_transposed;
};

static void multiply_blas(real *c, const real *a, const real *b, const struct sizes *sizes)
{
    const blasint m = (blasint)sizes->m, n = (blasint)sizes->n, k = (blasint)sizes->k;
    const enum CBLAS_TRANSPOSE turn_a = sizes->a_transposed ? CblasTrans : CblasNoTrans;
    const enum CBLAS_TRANSPOSE turn_b = sizes->b_transposed ? CblasTrans : CblasNoTrans;
    const blasint a_width = sizes->a_transposed ? m : k, b_width = sizes->b_transposed ? k : n;
#ifdef NABLA_REAL_DOUBLE
    cblas_dgemm(CblasRowMajor, turn_a, turn_b, m, n, k, 1, a, a_width, b, b_width, 0, c, n);
#else
    cblas_sgemm(CblasRowMajor, turn_a, turn_b, m, n, k, 1, a, a_width, b, b_width, 0, c, n);
#endif
}

static VECTORISED void add_to_rows(real *restrict c, const real *restrict bias, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * n + j] += bias[j];
}

#ifndef NABLA_REAL_DOUBLE
enum {
    SHARED_WORK = 1 << 20, // a product of fewer multiplications, about 10 µs of them, is not worth sharing
    PIECES = 16,           // at least, of one that is, so that all threads end at about the same time
    ROW_STEP = 16,         // that pieces' heights are multiples of
};

// A product cut into blocks, column after column of them.
struct shared_product {
    struct product product;
    size_t rows, row_pieces; // of a block; of blocks
};

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static void multiply_piece(void *context, size_t i)
{
    const struct shared_product *shared = context;
    const struct product *product = &shared->product;
    const size_t row = i % shared->row_pieces * shared->rows;
    const size_t column = i / shared->row_pieces * PRODUCT_WIDTH;
    const size_t rows = product->m - row, columns = product->n - column;
    product_compute(product, &(struct product_piece){row, rows < shared->rows ? rows : shared->rows, column,
                                                     columns < PRODUCT_WIDTH ? columns : PRODUCT_WIDTH});
}

static void multiply_shared(const struct product *product)
{
    const size_t column_pieces = divide_up(product->n, PRODUCT_WIDTH);
    const size_t wanted = divide_up(product->m, divide_up(PIECES, column_pieces));
    struct shared_product shared = {*product, divide_up(wanted, ROW_STEP) * ROW_STEP, 0};
    shared.row_pieces = divide_up(product->m, shared.rows);
    crew_share(multiply_piece, &shared, column_pieces * shared.row_pieces);
}

static void multiply_ours(const struct product *product)
{
    if (crew_helps() && product->m * product->n >= SHARED_WORK / product->k)
        multiply_shared(product);
    else
        product_compute(product, &(struct product_piece){0, product->m, 0, product->n});
}
#endif

static void multiply(real *c, const real *a, const real *b, const real *bias, const struct sizes *sizes)
{
#ifndef NABLA_REAL_DOUBLE
    const struct product product = {
        c, a, b, bias, sizes->m, sizes->n, sizes->k, sizes->a_transposed, sizes->b_transposed};
    if (product_is_ours()) {
        multiply_ours(&product);
        return;
    }
#endif
    multiply_blas(c, a, b, sizes);
    if (bias)
        add_to_rows(c, bias, sizes->m, sizes->n);
}

ENGINE void matrix_multiply(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, NULL, &(struct sizes){m, n, k, false, false});
}

ENGINE void matrix_multiply_bias(real *c, const real *a, const real *b, const real *bias, size_t m, size_t n,
                                 size_t k)
{
    multiply(c, a, b, bias, &(struct sizes){m, n, k, false, false});
}

ENGINE void matrix_multiply_transposed_a(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, NULL, &(struct sizes){m, n, k, true, false});
}

ENGINE void matrix_multiply_transposed_b(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, NULL, &(struct sizes){m, n, k, false, true});
}

#ifndef NABLA_REAL_DOUBLE

void matrix_use_one_thread(void)
{
    openblas_set_num_threads(1);
}

const char *matrix_core_type(void)
{
    return product_is_ours() ? "Nabla AVX-512" : openblas_get_corename();
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

#ifdef __x86_64__
static const char *core_type_possible(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512cd"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
    return NULL;
}

const char *matrix_core_type_wanted(void)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    static const char *const middle[] = {"Haswell", "Zen", "Excavator"};
    const char *picked = openblas_get_corename(), *possible = core_type_possible();
    if (product_is_ours() || !possible || getenv("OPENBLAS_CORETYPE") ||
        is_among(picked, wide, sizeof wide / sizeof *wide))
        return NULL;
    if (strcasecmp(possible, "Haswell") == 0 && is_among(picked, middle, sizeof middle / sizeof *middle))
        return NULL;
    return possible;
}
#else
const char *matrix_core_type_wanted(void)
{
    return NULL;
}
#endif
#endif
