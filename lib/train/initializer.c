#include "train/initializer.h"

#include <math.h>

static double draw_uniform(struct random *random)
{
    return (2 * random_double(random) - 1) * 1.7320508075688772; // variance 1
}

static double draw_truncated_normal(struct random *random)
{
    double value = random_normal(random);
    while (fabs(value) > 2)
        value = random_normal(random);
    return value / 0.87962566103423978;
}

static double draw_zero(struct random *random)
{
    (void)random;
    return 0;
}

static const struct {
    double (*draw)(struct random *random); // with variance 1
    double scale;
    double inputs_share; // n = inputs_share · inputs + (1 − inputs_share) · units
} initializers[] = {
    [INITIALIZER_GLOROT_UNIFORM] = {draw_uniform, 1, 0.5},
    [INITIALIZER_GLOROT_NORMAL] = {draw_truncated_normal, 1, 0.5},
    [INITIALIZER_HE_UNIFORM] = {draw_uniform, 2, 1},
    [INITIALIZER_HE_NORMAL] = {draw_truncated_normal, 2, 1},
    [INITIALIZER_ZEROS] = {draw_zero, 0, 1},
};
_Static_assert(sizeof initializers / sizeof *initializers == INITIALIZER_COUNT,
               "every initialiser has a row");

ENGINE void initializer_fill(enum initializer initializer, real *weight, size_t inputs, size_t units,
                             struct random *random)
{
    const double share = initializers[initializer].inputs_share;
    const double n = share * (double)inputs + (1 - share) * (double)units;
    const double deviation = sqrt(initializers[initializer].scale / n);
    for (size_t i = 0; i < inputs * units; i++)
        weight[i] = (real)(deviation * initializers[initializer].draw(random));
}
