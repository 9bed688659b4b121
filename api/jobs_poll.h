// Conditional and waiting reads of what hangs on a job's revision: ETag, If-None-Match, Prefer: wait.
#ifndef NABLA_API_JOBS_POLL_H
#define NABLA_API_JOBS_POLL_H

#include "api/handler.h"

enum { ETAG_SIZE = 40 };

// "\"12\"", or "\"12-csv\"" where `variant` is "csv": each representation has its own.
void etag_make(char ret[ETAG_SIZE], uint64_t revision, const char *variant);
// True when If-None-Match names this entity tag (compared weakly, RFC 9110) or any.
bool etag_is_known(const struct api_call *call, const char *etag);

// Seconds of Prefer: wait=N (RFC 7240), at most the configured ones; 0 for none.
unsigned prefer_wait(const struct api_call *call);

// Makes *ret "wait until the job's revision is above this" when the client asked to wait and its time is not
// over; false otherwise.
bool poll_wait(struct api_call *call, const char *job, uint64_t revision, struct api_answer *ret);

// The same of a job that was read, for an answer with this entity tag: a client that says what it knows waits
// for anything else; one that does not waits for the next revision. A final job has none.
bool poll_wait_job(struct api_call *call, const struct job *job, const char *etag, struct api_answer *ret);

// ETag, Preference-Applied, Cache-Control of an answer; to be called after answer_begin.
void poll_headers(const struct api_call *call, const char *etag, struct api_answer *ret);
// 304 when the client says that it knows this variant of the job's revision and does not want to wait,
// without reading anything but the revision.
bool poll_if_unchanged(const struct api_call *call, const char *variant, struct api_answer *ret);
// 304 with the same headers.
void poll_unchanged(const struct api_call *call, const char *etag, struct api_answer *ret);

#endif
