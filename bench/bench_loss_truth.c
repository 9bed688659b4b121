// A million seeded rows in each type against 113-bit arithmetic: the largest deviations, in ulp.
// Usage: bench_loss_truth [rows]
#include "tests/loss_truth.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    static const char *const names[] = {"float32", "float64"};
    bool true_to = true;
    for (int dtype = NABLA_FLOAT32; dtype <= NABLA_FLOAT64; dtype++) {
        struct truth truth = truth_run((enum nabla_dtype)dtype, rows, 88172645463325252u);
        printf("%s (%s): %zu rows, %zu entries: loss %.3f ulp (at %g), gradient %.3f ulp (at %g)\n",
               names[dtype], nabla_loss_kernel_name(), truth.rows, truth.entries, truth.loss_ulps,
               truth.worst_loss, truth.gradient_ulps, truth.worst_gradient);
        true_to = true_to && truth.loss_ulps <= 2 && truth.gradient_ulps <= 4;
    }
    return true_to ? 0 : 1;
}
