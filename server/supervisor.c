// One thread sleeps until something happens (a wake, a worker's end, a deadline), then looks at everything:
// the workers that ended, the cancels that were asked for, the queue. Looking at everything each time is
// cheap, workers being few, and leaves no event to be missed.
#include "server/supervisor.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/token.h"
#include "server/leases.h"
#include "server/message.h"
#include "server/outcome.h"
#include "store/datasets.h"
#include "store/jobs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CANCEL_GRACE_MS = 10000, // for a worker to obey a cancel
    PAUSE_GRACE_MS = 60000,  // or a pause: it has a checkpoint to write
    STOP_GRACE_MS = 5000,    // for the workers to end when the server stops
    SETTLE_RETRY_MS = 1000,  // when the store could not be written
    LOOK_MS = 1000,          // between looks at workers whose end is not told, and for orphans
    LIST_PAGE = 100,
};

struct worker {
    bool is_used;
    bool is_ended; // but its job may not be settled yet
    struct launched launched;
    char job[TOKEN_ID_SIZE];
    unsigned attempt;
    enum job_request asked; // of its job, as last seen
    int64_t kill_ms;        // when it is killed unless it has ended by then; INT64_MAX for never
    char evidence[EVIDENCE_SIZE];
};

struct supervisor {
    struct supervisor_options options;
    int wake_fd;
    atomic_bool stopping;
    atomic_uint_fast64_t started, lost; // for metrics
    bool is_recovering;                 // before the thread starts
    bool is_running;
    pthread_t thread;
    struct leases *leases;
    int64_t leases_look_ms;  // when a lease may have run out
    struct pollfd *fds;      // room for each worker's end and the wake
    struct worker workers[]; // `slots`
};

enum nabla_code supervisor_new(const struct supervisor_options *options, struct supervisor **ret,
                               struct nabla_error *err)
{
    struct supervisor *supervisor =
        calloc(1, sizeof *supervisor + options->slots * sizeof *supervisor->workers);
    if (!supervisor)
        return nabla_fail_memory(err, "the supervisor");
    supervisor->options = *options;
    supervisor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    supervisor->fds = calloc(options->slots + 1, sizeof *supervisor->fds);
    supervisor->leases = leases_new(options->lease_ms);
    if (supervisor->wake_fd < 0 || !supervisor->fds || !supervisor->leases) {
        enum nabla_code code = nabla_fail_errno(err, "make", "the supervisor's descriptors");
        supervisor_free(supervisor);
        return code;
    }
    *ret = supervisor;
    return NABLA_OK;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    if (supervisor->wake_fd >= 0)
        close(supervisor->wake_fd);
    free(supervisor->fds);
    leases_free(supervisor->leases);
    free(supervisor);
}

struct supervisor_counts supervisor_count(struct supervisor *supervisor)
{
    return (struct supervisor_counts){.started = atomic_load(&supervisor->started),
                                      .lost = atomic_load(&supervisor->lost)};
}

void supervisor_wake(struct supervisor *supervisor)
{
    uint64_t one = 1;
    // It fails only when the counter is full: then the thread is about to wake anyway.
    if (write(supervisor->wake_fd, &one, sizeof one) < 0)
        return;
}

// What becomes of a job whose attempt ended without a final state.
static enum job_event verdict(const struct supervisor *supervisor, const struct job *job)
{
    if (job->requested == JOB_REQUEST_CANCEL)
        return JOB_EVENT_CANCELLED;
    // A pause is done: the next attempt goes on from the last checkpoint.
    if (job->requested == JOB_REQUEST_PAUSE)
        return JOB_EVENT_REQUEUE;
    // A server that ends, or has ended, is no fault of the job.
    if (supervisor->is_recovering || atomic_load(&supervisor->stopping) || job->attempt <= job->retries)
        return JOB_EVENT_REQUEUE;
    return JOB_EVENT_ABANDON;
}

