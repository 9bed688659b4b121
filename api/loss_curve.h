// Loss and gradient of one path as the probability of the correct class falls, and where its gradient dies.
#ifndef NABLA_API_LOSS_CURVE_H
#define NABLA_API_LOSS_CURVE_H

#include "api/loss_path.h"

// A path in one of the number types, with one row to try probabilities on. Class 0 is the correct one.
struct loss_curve {
    struct nabla_loss loss; // its input and convention are the path's
    enum nabla_dtype dtype;
    size_t classes;
    const double *others;    // how the other classes share what the correct one leaves: classes - 1, sum 1
    void *scores, *gradient; // owned: one row
};

struct curve_point {
    double loss;
    double correct; // gradient with respect to the logit of the correct class
    double largest; // largest magnitude in the whole gradient
};

// The largest probabilities of the dtype at which the gradient is dead, and stays dead down to 1e-45; NaN
// where it never dies. Sought up to 1/2: above that a small gradient means that the row is right.
struct curve_thresholds {
    double zero; // all entries are exactly 0
    double tiny; // none reaches 1e-7
};

// The lowest probability that is asked about: near the smallest float.
#define CURVE_LOWEST 1e-45

enum nabla_code loss_curve_make(const struct nabla_loss *loss, enum nabla_dtype dtype, size_t classes,
                                const double *others, struct loss_curve *ret, struct nabla_error *err);
void loss_curve_free(struct loss_curve *curve);

enum nabla_code loss_curve_point(const struct loss_curve *curve, double probability, struct curve_point *ret,
                                 struct nabla_error *err);
enum nabla_code loss_curve_thresholds(const struct loss_curve *curve, struct curve_thresholds *ret,
                                      struct nabla_error *err);

#endif
