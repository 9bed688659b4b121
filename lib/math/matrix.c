#include "math/matrix.h"

#include <cblas.h>
#include <stdlib.h>
#include <strings.h>

static void multiply(real *c, const real *a, const real *b, const size_t dimensions[3],
                     const enum CBLAS_TRANSPOSE transposed[2])
{
    const blasint m = (blasint)dimensions[0], n = (blasint)dimensions[1], k = (blasint)dimensions[2];
    const blasint a_width = transposed[0] == CblasTrans ? m : k;
    const blasint b_width = transposed[1] == CblasTrans ? k : n;
#ifdef NABLA_REAL_DOUBLE
    cblas_dgemm(CblasRowMajor, transposed[0], transposed[1], m, n, k, 1, a, a_width, b, b_width, 0, c, n);
#else
    cblas_sgemm(CblasRowMajor, transposed[0], transposed[1], m, n, k, 1, a, a_width, b, b_width, 0, c, n);
#endif
}

ENGINE void matrix_multiply(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, (size_t[]){m, n, k}, (enum CBLAS_TRANSPOSE[]){CblasNoTrans, CblasNoTrans});
}

ENGINE void matrix_multiply_transposed_a(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, (size_t[]){m, n, k}, (enum CBLAS_TRANSPOSE[]){CblasTrans, CblasNoTrans});
}

ENGINE void matrix_multiply_transposed_b(real *c, const real *a, const real *b, size_t m, size_t n, size_t k)
{
    multiply(c, a, b, (size_t[]){m, n, k}, (enum CBLAS_TRANSPOSE[]){CblasNoTrans, CblasTrans});
}

#ifndef NABLA_REAL_DOUBLE

void matrix_use_one_thread(void)
{
    openblas_set_num_threads(1);
}

const char *matrix_core_type(void)
{
    return openblas_get_corename();
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
    if (!possible || getenv("OPENBLAS_CORETYPE") || is_among(picked, wide, sizeof wide / sizeof *wide))
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
