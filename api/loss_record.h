// POST /v1/losses?job=…&step=…: what was computed goes into that job's history, too.
#ifndef NABLA_API_LOSS_RECORD_H
#define NABLA_API_LOSS_RECORD_H

#include "api/handler.h"
#include "math/loss.h"

struct loss_record {
    bool is_wanted;
    uint64_t step;
    unsigned attempt;
};

// What the query asks for; the token was checked. False: *ret is the refusal.
bool loss_record_read(const struct api_call *call, enum nabla_reduction reduction, struct loss_record *ret,
                      struct api_answer *ret_answer);

// Loss, gradient norm and, where there is one, accuracy. NABLA_CONFLICT when the job takes no history any
// more.
enum nabla_code loss_record_keep(const struct api_call *call, const struct loss_record *record,
                                 const struct nabla_loss_result *result, struct nabla_error *err);

#endif
