#include "api/quota.h"

#include "api/datasets_keep.h"
#include "api/identity.h"
#include "store/usage.h"

#include <inttypes.h>

struct dataset_limits quota_dataset(const struct api_call *call)
{
    struct dataset_limits limits = dataset_limits_of(&call->api->options.limits);
    limits.rows = (size_t)identity_limit(limits.rows, call->grant.dataset_rows);
    return limits;
}

struct dataset_owner quota_owner(const struct api_call *call)
{
    return (struct dataset_owner){.id = identity_owner(call),
                                  .bytes_most = call->grant.disk_bytes,
                                  .disk_most = call->api->options.limits.disk_bytes};
}

static bool server_has_disk(const struct api_call *call, uint64_t bytes, struct api_answer *ret)
{
    uint64_t most = call->api->options.limits.disk_bytes, used;
    if (most == 0)
        return true;
    used = store_usage_bytes(call->api->options.store);
    if (used < most && bytes <= most - used)
        return true;
    answer_status(ret, call, 507,
                  "the data folder holds %" PRIu64 " bytes and this would add about %" PRIu64
                  "; the limit max_disk is %" PRIu64 ": delete what is no longer needed",
                  used, bytes, most);
    return false;
}

static bool token_has_disk(const struct api_call *call, uint64_t bytes, struct api_answer *ret)
{
    uint64_t most = call->grant.disk_bytes, used;
    struct nabla_error err = {0};
    if (most == 0)
        return true;
    if (store_owner_bytes(call->api->options.store, call->grant.id, &used, &err)) {
        answer_error(ret, call, &err);
        return false;
    }
    if (used < most && bytes <= most - used)
        return true;
    answer_status(ret, call, 413,
                  "data sets of this token hold %" PRIu64 " bytes and this would add about %" PRIu64
                  "; its limit max_disk is %" PRIu64,
                  used, bytes, most);
    return false;
}

bool quota_disk(const struct api_call *call, const struct dataset *dataset, struct api_answer *ret)
{
    uint64_t bytes = dataset ? (uint64_t)dataset->rows * (dataset->columns + 1) * sizeof(float) : 0;
    return server_has_disk(call, bytes, ret) && (!dataset || token_has_disk(call, bytes, ret));
}

void quota_refuse_queue(const struct api_call *call, enum nabla_code why, struct api_answer *ret)
{
    struct nabla_error err = {0};
    size_t most = call->api->options.limits.queued_jobs;
    if (why == NABLA_LIMIT) {
        answer_status(ret, call, 429,
                      "%" PRIu64 " jobs of this token are queued; its limit max_queued_jobs allows no more",
                      call->grant.queued_jobs);
        return;
    }
    nabla_fail(&err, NABLA_BUSY, NULL, "%zu jobs are queued; the limit max_queued_jobs allows no more", most);
    answer_error(ret, call, &err);
}

bool quota_queue(const struct api_call *call, struct api_answer *ret)
{
    size_t queued, most = call->api->options.limits.queued_jobs;
    uint64_t own = 0, own_most = call->grant.queued_jobs;
    struct nabla_error err = {0};
    enum nabla_code code = store_job_count(call->api->options.store, JOB_QUEUED, &queued, &err);
    if (!code && own_most)
        code = store_owner_queued(call->api->options.store, call->grant.id, &own, &err);
    if (code) {
        answer_error(ret, call, &err);
        return false;
    }
    bool is_full = queued >= most, is_own_full = own_most && own >= own_most;
    if (is_full || is_own_full)
        quota_refuse_queue(call, is_full ? NABLA_BUSY : NABLA_LIMIT, ret);
    return !is_full && !is_own_full;
}
