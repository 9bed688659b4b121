// Matrix products on one thread: every kernel of ours beside the processor's peak of fused multiply-adds and
// OpenBLAS, where that is installed: with the kernels that it detects, or those that OPENBLAS_CORETYPE names.
// In GFLOP/s, the best of rounds in which all take turns. Usage: bench_products [rounds]
#include "math/matrix.h"
#include "math/product.h"
#include "math/random.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PLAIN, TURNED_A, TURNED_B };
enum { CONTENDERS = PRODUCT_KERNELS + 1, ENTRIES_MAX = 1024 * 1024 };

static const struct {
    size_t m, n, k;
    int form;
    const char *comment;
} shapes[] = {
    {32, 128, 4, PLAIN, "4-128-64-10, batch 32: forward"},
    {32, 64, 128, PLAIN, ""},
    {32, 10, 64, PLAIN, ""},
    {4, 128, 32, TURNED_A, "weight gradients"},
    {128, 64, 32, TURNED_A, ""},
    {64, 10, 32, TURNED_A, ""},
    {32, 128, 64, TURNED_B, "input gradients"},
    {32, 64, 10, TURNED_B, ""},
    {128, 512, 784, PLAIN, "784-512-256-10, batch 128: forward"},
    {128, 256, 512, PLAIN, ""},
    {128, 10, 256, PLAIN, ""},
    {784, 512, 128, TURNED_A, "weight gradients"},
    {512, 256, 128, TURNED_A, ""},
    {256, 10, 128, TURNED_A, ""},
    {128, 512, 256, TURNED_B, "input gradients"},
    {128, 256, 10, TURNED_B, ""},
    {128, 128, 128, PLAIN, "squares and the like"},
    {256, 784, 512, PLAIN, ""},
    {512, 512, 512, PLAIN, ""},
    {512, 512, 512, TURNED_A, ""},
    {512, 512, 512, TURNED_B, ""},
    {1000, 1000, 1000, PLAIN, ""},
    {1024, 1024, 1024, PLAIN, ""},
    {1024, 1024, 1024, TURNED_A, ""},
    {1024, 1024, 1024, TURNED_B, ""},
};

typedef void gemm32(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a,
                    int a_width, const float *b, int b_width, float beta, float *c, int c_width);
typedef void gemm64(int order, int turn_a, int turn_b, int m, int n, int k, double alpha, const double *a,
                    int a_width, const double *b, int b_width, double beta, double *c, int c_width);

static gemm32 *sgemm;
static gemm64 *dgemm;
static const char *blas_name = "no OpenBLAS";

// Loaded by hand, so that nothing needs it.
static void find_blas(void)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!library)
        return;
    *(void **)&sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&dgemm = dlsym(library, "cblas_dgemm");
    void (*use_threads)(int);
    char *(*name)(void);
    *(void **)&use_threads = dlsym(library, "openblas_set_num_threads");
    *(void **)&name = dlsym(library, "openblas_get_corename");
    if (use_threads)
        use_threads(1);
    if (name)
        blas_name = name();
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- the peak: independent chains of multiply-adds that never leave the registers ----

#if defined(__x86_64__)
enum { CHAINS = 12, CHAIN_LENGTH = 20000 };
#define PEAK_OF(name, features, width)                                                                       \
    static __attribute__((target(features), optimize("O3", "fp-contract=fast"), noinline)) void name(        \
        float *sink)                                                                                         \
    {                                                                                                        \
        typedef float vector __attribute__((vector_size(width)));                                            \
        vector sums[CHAINS], factor = {1}, term = {0};                                                       \
        __asm__ volatile("" : "+x"(factor), "+x"(term));                                                     \
        for (int i = 0; i < CHAINS; i++)                                                                     \
            sums[i] = term;                                                                                  \
        for (int l = 0; l < CHAIN_LENGTH; l++)                                                               \
            for (int i = 0; i < CHAINS; i++)                                                                 \
                sums[i] = sums[i] * factor + term;                                                           \
        for (int i = 0; i < CHAINS; i++)                                                                     \
            *sink += sums[i][0];                                                                             \
    }

PEAK_OF(peak_avx512, "avx512f,fma", 64)
PEAK_OF(peak_avx2, "avx2,fma", 32)

