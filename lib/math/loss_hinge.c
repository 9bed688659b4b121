// Multi-class hinge losses of class ids. With y the right class and z_j = margin - x_y + x_j for j ≠ y:
//   exact  Σ_j max(0, z_j)^p                              (Weston and Watkins, 1998)
//   torch  the same, divided by the number of classes     (MultiMarginLoss)
//   keras  max(0, max_j(x_j, 0) - x_y + margin)           (CategoricalHinge: the right class counts as 0)
//   optax  max(0, max_j z_j)                              (multiclass_hinge_loss; Crammer and Singer, 2001)
// p is 1, or 2 for the squared hinge; a class weight multiplies the row. Where max_j ties, the first takes
// the gradient.
#include "math/loss_row.h"

#include <math.h>
#include <string.h>

static void hinge_sum(const struct loss_plan *plan, struct loss_row *row, size_t label, double weight)
{
    bool squared = plan->loss->type == NABLA_SQUARED_HINGE;
    double total = 0, pull = 0;
    for (size_t j = 0; j < row->classes; j++) {
        double z = plan->loss->margin - (row->scores[label] - row->scores[j]);
        if (j == label || z <= 0)
            continue;
        total += squared ? z * z : z;
        row->gradient[j] = weight * (squared ? 2 * z : 1);
        pull += row->gradient[j];
    }
    row->gradient[label] = -pull;
    row->loss = weight * total;
}

// Only the largest wrong score counts; `floor` is what it must exceed (-Infinity for nothing).
static void hinge_largest(const struct loss_plan *plan, struct loss_row *row, size_t label, double floor,
                          double weight)
{
    size_t worst = LOSS_NO_LABEL;
    double largest = floor;
    for (size_t j = 0; j < row->classes; j++)
        if (j != label && row->scores[j] > largest) {
            worst = j;
            largest = row->scores[j];
        }
    double z = plan->loss->margin - (row->scores[label] - largest);
    row->loss = 0;
    if (z <= 0)
        return;
    row->loss = weight * z;
    row->gradient[label] = -weight;
    if (worst != LOSS_NO_LABEL)
        row->gradient[worst] = weight;
}

static size_t hot_class(const struct loss_row *row)
{
    for (size_t j = 0; j < row->classes; j++)
        if (row->targets[j] == 1)
            return j;
    return 0;
}

void loss_row_hinge(const struct loss_plan *plan, struct loss_row *row)
{
    const struct nabla_loss *loss = plan->loss;
    size_t label = hot_class(row);
    double weight = loss->class_weights && !plan->weight_per_row ? loss->class_weights[label] : 1;
    memset(row->gradient, 0, row->classes * sizeof *row->gradient);
    loss_softmax(row, row->scores);
    if (loss_row_nonfinite(row->scores, row->classes)) {
        row->loss = NAN;
        for (size_t j = 0; j < row->classes; j++)
            row->gradient[j] = NAN;
    } else if (loss->convention == NABLA_KERAS) {
        hinge_largest(plan, row, label, 0, weight);
    } else if (loss->convention == NABLA_OPTAX) {
        hinge_largest(plan, row, label, -INFINITY, weight);
    } else {
        double share = loss->convention == NABLA_TORCH ? 1 / (double)row->classes : 1;
        hinge_sum(plan, row, label, weight * share);
    }
}