static enum nabla_code end_attempt(struct supervisor *supervisor, const struct job *job, const char *evidence,
                                   struct nabla_error *err)
{
    enum job_event event = verdict(supervisor, job);
    struct buffer error = buffer_new(1024);
    buffer_text(&error, "{\"code\":\"worker_lost\",\"detail\":");
    buffer_json_string(&error, evidence);
    buffer_char(&error, '}');
    const struct job_change change = {.event = event,
                                      .attempt = job->attempt,
                                      .error = event == JOB_EVENT_ABANDON ? error.data : NULL,
                                      .detail = evidence};
    enum nabla_code code = store_job_apply(supervisor->options.store, job->id, &change, err);
    buffer_free(&error);
    return code;
}

// `evidence` NULL: the worker had reported how its attempt ended.
static void log_end(const struct supervisor *supervisor, const struct job *job, const char *evidence)
{
    char detail[OUTCOME_TEXT_SIZE] = "";
    const struct message error = {job->error, job->error ? strlen(job->error) : 0};
    bool is_bad = evidence && !atomic_load(&supervisor->stopping);
    if (job->state == JOB_FAILED && job->error && message_text(error, "detail", detail, sizeof detail))
        evidence = detail;
    log_write(supervisor->options.log, is_bad ? LOG_WARNING : LOG_INFO, "%s, attempt %u: %s%s%s", job->id,
              job->attempt, job->state == JOB_QUEUED ? "requeued" : job_state_name(job->state),
              evidence ? ": " : "", evidence ? evidence : "");
}

// True when nothing is left to do for this attempt; false when the store failed and it must be tried again.
static bool settle(struct supervisor *supervisor, const char *id, unsigned attempt, const char *evidence)
{
    struct store *store = supervisor->options.store;
    struct nabla_error err;
    struct job *job = NULL;
    enum nabla_code code = store_job_get(store, id, &job, &err);
    bool is_lost = !code && job->state == JOB_RUNNING && job->attempt == attempt;
    if (is_lost) {
        atomic_fetch_add(&supervisor->lost, 1);
        code = end_attempt(supervisor, job, evidence, &err);
        job_free(job);
        job = NULL;
        if (!code || code == NABLA_CONFLICT) // a report that came just before
            code = store_job_get(store, id, &job, &err);
    }
    if (!code && job->attempt == attempt)
        log_end(supervisor, job, is_lost ? evidence : NULL);
    else if (code && code != NABLA_NOT_FOUND)
        log_write(supervisor->options.log, LOG_ERROR, "%s, attempt %u: %s, and it cannot be noted: %s", id,
                  attempt, evidence, err.text);
    job_free(job);
    return !code || code == NABLA_NOT_FOUND;
}

static void look_at_worker(struct supervisor *supervisor, struct worker *worker)
{
    const struct launcher *launcher = &supervisor->options.launcher;
    if (!worker->is_ended) {
        worker->is_ended = !launcher->is_alive(launcher->context, &worker->launched, worker->evidence);
        if (!worker->is_ended && clock_monotonic_ms() >= worker->kill_ms) {
            launcher->cancel(launcher->context, &worker->launched, true);
            worker->kill_ms = INT64_MAX;
        }
    }
    if (worker->is_ended && settle(supervisor, worker->job, worker->attempt, worker->evidence))
        worker->is_used = false;
}

static void look_at_workers(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.slots; i++)
        if (supervisor->workers[i].is_used)
            look_at_worker(supervisor, &supervisor->workers[i]);
}

// Sets the clock for workers whose job is to be cancelled or paused. They hear of it themselves with their
// next report.
static void look_at_requests(struct supervisor *supervisor)
{
    static const int64_t grace[JOB_REQUEST_COUNT] = {
        [JOB_REQUEST_CANCEL] = CANCEL_GRACE_MS, [JOB_REQUEST_PAUSE] = PAUSE_GRACE_MS};
    for (unsigned i = 0; i < supervisor->options.slots; i++) {
        struct worker *worker = &supervisor->workers[i];
        struct job *job = NULL;
        if (!worker->is_used || worker->is_ended ||
            store_job_get(supervisor->options.store, worker->job, &job, NULL))
            continue;
        int64_t grace_ms = grace[job->requested], kill_ms = clock_monotonic_ms() + grace_ms;
        if (grace_ms > 0 && kill_ms < worker->kill_ms && worker->asked != job->requested)
            worker->kill_ms = kill_ms;
        worker->asked = job->requested;
        job_free(job);
    }
}

