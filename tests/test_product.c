// Every kernel of matrix products that this machine has, in float32 and float64, against the naive product:
// to the bit, since an entry is one chain of multiply-adds whatever the shape, the form and the pieces.
#include "math/product.h"
#include "math/random.h"
#include "tests/short.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { RANDOM_SHAPES = 250, SMALL = 70 };

// Numbers whose memory ends where none may be read or written.
struct numbers {
    void *at;
    size_t count, mapped_bytes;
    void *mapped;
    bool wide; // double, not float
};

static struct numbers numbers_new(size_t count, bool wide)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE),
                 bytes = count * (wide ? sizeof(double) : sizeof(float));
    const size_t body = (bytes + page - 1) / page * page;
    char *mapped = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(mapped != MAP_FAILED);
    assert_int_equal(mprotect(mapped + body, page, PROT_NONE), 0);
    return (struct numbers){mapped + body - bytes, count, body + page, mapped, wide};
}

static void numbers_free(struct numbers *numbers)
{
    munmap(numbers->mapped, numbers->mapped_bytes);
}

static double number_get(const struct numbers *numbers, size_t i)
{
    return numbers->wide ? ((const double *)numbers->at)[i] : (double)((const float *)numbers->at)[i];
}

static void number_set(const struct numbers *numbers, size_t i, double value)
{
    if (numbers->wide)
        ((double *)numbers->at)[i] = value;
    else
        ((float *)numbers->at)[i] = (float)value;
}

// With 24 bits, so that float32 rounds nearly every product.
static void numbers_fill(const struct numbers *numbers, uint64_t stream)
{
    struct random random = random_new(7, stream);
    for (size_t i = 0; i < numbers->count; i++)
        number_set(numbers, i, (double)(random_float(&random) - 0.5F) + (numbers->wide ? 0x1p-40 : 0));
}

static struct numbers transposed(const struct numbers *from, size_t rows, size_t columns)
{
    struct numbers turned = numbers_new(from->count, from->wide);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            number_set(&turned, j * rows + i, number_get(from, i * columns + j));
    return turned;
}

struct shape {
    size_t m, n, k;
};

// A product's factors as they are and turned around, and what it is, with fused multiply-adds and without.
struct product_case {
    struct shape shape;
    struct numbers a[2], b[2], bias, wanted[2];
    bool has_bias;
};

static double multiply_add(double a, double b, double sum, bool is_fused, bool is_wide)
{
    if (is_wide)
        return is_fused ? fma(a, b, sum) : a * b + sum;
    const float product = (float)a * (float)b;
    return (double)(is_fused ? fmaf((float)a, (float)b, (float)sum) : product + (float)sum);
}

static void fill_wanted(const struct product_case *it, bool is_fused)
{
    const size_t m = it->shape.m, n = it->shape.n, k = it->shape.k;
    const struct numbers *a = &it->a[0], *b = &it->b[0];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = it->has_bias ? number_get(&it->bias, j) : 0;
            for (size_t l = 0; l < k; l++)
                sum =
                    multiply_add(number_get(a, i * k + l), number_get(b, l * n + j), sum, is_fused, a->wide);
            number_set(&it->wanted[is_fused], i * n + j, sum);
        }
}

static bool is_run(bool is_fused)
{
    for (size_t i = 0; i < PRODUCT_KERNELS; i++)
        if (product_kernels[i].supported() && product_kernels[i].fused == is_fused)
            return true;
    return false;
}

static struct product_case case_new(const struct shape *shape, bool wide, bool has_bias)
{
    const size_t m = shape->m, n = shape->n, k = shape->k;
    struct product_case it = {.shape = *shape, .has_bias = has_bias};
    it.a[0] = numbers_new(m * k, wide);
    it.b[0] = numbers_new(k * n, wide);
    it.bias = numbers_new(n, wide);
    numbers_fill(&it.a[0], 1);
    numbers_fill(&it.b[0], 2);
    numbers_fill(&it.bias, 3);
    it.a[1] = transposed(&it.a[0], m, k);
    it.b[1] = transposed(&it.b[0], k, n);
    for (int is_fused = 0; is_fused < 2; is_fused++) {
        it.wanted[is_fused] = numbers_new(m * n, wide);
        if (is_run(is_fused))
            fill_wanted(&it, is_fused);
    }
    return it;
}

static void case_free(struct product_case *it)
{
    for (int i = 0; i < 2; i++) {
        numbers_free(&it->a[i]);
        numbers_free(&it->b[i]);
        numbers_free(&it->wanted[i]);
    }
    numbers_free(&it->bias);
}

static void compute(const struct product_kernel *kernel, const struct product_case *it, int form,
                    const struct numbers *c, const struct product_piece *piece)
{
    const size_t m = it->shape.m, n = it->shape.n, k = it->shape.k;
    const bool turns_a = form & 1, turns_b = form & 2;
    void *a = it->a[turns_a].at, *b = it->b[turns_b].at, *bias = it->has_bias ? it->bias.at : NULL;
    if (c->wide)
        kernel->compute64(&(struct product64){c->at, a, b, bias, m, n, k, turns_a, turns_b}, piece);
    else
        kernel->compute(&(struct product){c->at, a, b, bias, m, n, k, turns_a, turns_b}, piece);
}

