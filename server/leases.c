#include "server/leases.h"

#include "store/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_PAGE = 100, RETRY_MS = 1000 };

// What was last seen of one job.
struct lease {
    char job[TOKEN_ID_SIZE];
    uint64_t revision; // any write raises it
    int64_t renewed_ms;
    bool is_running; // seen by the look under way
};

struct leases {
    int64_t lease_ms;
    struct lease *list;
    size_t count, capacity;
};

struct leases *leases_new(int64_t lease_ms)
{
    struct leases *leases = calloc(1, sizeof *leases);
    if (leases)
        leases->lease_ms = lease_ms;
    return leases;
}

void leases_free(struct leases *leases)
{
    if (!leases)
        return;
    free(leases->list);
    free(leases);
}

static struct lease *lease_find(const struct leases *leases, const char *job)
{
    for (size_t i = 0; i < leases->count; i++)
        if (strcmp(leases->list[i].job, job) == 0)
            return &leases->list[i];
    return NULL;
}

static struct lease *lease_add(struct leases *leases, const struct job *job, int64_t now_ms)
{
    if (leases->count == leases->capacity) {
        size_t capacity = leases->capacity ? 2 * leases->capacity : 8;
        struct lease *grown = realloc(leases->list, capacity * sizeof *grown);
        if (!grown)
            return NULL; // the next look tries again
        leases->list = grown;
        leases->capacity = capacity;
    }
    struct lease *lease = &leases->list[leases->count++];
    *lease = (struct lease){.revision = job->revision, .renewed_ms = now_ms};
    memcpy(lease->job, job->id, sizeof lease->job);
    return lease;
}

// A write that comes between the look and this has the same attempt: it is too late by a moment.
static void lease_end(const struct leases *leases, struct store *store, const struct log *log,
                      const struct job *job)
{
    struct nabla_error err;
    char error[128];
    snprintf(error, sizeof error,
             "{\"code\":\"lease_expired\",\"detail\":\"no word from the client for %lld s\"}",
             (long long)(leases->lease_ms / 1000));
    const struct job_change change = {.event = JOB_EVENT_ABANDON,
                                      .attempt = job->attempt,
                                      .error = error,
                                      .detail = "no word from the client: its lease has run out"};
    enum nabla_code code = store_job_apply(store, job->id, &change, &err);
    log_write(log, LOG_WARNING, "%s, attempt %u: lease expired%s%s", job->id, job->attempt, code ? ": " : "",
              code ? err.text : "");
}

static int64_t look_at_job(struct leases *leases, struct store *store, const struct log *log,
                           const struct job *job, int64_t now_ms)
{
    if (job->executor != JOB_CLIENT)
        return INT64_MAX;
    struct lease *lease = lease_find(leases, job->id);
    if (!lease)
        lease = lease_add(leases, job, now_ms);
    if (!lease)
        return now_ms + RETRY_MS;
    lease->is_running = true;
    if (lease->revision != job->revision) {
        lease->revision = job->revision;
        lease->renewed_ms = now_ms;
    }
    if (now_ms - lease->renewed_ms < leases->lease_ms)
        return lease->renewed_ms + leases->lease_ms;
    lease_end(leases, store, log, job);
    return now_ms + RETRY_MS;
}

static void forget_ended(struct leases *leases)
{
    size_t kept = 0;
    for (size_t i = 0; i < leases->count; i++)
        if (leases->list[i].is_running)
            leases->list[kept++] = leases->list[i];
    leases->count = kept;
}

int64_t leases_look(struct leases *leases, struct store *store, const struct log *log, int64_t now_ms)
{
    char cursor[TOKEN_ID_SIZE] = "", next[TOKEN_ID_SIZE] = "";
    int64_t look_ms = INT64_MAX;
    for (size_t i = 0; i < leases->count; i++)
        leases->list[i].is_running = false;
    do {
        struct job **jobs = NULL;
        size_t count = 0;
        if (store_job_list(store, JOB_RUNNING, cursor, LIST_PAGE, &jobs, &count, next, NULL))
            return now_ms + RETRY_MS;
        for (size_t i = 0; i < count; i++) {
            int64_t at = look_at_job(leases, store, log, jobs[i], now_ms);
            look_ms = at < look_ms ? at : look_ms;
            job_free(jobs[i]);
        }
        free(jobs);
        memcpy(cursor, next, sizeof cursor);
    } while (cursor[0]);
    forget_ended(leases);
    return look_ms;
}
