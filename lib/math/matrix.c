#include "math/matrix.h"

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

static void multiply(real *c, const real *a, const real *b, const real *bias, const struct sizes *sizes)
{
#ifndef NABLA_REAL_DOUBLE
    const struct product product = {
        c, a, b, bias, sizes->m, sizes->n, sizes->k, sizes->a_transposed, sizes->b_transposed};
    if (product_is_ours()) {
        product_compute(&product);
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
