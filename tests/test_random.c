#include "math/elementary.h"
#include "math/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// kat_vectors of Random123 (philox4x32, 10 rounds).
static const struct {
    uint32_t counter[4], key[2], block[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void blocks_are_those_of_random123(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        uint32_t block[4];
        random_block(known[i].counter, known[i].key, block);
        assert_memory_equal(block, known[i].block, sizeof block);
    }
}

static void a_stream_is_its_blocks_in_order(void **state)
{
    (void)state;
    struct random random = random_new(UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e));
    random.position = UINT64_C(4) * 0x85a308d3; // blocks count from 0
    uint32_t block[4];
    random_block((const uint32_t[]){0x85a308d3, 0, 0x13198a2e, 0x03707344}, known[2].key, block);
    for (int i = 0; i < 4; i++)
        assert_int_equal(random_u32(&random), block[i]);
    random_block((const uint32_t[]){0x85a308d4, 0, 0x13198a2e, 0x03707344}, known[2].key, block);
    assert_int_equal(random_u32(&random), block[0]);
}

static void the_position_is_the_whole_state(void **state)
{
    (void)state;
    struct random random = random_new(7, 3);
    for (int i = 0; i < 13; i++)
        random_u32(&random);
    uint64_t position = random.position;
    double expected = random_normal(&random);
    struct random resumed = random_new(7, 3);
    resumed.position = position;
    assert_true(random_normal(&resumed) == expected);
    random.position = position; // also backwards, with a block cached
    assert_true(random_normal(&random) == expected);
}

static void streams_and_seeds_differ(void **state)
{
    (void)state;
    struct random a = random_new(1, 0), b = random_new(1, 1), c = random_new(2, 0);
    uint64_t x = random_u64(&a), y = random_u64(&b), z = random_u64(&c);
    assert_true(x != y && x != z && y != z);
}

static void each_draw_takes_the_words_it_promises(void **state)
{
    (void)state;
    struct random random = random_new(1, 0);
    random_float(&random);
    assert_int_equal(random.position, 1);
    random_double(&random);
    assert_int_equal(random.position, 3);
    random_normal(&random);
    assert_int_equal(random.position, 7);
}

// Chi-squared over 12 cells, 11 degrees of freedom: 31.3 is the 0.1 % quantile.
static void below_is_uniform_and_below(void **state)
{
    (void)state;
    enum { BOUND = 12, DRAWS = 24000 };
    struct random random = random_new(5, 0);
    double counts[BOUND] = {0}, chi = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = random_below(&random, BOUND);
        assert_true(value < BOUND);
        counts[value]++;
    }
    for (int i = 0; i < BOUND; i++)
        chi += (counts[i] - DRAWS / BOUND) * (counts[i] - DRAWS / BOUND) / (DRAWS / BOUND);
    assert_true(chi < 31.3);
    assert_int_equal(random_below(&random, 1), 0);
}

// Three quarters of 2⁶⁴ as the bound: without rejection every third number would come out twice as often as
// the others.
static void below_has_no_bias_for_large_bounds(void **state)
{
    (void)state;
    enum { DRAWS = 6000 };
    const uint64_t bound = UINT64_C(3) << 62;
    struct random random = random_new(5, 1);
    int thirds = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = random_below(&random, bound);
        assert_true(value < bound);
        thirds += value % 3 == 0;
    }
    assert_in_range(thirds, DRAWS / 3 - 200, DRAWS / 3 + 200);
}

static void uniform_numbers_stay_in_their_interval(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    struct random random = random_new(9, 0);
    double sum = 0, sum_float = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = random_double(&random);
        float y = random_float(&random);
        assert_true(x >= 0 && x < 1 && y >= 0 && y < 1);
        sum += x;
        sum_float += (double)y;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.01 && fabs(sum_float / DRAWS - 0.5) < 0.01);
}

static void normal_numbers_have_their_moments(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    struct random random = random_new(11, 0);
    double sum[5] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double x = random_normal(&random), power = 1;
        assert_true(isfinite(x));
        for (int k = 0; k < 5; k++, power *= x)
            sum[k] += power;
    }
    assert_true(fabs(sum[1] / DRAWS) < 0.02);
    assert_true(fabs(sum[2] / DRAWS - 1) < 0.03);
    assert_true(fabs(sum[3] / DRAWS) < 0.06);
    assert_true(fabs(sum[4] / DRAWS - 3) < 0.25);
}

static void a_shuffle_is_a_permutation_and_every_order_comes_up(void **state)
{
    (void)state;
    enum { TRIALS = 6000 };
    struct random random = random_new(13, 0);
    int orders[27] = {0};
    for (int i = 0; i < TRIALS; i++) {
        size_t items[] = {0, 1, 2};
        random_shuffle(&random, items, COUNT(items));
        assert_int_equal(1 << items[0] | 1 << items[1] | 1 << items[2], 7);
        orders[items[0] * 9 + items[1] * 3 + items[2]]++;
    }
    int seen = 0;
    for (int i = 0; i < 27; i++)
        if (orders[i]) {
            assert_in_range(orders[i], 880, 1120); // 1000 ± 4 deviations
            seen++;
        }
    assert_int_equal(seen, 6);
    random_shuffle(&random, NULL, 0);
}

static void elementary_functions_agree_with_libm(void **state)
{
    (void)state;
    struct random random = random_new(17, 0);
    for (int i = 0; i < 10000; i++) {
        double x = ldexp(1 - random_double(&random), (int)random_below(&random, 200) - 100);
        assert_true(fabs(elementary_log(x) - log(x)) <= 4e-16 * fmax(1, fabs(log(x))));
        double turns = random_double(&random) * 8 - 4, sine, cosine;
        elementary_sincos(turns, &sine, &cosine);
        assert_true(fabs(sine - sin(2 * M_PI * turns)) < 8e-15);
        assert_true(fabs(cosine - cos(2 * M_PI * turns)) < 8e-15);
    }
}

static void elementary_functions_are_exact_where_they_can_be(void **state)
{
    (void)state;
    static const struct {
        double turns, sine, cosine;
    } quarters[] = {{0, 0, 1}, {0.25, 1, 0}, {0.5, 0, -1}, {0.75, -1, 0}, {1, 0, 1}, {-0.25, -1, 0}};
    for (size_t i = 0; i < COUNT(quarters); i++) {
        double sine, cosine;
        elementary_sincos(quarters[i].turns, &sine, &cosine);
        assert_true(sine == quarters[i].sine && cosine == quarters[i].cosine);
    }
    assert_true(elementary_log(1) == 0 && elementary_log(2) == M_LN2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_of_random123),
        cmocka_unit_test(a_stream_is_its_blocks_in_order),
        cmocka_unit_test(the_position_is_the_whole_state),
        cmocka_unit_test(streams_and_seeds_differ),
        cmocka_unit_test(each_draw_takes_the_words_it_promises),
        cmocka_unit_test(below_is_uniform_and_below),
        cmocka_unit_test(below_has_no_bias_for_large_bounds),
        cmocka_unit_test(uniform_numbers_stay_in_their_interval),
        cmocka_unit_test(normal_numbers_have_their_moments),
        cmocka_unit_test(a_shuffle_is_a_permutation_and_every_order_comes_up),
        cmocka_unit_test(elementary_functions_agree_with_libm),
        cmocka_unit_test(elementary_functions_are_exact_where_they_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
