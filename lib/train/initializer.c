#include "train/initializer.h"

#include "train/orthogonal.h"

#include <math.h>

static double draw_one(struct random *random)
{
    (void)random;
    return 1;
}

static double draw_uniform(struct random *random) // in [-1, 1)
{
    return 2 * random_double(random) - 1;
}

static double draw_scaled_uniform(struct random *random) // variance 1
{
    return draw_uniform(random) * 1.7320508075688772;
}

static double draw_truncated_normal(struct random *random)
{
    double value = random_normal(random);
    while (fabs(value) > 2)
        value = random_normal(random);
    return value;
}

static double draw_scaled_truncated_normal(struct random *random) // variance 1
{
    return draw_truncated_normal(random) / 0.87962566103423978;
}

// What multiplies the draws.
enum initializer_factor { FACTOR_FIXED, FACTOR_OPTION, FACTOR_VARIANCE };

static const struct {
    double (*draw)(struct random *random);
    enum initializer_factor factor;
    double scale;        // FACTOR_FIXED: the factor itself; FACTOR_VARIANCE: √(scale / n)
    double inputs_share; // n = inputs_share · inputs + (1 − inputs_share) · units
} initializers[] = {
    [INITIALIZER_GLOROT_UNIFORM] = {draw_scaled_uniform, FACTOR_VARIANCE, 1, 0.5},
    [INITIALIZER_GLOROT_NORMAL] = {draw_scaled_truncated_normal, FACTOR_VARIANCE, 1, 0.5},
    [INITIALIZER_HE_UNIFORM] = {draw_scaled_uniform, FACTOR_VARIANCE, 2, 1},
    [INITIALIZER_HE_NORMAL] = {draw_scaled_truncated_normal, FACTOR_VARIANCE, 2, 1},
    [INITIALIZER_LECUN_UNIFORM] = {draw_scaled_uniform, FACTOR_VARIANCE, 1, 1},
    [INITIALIZER_LECUN_NORMAL] = {draw_scaled_truncated_normal, FACTOR_VARIANCE, 1, 1},
    [INITIALIZER_ORTHOGONAL] = {random_normal, FACTOR_FIXED, 1, 0},
    [INITIALIZER_TRUNCATED_NORMAL] = {draw_truncated_normal, FACTOR_OPTION, 0, 0},
    [INITIALIZER_UNIFORM] = {draw_uniform, FACTOR_OPTION, 0, 0},
    [INITIALIZER_NORMAL] = {random_normal, FACTOR_OPTION, 0, 0},
    [INITIALIZER_ZEROS] = {draw_one, FACTOR_FIXED, 0, 0},
    [INITIALIZER_ONES] = {draw_one, FACTOR_FIXED, 1, 0},
    [INITIALIZER_CONSTANT] = {draw_one, FACTOR_OPTION, 0, 0},
};
_Static_assert(sizeof initializers / sizeof *initializers == INITIALIZER_COUNT,
               "every initialiser has a row");

static double initializer_factor(enum initializer initializer, double value, size_t inputs, size_t units)
{
    const double scale = initializers[initializer].scale, share = initializers[initializer].inputs_share;
    switch (initializers[initializer].factor) {
    case FACTOR_OPTION:
        return value;
    case FACTOR_VARIANCE:
        return sqrt(scale / (share * (double)inputs + (1 - share) * (double)units));
    default:
        return scale;
    }
}

ENGINE void initializer_fill(enum initializer initializer, double value, real *weight, size_t inputs,
                             size_t units, struct random *random)
{
    const double factor = initializer_factor(initializer, value, inputs, units);
    for (size_t i = 0; i < inputs * units; i++)
        weight[i] = (real)(factor * initializers[initializer].draw(random));
    if (initializer == INITIALIZER_ORTHOGONAL)
        orthogonalize(weight, inputs, units, value);
}
