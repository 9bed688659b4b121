#include "data/generator_target.h"

#include "math/elementary.h"

#include <math.h>

static void draw_normal(const struct generator *generator, struct random *random, float *row)
{
    for (size_t i = 0; i < generator->features; i++)
        row[i] = (float)random_normal(random);
}

// Nothing is drawn where there is no noise.
static double noise_of(const struct generator *generator, struct random *random)
{
    return generator->noise > 0 ? generator->noise * random_normal(random) : 0;
}

void target_linear(const struct generator *generator, const float *weights, struct random *random, float *row,
                   float *targets)
{
    draw_normal(generator, random, row);
    for (size_t j = 0; j < generator->targets; j++, weights += generator->features) {
        double sum = 0;
        for (size_t i = 0; i < generator->features; i++)
            sum += (double)weights[i] * (double)row[i];
        targets[j] = (float)(sum + noise_of(generator, random));
    }
}

void target_friedman(const struct generator *generator, const float *weights, struct random *random,
                     float *row, float *targets)
{
    (void)weights;
    double sine, cosine;
    for (size_t i = 0; i < generator->features; i++)
        row[i] = random_float(random);
    elementary_sincos((double)row[0] * (double)row[1] / 2, &sine, &cosine);
    const double from_middle = (double)row[2] - 0.5;
    targets[0] = (float)(10 * sine + 20 * from_middle * from_middle + 10 * (double)row[3] +
                         5 * (double)row[4] + noise_of(generator, random));
}

void target_labels(const struct generator *generator, const float *weights, struct random *random, float *row,
                   float *targets)
{
    draw_normal(generator, random, row);
    for (size_t j = 0; j < generator->targets; j++, weights += generator->features) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < generator->features; i++) {
            sum += (double)weights[i] * (double)row[i];
            square += (double)weights[i] * (double)weights[i];
        }
        targets[j] = sum / sqrt(square) + noise_of(generator, random) > 0;
    }
}
