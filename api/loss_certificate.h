// The certificate that a request may ask for: its gradient, checked at higher precision.
#ifndef NABLA_API_LOSS_CERTIFICATE_H
#define NABLA_API_LOSS_CERTIFICATE_H

#include "api/loss_request.h"
#include "math/loss_certify.h"

// Whether the request may ask for what it asks for: to be called before any work is done.
enum nabla_code loss_certificate_check(const struct loss_request *request, struct nabla_error *err);

// Fills *ret if the request asks for it. The gradient must not have taken the scores' place.
enum nabla_code loss_certificate_make(const struct loss_request *request, const void *gradient,
                                      struct nabla_loss_certificate *ret, struct nabla_error *err);

// Appends `,"certificate":{…}` if the request asks for it.
void loss_certificate_write(struct buffer *body, const struct loss_request *request,
                            const struct nabla_loss_certificate *certificate, bool nonfinite_as_null);

#endif