static enum nabla_code dataset_path(struct store *store, const struct job *job, char **ret,
                                    struct nabla_error *err)
{
    struct dataset_row *row = NULL;
    enum nabla_code code = store_dataset_get(store, job->dataset, &row, err);
    if (code)
        return code;
    *ret = store_dataset_path(store, row->sha256);
    dataset_row_free(row);
    return *ret ? NABLA_OK : nabla_fail_memory(err, "a path");
}

static enum nabla_code start_worker(struct supervisor *supervisor, const struct job *job, const char *token,
                                    struct launched *ret, struct nabla_error *err)
{
    const struct supervisor_options *options = &supervisor->options;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/jobs/%s", store_folder(options->store), job->id);
    char *path = NULL, traceparent[TRACEPARENT_SIZE] = "";
    store_job_trace(options->store, job->id, traceparent, NULL); // a job runs without it, too
    enum nabla_code code = dataset_path(options->store, job, &path, err);
    if (!code) {
        const struct launch launch = {.job = job->id,
                                      .token = token,
                                      .attempt = job->attempt,
                                      .folder = folder,
                                      .dataset = path,
                                      .traceparent = traceparent,
                                      .limits = options->limits};
        code = options->launcher.start(options->launcher.context, &launch, ret, err);
    }
    free(path);
    return code;
}

// Takes the oldest queued job into a free slot. False when there is none.
static bool take_job(struct supervisor *supervisor, struct worker *worker)
{
    struct nabla_error err;
    char token[TOKEN_SECRET_SIZE], sha256[TOKEN_SHA256_SIZE];
    token_make_secret(token);
    token_sha256(sha256, token, strlen(token));
    struct job *job = NULL;
    enum nabla_code code = store_job_claim(supervisor->options.store, JOB_LOCAL, sha256, &job, &err);
    if (code) {
        if (code != NABLA_NOT_FOUND)
            log_write(supervisor->options.log, LOG_ERROR, "cannot take a job: %s", err.text);
        return false;
    }
    *worker = (struct worker){.is_used = true, .attempt = job->attempt, .kill_ms = INT64_MAX};
    memcpy(worker->job, job->id, sizeof worker->job);
    code = start_worker(supervisor, job, token, &worker->launched, &err);
    if (code) {
        snprintf(worker->evidence, sizeof worker->evidence, "no worker: %.100s", err.text);
        worker->is_ended = true;
        supervisor_wake(supervisor); // to settle it
    } else {
        atomic_fetch_add(&supervisor->started, 1);
        log_write(supervisor->options.log, LOG_INFO, "%s, attempt %u: started", job->id, job->attempt);
    }
    job_free(job);
    return true;
}

static void take_jobs(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.slots; i++)
        if (!supervisor->workers[i].is_used && !take_job(supervisor, &supervisor->workers[i]))
            return;
}

