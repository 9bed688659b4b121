// Jobs as JSON.
#ifndef NABLA_API_JOB_ENCODE_H
#define NABLA_API_JOB_ENCODE_H

#include "base/buffer.h"
#include "store/jobs.h"

// The whole job; `token` is added where it is not NULL.
void job_encode(const struct job *job, const char *token, struct buffer *ret);

// Its parts, for events: {"step": …, "eta_seconds": …}, {"loss": …} or null, "cancel" or null.
void job_encode_progress(const struct job *job, struct buffer *ret);
void job_encode_latest(const struct job *job, struct buffer *ret);
void job_encode_request(enum job_request request, struct buffer *ret);

// A moment as RFC 3339 text in quotes; null for 0.
void encode_time(int64_t wall_ms, struct buffer *ret);

#endif
