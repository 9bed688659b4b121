#include "api/loss_record.h"

#include "api/identity.h"
#include "store/history.h"

#include <math.h>

static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;

// The attempt is read, then the token checked again: if it is still the job's, it is that attempt's.
static enum nabla_code attempt_find(const struct api_call *call, unsigned *ret, struct nabla_error *err)
{
    struct job *job;
    enum nabla_code code = store_job_get(call->api->options.store, call_query(call, "job"), &job, err);
    if (code)
        return code;
    *ret = job->attempt;
    job_free(job);
    return identity_recheck(call, err);
}

bool loss_record_read(const struct api_call *call, enum nabla_reduction reduction, struct loss_record *ret,
                      struct api_answer *ret_answer)
{
    struct nabla_error err = {0};
    bool has_step = call_query(call, "step") != NULL;
    *ret = (struct loss_record){.is_wanted = call_query(call, "job") != NULL};
    if (ret->is_wanted != has_step) {
        answer_status(ret_answer, call, 400, "job and step go together: where the loss is to be recorded");
        return false;
    }
    if (!ret->is_wanted)
        return true;
    if (!call_query_whole(call, "step", 0, 0, STEP_MAX, &ret->step, ret_answer))
        return false;
    if (reduction == NABLA_NONE) {
        answer_status(ret_answer, call, 400, "with the reduction none there is no one loss to record");
        return false;
    }
    if (attempt_find(call, &ret->attempt, &err) == NABLA_OK)
        return true;
    answer_error(ret_answer, call, &err);
    return false;
}

static void put(struct step_record *record, enum network_stat stat, double value)
{
    record->values[stat] = value;
    record->recorded |= 1U << stat;
}

enum nabla_code loss_record_keep(const struct api_call *call, const struct loss_record *record,
                                 const struct nabla_loss_result *result, struct nabla_error *err)
{
    struct step_record step = {.step = record->step};
    struct history_ack ack;
    if (!record->is_wanted)
        return NABLA_OK;
    put(&step, NETWORK_LOSS, result->loss);
    put(&step, NETWORK_GRADIENT_NORM, result->gradient_norm);
    if (!isnan(result->accuracy))
        put(&step, NETWORK_ACCURACY, result->accuracy);
    const struct history_batch batch = {.attempt = record->attempt, .records = &step, .record_count = 1};
    return store_history_append(call->api->options.store, call_query(call, "job"), &batch, &ack, err);
}