static double peak_once(void)
{
    static float sink;
    const double start = now();
    const bool wide = __builtin_cpu_supports("avx512f");
    if (wide)
        peak_avx512(&sink);
    else
        peak_avx2(&sink);
    return 2e-9 * CHAINS * CHAIN_LENGTH * (wide ? 16 : 8) / (now() - start);
}

static bool peak_is_known(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
static double peak_once(void)
{
    return NAN;
}

static bool peak_is_known(void)
{
    return false;
}
#endif

static double peak(void)
{
    double best = 0;
    for (int i = 0; i < 200 && peak_is_known(); i++)
        best = fmax(best, peak_once());
    return best;
}

// ---- the products ----

static float a32[ENTRIES_MAX], b32[ENTRIES_MAX], c32[ENTRIES_MAX];
static double a64[ENTRIES_MAX], b64[ENTRIES_MAX], c64[ENTRIES_MAX];

static void multiply(size_t contender, size_t s, bool wide)
{
    enum { ROW_MAJOR = 101, AS_IS = 111, TURNED = 112 };
    const size_t m = shapes[s].m, n = shapes[s].n, k = shapes[s].k;
    const bool turned_a = shapes[s].form == TURNED_A, turned_b = shapes[s].form == TURNED_B;
    const struct product_piece all = {0, m, 0, n};
    const int turn_a = turned_a ? TURNED : AS_IS, turn_b = turned_b ? TURNED : AS_IS;
    const int a_width = (int)(turned_a ? m : k), b_width = (int)(turned_b ? k : n);
    const struct product_kernel *kernel = &product_kernels[contender];
    if (contender < PRODUCT_KERNELS && wide)
        kernel->compute64(&(struct product64){c64, a64, b64, NULL, m, n, k, turned_a, turned_b}, &all);
    else if (contender < PRODUCT_KERNELS)
        kernel->compute(&(struct product){c32, a32, b32, NULL, m, n, k, turned_a, turned_b}, &all);
    else if (wide)
        dgemm(ROW_MAJOR, turn_a, turn_b, (int)m, (int)n, (int)k, 1, a64, a_width, b64, b_width, 0, c64,
              (int)n);
    else
        sgemm(ROW_MAJOR, turn_a, turn_b, (int)m, (int)n, (int)k, 1, a32, a_width, b32, b_width, 0, c32,
              (int)n);
}

static bool takes_part(size_t contender, bool wide)
{
    if (contender < PRODUCT_KERNELS)
        return product_kernels[contender].supported();
    return wide ? dgemm != NULL : sgemm != NULL;
}

// GFLOP/s of one round, long enough for the clock.
static double rate(size_t contender, size_t s, bool wide)
{
    const double work = 2e-9 * (double)(shapes[s].m * shapes[s].n * shapes[s].k);
    const size_t times = 1 + (size_t)(0.002 / work);
    const double start = now();
    for (size_t i = 0; i < times; i++)
        multiply(contender, s, wide);
    return work * (double)times / (now() - start);
}

static void print_shape(size_t s, bool wide, int rounds)
{
    double best[CONTENDERS] = {0};
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < CONTENDERS; i++)
            if (takes_part(i, wide))
                best[i] = fmax(best[i], rate(i, s, wide));
    static const char *const forms[] = {"a·b ", "aᵀ·b", "a·bᵀ"};
    printf("%5zu %5zu %5zu %s", shapes[s].m, shapes[s].n, shapes[s].k, forms[shapes[s].form]);
    for (size_t i = 0; i < CONTENDERS; i++)
        printf(best[i] > 0 ? " %10.1f" : "          –", best[i]);
    printf("  %s\n", shapes[s].comment);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 30;
    find_blas();
    struct random random = random_new(1, 1);
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        a64[i] = (double)(a32[i] = random_float(&random) - 0.5F);
        b64[i] = (double)(b32[i] = random_float(&random) - 0.5F);
    }
    for (int wide = 0; wide < 2; wide++) {
        printf("float%d, GFLOP/s; peak %.1f\n    m     n     k     ", wide ? 64 : 32,
               peak() / (wide ? 2 : 1));
        for (size_t i = 0; i < PRODUCT_KERNELS; i++)
            printf(" %10s", product_kernels[i].name);
        printf(" %10s\n", blas_name);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            print_shape(s, wide, rounds);
    }
    return 0;
}
