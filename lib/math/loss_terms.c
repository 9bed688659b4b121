// The terms of the softmax family: value, slope d/dp and flow p·d/dp of one class with target share a.
// The flow is what goes back through softmax; it stays finite where p has underflowed and the slope has not.
#include "math/loss_row.h"

#include <math.h>

// -a ln p
void loss_term_cross_entropy(const struct nabla_loss *loss, const struct loss_point *point,
                             struct loss_term *ret)
{
    (void)loss;
    *ret = (struct loss_term){-point->mass * point->log, -point->mass / point->p, -point->mass};
}

// -a (1-p)^γ ln p (Lin et al., Focal Loss for Dense Object Detection, 2017). The derivative's two parts have
// one sign: p f' = -a (1-p)^γ (γ p (-ln p)/(1-p) + 1); (-ln p)/(1-p) tends to 1 as p does.
void loss_term_focal(const struct nabla_loss *loss, const struct loss_point *point, struct loss_term *ret)
{
    double factor = pow(point->complement, loss->gamma);
    double ratio = point->complement == 0 ? 1 : -point->log / point->complement;
    double pull = point->p == 0 ? 0 : loss->gamma * point->p * ratio; // p ln p vanishes with p
    double flow = -point->mass * factor * (pull + 1);
    *ret = (struct loss_term){-point->mass * factor * point->log, flow / point->p, flow};
}

// a (-ln p + ε (1-p)) (Leng et al., PolyLoss, 2022: poly-1). 1 + ε p is (1 + ε) - ε (1-p), which does not
// cancel where ε is negative.
void loss_term_poly(const struct nabla_loss *loss, const struct loss_point *point, struct loss_term *ret)
{
    double epsilon = loss->epsilon;
    double pull = epsilon < 0 ? (1 + epsilon) - epsilon * point->complement : 1 + epsilon * point->p;
    double flow = -point->mass * pull;
    double value = point->mass * (-point->log + epsilon * point->complement);
    *ret = (struct loss_term){value, flow / point->p, flow};
}

// a (1 - p^q) / q (Zhang and Sabuncu, Generalized Cross Entropy Loss, 2018)
void loss_term_generalized(const struct nabla_loss *loss, const struct loss_point *point,
                           struct loss_term *ret)
{
    double q = loss->q;
    *ret = (struct loss_term){-point->mass * expm1(q * point->log) / q,
                              -point->mass * exp((q - 1) * point->log), -point->mass * exp(q * point->log)};
    if (q == 1)
        ret->slope = -point->mass;
}

// a (ln a - ln p)
void loss_term_divergence(const struct nabla_loss *loss, const struct loss_point *point,
                          struct loss_term *ret)
{
    (void)loss;
    double value = point->mass == 0 ? 0 : point->mass * (log(point->mass) - point->log);
    *ret = (struct loss_term){value, -point->mass / point->p, -point->mass};
}
