// The words of a job's life: what the file, the log and the clients see.
#include "store/jobs.h"

#include <string.h>

static const char *const state_names[] = {
    [JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running", [JOB_PAUSED] = "paused",
    [JOB_SUCCEEDED] = "succeeded", [JOB_FAILED] = "failed",   [JOB_CANCELLED] = "cancelled",
};
_Static_assert(sizeof state_names / sizeof *state_names == JOB_STATE_COUNT, "every state has a name");

static const char *const event_names[] = {
    [JOB_EVENT_CLAIM] = "claim",     [JOB_EVENT_SUCCEED] = "succeed",     [JOB_EVENT_FAIL] = "fail",
    [JOB_EVENT_CANCEL] = "cancel",   [JOB_EVENT_CANCELLED] = "cancelled", [JOB_EVENT_PAUSE] = "pause",
    [JOB_EVENT_PAUSED] = "paused",   [JOB_EVENT_RESUME] = "resume",       [JOB_EVENT_REQUEUE] = "requeue",
    [JOB_EVENT_ABANDON] = "abandon",
};
_Static_assert(sizeof event_names / sizeof *event_names == JOB_EVENT_COUNT, "every event has a name");

static const char *const request_names[] = {
    [JOB_REQUEST_NONE] = "none",
    [JOB_REQUEST_CANCEL] = "cancel",
    [JOB_REQUEST_PAUSE] = "pause",
};
_Static_assert(sizeof request_names / sizeof *request_names == JOB_REQUEST_COUNT, "every request has a name");

static const char *const executor_names[] = {[JOB_LOCAL] = "local", [JOB_CLIENT] = "client"};
_Static_assert(sizeof executor_names / sizeof *executor_names == JOB_EXECUTOR_COUNT,
               "every executor has a name");

static int find_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count && name; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *job_state_name(enum job_state state)
{
    return (unsigned)state < JOB_STATE_COUNT ? state_names[state] : "unknown";
}

int job_state_find(const char *name)
{
    return find_name(state_names, JOB_STATE_COUNT, name);
}

const char *job_event_name(enum job_event event)
{
    return (unsigned)event < JOB_EVENT_COUNT ? event_names[event] : "unknown";
}

const char *job_request_name(enum job_request request)
{
    return (unsigned)request < JOB_REQUEST_COUNT ? request_names[request] : "unknown";
}

int job_request_find(const char *name)
{
    return find_name(request_names, JOB_REQUEST_COUNT, name);
}

const char *job_executor_name(enum job_executor executor)
{
    return (unsigned)executor < JOB_EXECUTOR_COUNT ? executor_names[executor] : "unknown";
}

int job_executor_find(const char *name)
{
    return find_name(executor_names, JOB_EXECUTOR_COUNT, name);
}

bool job_state_is_final(enum job_state state)
{
    return state == JOB_SUCCEEDED || state == JOB_FAILED || state == JOB_CANCELLED;
}