static void check(const struct product_kernel *kernel, const struct product_case *it, int form,
                  const struct numbers *c, const char *how)
{
    const struct numbers *wanted = &it->wanted[kernel->fused];
    for (size_t i = 0; i < c->count; i++)
        if (!(number_get(c, i) == number_get(wanted, i)))
            fail_msg("%s, float%d, %zu × %zu × %zu, form %d, %s: entry %zu is %a, not %a", kernel->name,
                     c->wide ? 64 : 32, it->shape.m, it->shape.n, it->shape.k, form, how, i, number_get(c, i),
                     number_get(wanted, i));
}

// Rows in three parts, columns in panels' widths: what stands in other pieces must be left alone.
static void compute_pieces(const struct product_kernel *kernel, const struct product_case *it, int form,
                           const struct numbers *c)
{
    const size_t m = it->shape.m, n = it->shape.n;
    const size_t rows[] = {0, m / 3, m / 3 + m / 2, m};
    for (size_t column = 0; column < n; column += PRODUCT_WIDTH)
        for (size_t r = 3; r-- > 0;) {
            const size_t columns = n - column < PRODUCT_WIDTH ? n - column : PRODUCT_WIDTH;
            if (rows[r + 1] > rows[r])
                compute(kernel, it, form, c,
                        &(struct product_piece){rows[r], rows[r + 1] - rows[r], column, columns});
        }
}

static void check_shape(const struct shape *shape, bool wide, bool has_bias)
{
    struct product_case it = case_new(shape, wide, has_bias);
    struct numbers c = numbers_new(shape->m * shape->n, wide);
    for (size_t i = 0; i < PRODUCT_KERNELS; i++)
        for (int form = 0; form < 4 && product_kernels[i].supported(); form++) {
            memset(c.at, 0xff, c.count * (wide ? sizeof(double) : sizeof(float))); // NaN
            compute(&product_kernels[i], &it, form, &c, &(struct product_piece){0, shape->m, 0, shape->n});
            check(&product_kernels[i], &it, form, &c, "whole");
            memset(c.at, 0xff, c.count * (wide ? sizeof(double) : sizeof(float)));
            compute_pieces(&product_kernels[i], &it, form, &c);
            check(&product_kernels[i], &it, form, &c, "in pieces");
        }
    numbers_free(&c);
    case_free(&it);
}

static void small_products_have_the_naive_bits(void **state)
{
    (void)state;
    struct random random = random_new(11, 0);
    for (int i = 0; i < (int)short_of(RANDOM_SHAPES, 20); i++) {
        const struct shape shape = {1 + random_below(&random, SMALL), 1 + random_below(&random, SMALL),
                                    1 + random_below(&random, SMALL)};
        check_shape(&shape, i % 2, i / 2 % 2);
    }
    for (size_t n = 1; n <= SMALL; n++) // each width of the last vector, each height of the last tile
        for (int wide = 0; wide < 2; wide++) {
            check_shape(&(struct shape){3, n, 5}, wide, true);
            check_shape(&(struct shape){n, 9, 2}, wide, false);
            check_shape(&(struct shape){2, 3, n}, wide, false);
        }
}

// Sizes at which pieces of k, copies of b and packed blocks of a begin and end.
static void large_products_have_the_naive_bits(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {1, 300, 400},   {70, 530, 195}, {65, 257, 193},  {64, 256, 385},  {13, 80, 1030},   {256, 129, 257},
        {257, 128, 256}, {600, 131, 9},  {259, 200, 520}, {330, 140, 700}, {1040, 130, 300}, {130, 64, 2050},
    };
    for (size_t s = 0; s < short_of(sizeof shapes / sizeof *shapes, 4); s++)
        for (int wide = 0; wide < 2; wide++)
            check_shape(&shapes[s], wide, s % 2);
}

// What is not finite spreads as the chain has it, and does not leave its row and column.
static void infinities_stay_in_their_rows(void **state)
{
    (void)state;
    enum { M = 20, N = 50, K = 40, ROW = 7, COLUMN = 33 };
    static float a[M * K], b[K * N], c[M * N];
    for (size_t i = 0; i < PRODUCT_KERNELS; i++) {
        if (!product_kernels[i].supported())
            continue;
        for (size_t j = 0; j < M * K; j++)
            a[j] = 1;
        for (size_t j = 0; j < K * N; j++)
            b[j] = 2;
        a[ROW * K + 3] = INFINITY;
        b[5 * N + COLUMN] = NAN;
        product_kernels[i].compute(&(struct product){c, a, b, NULL, M, N, K, false, false},
                                   &(struct product_piece){0, M, 0, N});
        for (size_t j = 0; j < M * N; j++) {
            if (j % N == COLUMN)
                assert_true(isnan(c[j]));
            else
                assert_true(c[j] == (j / N == ROW ? INFINITY : 2 * K));
        }
    }
}

static void the_one_asked_for_is_used(void **state)
{
    (void)state;
    const struct product_kernel *best = product_kernel(), *last = &product_kernels[PRODUCT_KERNELS - 1];
    assert_true(best->supported() && last->supported());
    for (const struct product_kernel *better = product_kernels; better < best; better++)
        assert_false(better->supported());
    product_use(last);
    assert_ptr_equal(product_kernel(), last);
    product_use(NULL);
    assert_ptr_equal(product_kernel(), best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_products_have_the_naive_bits),
        cmocka_unit_test(large_products_have_the_naive_bits),
        cmocka_unit_test(infinities_stay_in_their_rows),
        cmocka_unit_test(the_one_asked_for_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
