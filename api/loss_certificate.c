#include "api/loss_certificate.h"

#include "api/write.h"

// About as many as take a second or two: nobody shall hold a thread for a minute with one request.
enum { CERTIFY_MOST = 1000000 };

enum nabla_code loss_certificate_check(const struct loss_request *request, struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = &request->batch;
    if (!request->certify)
        return NABLA_OK;
    if (!(request->returns & RETURN_GRADIENT))
        return nabla_fail(err, NABLA_INVALID, "/certify",
                          "what is certified is the gradient: \"return\" must name it");
    if (batch->rows > CERTIFY_MOST / batch->classes)
        return nabla_fail(err, NABLA_INVALID, "/certify",
                          "a gradient of up to %d entries can be certified, not one of %zu rows of %zu",
                          CERTIFY_MOST, batch->rows, batch->classes);
    return NABLA_OK;
}

enum nabla_code loss_certificate_make(const struct loss_request *request, const void *gradient,
                                      struct nabla_loss_certificate *ret, struct nabla_error *err)
{
    if (!request->certify)
        return NABLA_OK;
    return nabla_loss_certify(&request->loss, &request->batch, gradient, ret, err);
}

void loss_certificate_write(struct buffer *body, const struct loss_request *request,
                            const struct nabla_loss_certificate *certificate, bool nonfinite_as_null)
{
    if (!request->certify)
        return;
    buffer_text(body, ",\"certificate\":{\"largest_deviation_ulp\":");
    write_double(body, certificate->largest_deviation_ulp, nonfinite_as_null);
    buffer_text(body, ",\"largest_deviation\":");
    write_double(body, certificate->largest_deviation, nonfinite_as_null);
    buffer_format(body, ",\"row\":%zu,\"column\":%zu,\"precision_bits\":%d}", certificate->row,
                  certificate->column, certificate->precision_bits);
}
