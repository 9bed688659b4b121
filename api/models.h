// What the handlers that need a job's model share.
#ifndef NABLA_API_MODELS_H
#define NABLA_API_MODELS_H

#include "api/handler.h"
#include "api/model_file.h"
#include "store/jobs.h"

// Where the job's model stands once it has one; the caller frees it. NULL without memory.
char *model_path(const struct api_call *call, const char *job);

// NABLA_CONFLICT while the job has not succeeded, NABLA_NOT_FOUND where it trains elsewhere.
enum nabla_code model_fail_missing(const struct job *job, struct nabla_error *err);

#endif