// As process 1 of a container the server inherits every orphan.
static void reap_strangers(struct supervisor *supervisor)
{
    siginfo_t info = {0};
    while (getpid() == 1 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        for (unsigned i = 0; i < supervisor->options.slots; i++) {
            const struct worker *worker = &supervisor->workers[i];
            if (worker->is_used && !worker->is_ended && worker->launched.pid == info.si_pid)
                return; // look_at_workers reaps it: its end is an event
        }
        waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

static int64_t next_look_ms(const struct supervisor *supervisor)
{
    int64_t now = clock_monotonic_ms();
    int64_t next = supervisor->leases_look_ms;
    if (getpid() == 1 && next > now + LOOK_MS)
        next = now + LOOK_MS;
    for (unsigned i = 0; i < supervisor->options.slots; i++) {
        const struct worker *worker = &supervisor->workers[i];
        if (!worker->is_used)
            continue;
        int64_t at = worker->is_ended ? now + SETTLE_RETRY_MS : worker->kill_ms;
        if (!worker->is_ended && worker->launched.ended_fd < 0 && at > now + LOOK_MS)
            at = now + LOOK_MS;
        if (at < next)
            next = at;
    }
    return next;
}

static void await_event(struct supervisor *supervisor)
{
    nfds_t count = 0;
    supervisor->fds[count++] = (struct pollfd){.fd = supervisor->wake_fd, .events = POLLIN};
    for (unsigned i = 0; i < supervisor->options.slots; i++) {
        const struct worker *worker = &supervisor->workers[i];
        if (worker->is_used && !worker->is_ended && worker->launched.ended_fd >= 0)
            supervisor->fds[count++] = (struct pollfd){.fd = worker->launched.ended_fd, .events = POLLIN};
    }
    int64_t next = next_look_ms(supervisor), now = clock_monotonic_ms();
    int timeout = next == INT64_MAX ? -1 : next <= now ? 0 : (int)(next - now);
    poll(supervisor->fds, count, timeout);
    uint64_t wakes;
    while (read(supervisor->wake_fd, &wakes, sizeof wakes) > 0)
        ;
}

static bool has_workers(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.slots; i++)
        if (supervisor->workers[i].is_used)
            return true;
    return false;
}

static void end_workers(struct supervisor *supervisor)
{
    const struct launcher *launcher = &supervisor->options.launcher;
    int64_t now = clock_monotonic_ms();
    for (unsigned i = 0; i < supervisor->options.slots; i++) {
        struct worker *worker = &supervisor->workers[i];
        if (!worker->is_used || worker->is_ended)
            continue;
        launcher->cancel(launcher->context, &worker->launched, false);
        worker->kill_ms = now + STOP_GRACE_MS;
    }
    // What cannot be settled by then is settled by the next server.
    while (has_workers(supervisor) && clock_monotonic_ms() < now + STOP_GRACE_MS + SETTLE_RETRY_MS) {
        look_at_workers(supervisor);
        if (has_workers(supervisor))
            await_event(supervisor);
    }
}

static void look_at_leases(struct supervisor *supervisor)
{
    const struct supervisor_options *options = &supervisor->options;
    supervisor->leases_look_ms =
        leases_look(supervisor->leases, options->store, options->log, clock_monotonic_ms());
}

static void *supervisor_main(void *context)
{
    struct supervisor *supervisor = context;
    while (!atomic_load(&supervisor->stopping)) {
        look_at_workers(supervisor);
        look_at_requests(supervisor);
        take_jobs(supervisor);
        look_at_leases(supervisor);
        reap_strangers(supervisor);
        await_event(supervisor);
    }
    end_workers(supervisor);
    return NULL;
}

// A server before this one may have been killed while its workers ran: they have seen it, save where they
// stand and end by themselves; whatever they still send comes too late.
static enum nabla_code recover(struct supervisor *supervisor, struct nabla_error *err)
{
    char cursor[TOKEN_ID_SIZE] = "", next[TOKEN_ID_SIZE];
    enum nabla_code code = NABLA_OK;
    do {
        struct job **jobs = NULL;
        size_t count = 0;
        code = store_job_list(supervisor->options.store, JOB_RUNNING, cursor, LIST_PAGE, &jobs, &count, next,
                              err);
        if (code)
            return code;
        for (size_t i = 0; i < count; i++) {
            if (jobs[i]->executor == JOB_LOCAL)
                settle(supervisor, jobs[i]->id, jobs[i]->attempt, "the server ended while the job ran");
            job_free(jobs[i]);
        }
        free(jobs);
        memcpy(cursor, next, sizeof cursor);
    } while (cursor[0]);
    return NABLA_OK;
}

enum nabla_code supervisor_start(struct supervisor *supervisor, struct nabla_error *err)
{
    supervisor->is_recovering = true;
    enum nabla_code code = recover(supervisor, err);
    supervisor->is_recovering = false;
    if (code)
        return code;
    if (pthread_create(&supervisor->thread, NULL, supervisor_main, supervisor))
        return nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the supervisor's thread");
    supervisor->is_running = true;
    return NABLA_OK;
}

void supervisor_stop(struct supervisor *supervisor)
{
    if (!supervisor || !supervisor->is_running)
        return;
    atomic_store(&supervisor->stopping, true);
    supervisor_wake(supervisor);
    pthread_join(supervisor->thread, NULL);
    supervisor->is_running = false;
}
