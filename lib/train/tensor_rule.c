#include "train/tensor_rule.h"

#include "base/crew.h"
#include "math/summary_shared.h"
#include "math/vectorised.h"

#include <math.h>

ENGINE double tensor_penalty(const struct tensor_rule *rule, const real *w, size_t count)
{
    if (rule->l1 <= 0 && rule->l2 <= 0)
        return 0;
    const struct summary sum = summary_shared(rule->l1 > 0 ? summary_gradient : summary_weights, w, count);
    return (rule->l1 > 0 ? rule->l1 * sum.sum_abs : 0) + (rule->l2 > 0 ? rule->l2 * sum.sum_square : 0);
}

static VECTORISED void add_gradient(real *restrict gradient, const real *restrict w, real l1, real l2_twice,
                                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] += (w[i] > 0 ? l1 : w[i] < 0 ? -l1 : 0) + l2_twice * w[i];
}

enum {
    SHARED_PENALTY = 1 << 14, // numbers: fewer are not worth sharing
    LIMIT_COLUMNS = 64        // that norms are taken of together
};

struct penalty {
    const struct tensor_rule *rule;
    real *gradient;
    const real *w;
};

static void penalty_piece(void *context, size_t first, size_t end)
{
    const struct penalty *penalty = context;
    add_gradient(penalty->gradient + first, penalty->w + first, (real)penalty->rule->l1,
                 (real)(2 * penalty->rule->l2), end - first);
}

ENGINE void tensor_penalty_gradient(const struct tensor_rule *rule, real *gradient, const real *w,
                                    size_t count)
{
    struct penalty penalty = {rule, gradient, w};
    if (rule->l1 > 0 || rule->l2 > 0)
        crew_share_range(penalty_piece, &penalty, count, SHARED_PENALTY);
}

static VECTORISED void add_squares(double *restrict squares, const real *restrict row, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        squares[j] += (double)row[j] * (double)row[j];
}

static VECTORISED void scale_columns(real *restrict row, const double *restrict scales, size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        row[j] = (real)((double)row[j] * scales[j]);
}

struct limit {
    double max_norm;
    real *w;
    size_t rows, columns;
};

// As Keras, w·min(norm, max) / (ε + norm): what is within the limit shrinks by ε's share as well.
static void limit_columns(void *context, size_t first, size_t end)
{
    const struct limit *limit = context;
    double scales[LIMIT_COLUMNS] = {0}; // the squares' sums at first
    for (size_t i = 0; i < limit->rows; i++)
        add_squares(scales, limit->w + i * limit->columns + first, end - first);
    for (size_t j = 0; j < end - first; j++) {
        const double norm = sqrt(scales[j]);
        scales[j] = (norm > limit->max_norm ? limit->max_norm : norm) / (1e-7 + norm);
    }
    for (size_t i = 0; i < limit->rows; i++)
        scale_columns(limit->w + i * limit->columns + first, scales, end - first);
}

ENGINE void tensor_limit_norm(const struct tensor_rule *rule, real *w, size_t rows, size_t columns)
{
    struct limit limit = {rule->max_norm, w, rows, columns};
    if (rule->max_norm <= 0)
        return;
    if (rows * columns > SHARED_PENALTY)
        crew_share_range(limit_columns, &limit, columns, LIMIT_COLUMNS);
    else
        for (size_t j = 0; j < columns; j += LIMIT_COLUMNS)
            limit_columns(&limit, j, columns - j < LIMIT_COLUMNS ? columns : j + LIMIT_COLUMNS);
}
