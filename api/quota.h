// What a call may add to the store: the server's limits and those of the caller's token.
#ifndef NABLA_API_QUOTA_H
#define NABLA_API_QUOTA_H

#include "api/datasets_keep.h"
#include "api/handler.h"
#include "data/dataset.h"

// What a data set of this call may be.
struct dataset_limits quota_dataset(const struct api_call *call);

// Who keeps the data sets of this call.
struct dataset_owner quota_owner(const struct api_call *call);

// Whether there is room, for a data set where it is not NULL. False: *ret is the refusal, 507 for the
// server's max_disk, 413 for the token's. A look before the work; what counts is store_dataset_create's.
bool quota_disk(const struct api_call *call, const struct dataset *dataset, struct api_answer *ret);

// Whether one more job may be queued; else 503, or 429 where it is the token's limit. A look before the work;
// what counts is store_job_create's, whose NABLA_BUSY and NABLA_LIMIT become the same refusals.
bool quota_queue(const struct api_call *call, struct api_answer *ret);
void quota_refuse_queue(const struct api_call *call, enum nabla_code why, struct api_answer *ret);

#endif
