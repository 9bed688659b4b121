#include "api/jobs_poll.h"

#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void etag_make(char ret[ETAG_SIZE], uint64_t revision, const char *variant)
{
    const char *dash = variant[0] ? "-" : "";
    snprintf(ret, ETAG_SIZE, "\"%" PRIu64 "%s%s\"", revision, dash, variant);
}

bool etag_is_known(const struct api_call *call, const char *etag)
{
    const char *at = call_header(call, "If-None-Match");
    size_t length = strlen(etag);
    while (at && *at) {
        at += strspn(at, " \t,");
        if (*at == '*')
            return true;
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        if (strncmp(at, etag, length) == 0)
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

unsigned prefer_wait(const struct api_call *call)
{
    const char *at = call_header(call, "Prefer");
    unsigned most = call->api->options.limits.wait_seconds;
    while (at && *at) {
        at += strspn(at, " \t,");
        if (strncasecmp(at, "wait=", 5) == 0 && isdigit((unsigned char)at[5])) {
            unsigned long seconds = strtoul(at + 5, NULL, 10);
            return seconds < most ? (unsigned)seconds : most;
        }
        at += strcspn(at, ",");
    }
    return 0;
}

bool poll_wait(struct api_call *call, const char *job, uint64_t revision, struct api_answer *ret)
{
    unsigned seconds = prefer_wait(call);
    int64_t now = clock_monotonic_ms();
    if (seconds == 0)
        return false;
    if (call->wait_deadline_ms == 0)
        call->wait_deadline_ms = now + (int64_t)seconds * 1000;
    if (now >= call->wait_deadline_ms)
        return false;
    *ret = (struct api_answer){.kind = API_WAIT, .fd = -1};
    snprintf(ret->wait.job, sizeof ret->wait.job, "%s", job);
    ret->wait.revision = revision;
    ret->wait.deadline_ms = call->wait_deadline_ms;
    return true;
}

bool poll_wait_job(struct api_call *call, const struct job *job, const char *etag, struct api_answer *ret)
{
    const bool is_first = call->wait_deadline_ms == 0;
    const bool wants = call_header(call, "If-None-Match") ? etag_is_known(call, etag) : is_first;
    return wants && !job_state_is_final(job->state) && poll_wait(call, job->id, job->revision, ret);
}

void poll_headers(const struct api_call *call, const char *etag, struct api_answer *ret)
{
    unsigned seconds = prefer_wait(call);
    answer_header(ret, "ETag", "%s", etag);
    answer_header(ret, "Cache-Control", "no-cache");
    if (seconds > 0)
        answer_header(ret, "Preference-Applied", "wait=%u", seconds);
}

bool poll_if_unchanged(const struct api_call *call, const char *variant, struct api_answer *ret)
{
    char etag[ETAG_SIZE];
    uint64_t revision;
    if (!call_header(call, "If-None-Match") || prefer_wait(call) > 0 ||
        store_job_revision(call->api->options.store, call->params[0], &revision, NULL))
        return false; // the full read tells why
    etag_make(etag, revision, variant);
    if (!etag_is_known(call, etag))
        return false;
    poll_unchanged(call, etag, ret);
    return true;
}

void poll_unchanged(const struct api_call *call, const char *etag, struct api_answer *ret)
{
    answer_begin(ret, 304, NULL);
    poll_headers(call, etag, ret);
}
