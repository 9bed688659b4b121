// Multi-class hinge losses of class ids. With y the right class and z_j = margin - x_y + x_j for j ≠ y:
//   exact  Σ_j max(0, z_j)^p                              (Weston and Watkins, 1998)
//   torch  the same, divided by the number of classes     (MultiMarginLoss)
//   keras  max(0, max_j(x_j, 0) - x_y + margin)           (CategoricalHinge: the right class counts as 0)
//   optax  max(0, max_j z_j)                              (multiclass_hinge_loss; Crammer and Singer, 2001)
// p is 1, or 2 for the squared hinge; a class weight multiplies the row. Where max_j ties, the ties share the
// gradient, as TensorFlow's and JAX's maxima have it. In the corner, at a loss of 0, sums have no gradient;
// Keras' has all of it, and optax' is a tie with the right class.
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

// The largest wrong score, or for Keras the 0 that it makes of the right one; how many have it, that 0
// included.
static double largest_wrong(const struct loss_row *row, size_t label, bool keras, size_t *ret_ties)
{
    double largest = keras ? 0 : -INFINITY;
    size_t ties = keras;
    for (size_t j = 0; j < row->classes; j++) {
        if (j == label || row->scores[j] < largest)
            continue;
        ties = row->scores[j] > largest ? 1 : ties + 1;
        largest = row->scores[j];
    }
    *ret_ties = ties;
    return largest;
}

static void hinge_largest(const struct loss_plan *plan, struct loss_row *row, size_t label, double weight)
{
    bool keras = plan->loss->convention == NABLA_KERAS;
    size_t ties;
    double largest = largest_wrong(row, label, keras, &ties);
    double z = plan->loss->margin - (row->scores[label] - largest);
    row->loss = 0;
    if (z < 0)
        return;
    bool corner = z <= 0 && !keras; // the right class is one of the ties
    double share = weight / (double)(ties + corner);
    row->loss = weight * z;
    row->gradient[label] = -weight + (corner ? share : 0);
    for (size_t j = 0; j < row->classes; j++)
        if (j != label && row->scores[j] >= largest)
            row->gradient[j] = share;
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
    loss_softmax(row, row->scores, NULL);
    if (loss_row_nonfinite(row->scores, row->classes)) {
        row->loss = NAN;
        for (size_t j = 0; j < row->classes; j++)
            row->gradient[j] = NAN;
    } else if (loss->convention == NABLA_KERAS || loss->convention == NABLA_OPTAX) {
        hinge_largest(plan, row, label, weight);
    } else {
        double share = loss->convention == NABLA_TORCH ? 1 / (double)row->classes : 1;
        hinge_sum(plan, row, label, weight * share);
    }
}
