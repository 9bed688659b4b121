// The scale of histograms: every edge, both sides of it, and quantiles read back from the bins.
#include "base/histogram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void edges_are_powers_of_four_and_mirror_each_other(void **state)
{
    (void)state;
    double edges[HISTOGRAM_BINS - 1];
    histogram_edges(edges);
    assert_true(edges[31] == 0 && edges[32] == ldexp(1, -46) && edges[62] == 16384);
    for (size_t i = 0; i < 31; i++) {
        assert_true(edges[i] == -edges[62 - i]);
        assert_true(edges[i] < edges[i + 1]);
    }
}

static void an_edge_belongs_to_the_bin_further_out(void **state)
{
    (void)state;
    double edges[HISTOGRAM_BINS - 1];
    histogram_edges(edges);
    for (size_t i = 0; i < HISTOGRAM_BINS - 1; i++) {
        const double edge = edges[i], below = nextafter(edge, -INFINITY), above = nextafter(edge, INFINITY);
        assert_int_equal(histogram_bin(edge), edge < 0 ? i : i + 1);
        assert_int_equal(histogram_bin(below), i);
        assert_int_equal(histogram_bin(above), i + 1);
    }
}

static void what_lies_outside_is_in_the_outermost_bins(void **state)
{
    (void)state;
    const struct {
        double x;
        size_t bin;
    } cases[] = {{0, 32}, {-0.0, 32}, {1e-45, 32}, {-1e-45, 31}, {1e38, 63}, {-1e38, 0}, {1, 56}, {-1, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(histogram_bin(cases[i].x), cases[i].bin);
}

static void quantiles_lie_within_their_bins(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    assert_true(isnan(histogram_quantile(&histogram, 0.5)));
    for (int i = 1; i <= 1000; i++) {
        histogram.counts[histogram_bin(0.001 * i)]++;
        histogram.counts[histogram_bin(-0.001 * i)]++;
    }
    const double tail = histogram_quantile(&histogram, 0.95), low = histogram_quantile(&histogram, 0.05);
    assert_true(tail > 0.9 / 4 && tail < 0.9 * 4);
    assert_true(fabs(low + tail) < 1e-9);
    assert_true(fabs(histogram_quantile(&histogram, 0.5)) < 0.005);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_powers_of_four_and_mirror_each_other),
        cmocka_unit_test(an_edge_belongs_to_the_bin_further_out),
        cmocka_unit_test(what_lies_outside_is_in_the_outermost_bins),
        cmocka_unit_test(quantiles_lie_within_their_bins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
