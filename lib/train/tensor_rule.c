#include "train/tensor_rule.h"

#include "math/summary.h"
#include "math/vectorised.h"

#include <math.h>

ENGINE double tensor_penalty(const struct tensor_rule *rule, const real *w, size_t count)
{
    struct summary sum = {0};
    if (rule->l1 <= 0 && rule->l2 <= 0)
        return 0;
    summary_gradient(&sum, w, count);
    return (rule->l1 > 0 ? rule->l1 * sum.sum_abs : 0) + (rule->l2 > 0 ? rule->l2 * sum.sum_square : 0);
}

static VECTORISED void add_gradient(real *restrict gradient, const real *restrict w, real l1, real l2_twice,
                                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] += (w[i] > 0 ? l1 : w[i] < 0 ? -l1 : 0) + l2_twice * w[i];
}

ENGINE void tensor_penalty_gradient(const struct tensor_rule *rule, real *gradient, const real *w,
                                    size_t count)
{
    if (rule->l1 > 0 || rule->l2 > 0)
        add_gradient(gradient, w, (real)rule->l1, (real)(2 * rule->l2), count);
}

static double column_norm(const real *w, size_t rows, size_t columns)
{
    double square = 0;
    for (size_t i = 0; i < rows; i++)
        square += (double)w[i * columns] * (double)w[i * columns];
    return sqrt(square);
}

// As Keras, w·min(norm, max) / (ε + norm): what is within the limit shrinks by ε's share as well.
ENGINE void tensor_limit_norm(const struct tensor_rule *rule, real *w, size_t rows, size_t columns)
{
    for (size_t j = 0; rule->max_norm > 0 && j < columns; j++) {
        const double norm = column_norm(w + j, rows, columns);
        const double scale = (norm > rule->max_norm ? rule->max_norm : norm) / (1e-7 + norm);
        for (size_t i = 0; i < rows; i++)
            w[i * columns + j] = (real)((double)w[i * columns + j] * scale);
    }
}
