#include "server/train_run.h"

#include "api/datasets_keep.h"
#include "base/clock.h"
#include "server/outcome.h"
#include "server/train_view.h"
#include "store/history.h"
#include "store/jobs.h"
#include "store/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { BATCH = 64, BATCH_MS = 200, ATTEMPT = 1, SPEC_LIMIT = 64 << 20 };

struct train_run {
    struct store *store;
    const struct job_spec *spec; // borrowed
    char job[TOKEN_ID_SIZE];
    int signals;
    struct train_view view;
    struct queued_record *first, *last; // first and newest of the run
    struct queued_record *batch[BATCH]; // not yet written; `last` is one of them or was
    size_t batch_count;
    int64_t written_ms;
};

// The job as the store keeps it: it runs, and reports for itself.
static enum nabla_code job_create(struct train_run *run, const struct dataset *dataset, const char *name,
                                  struct nabla_error *err)
{
    char token[TOKEN_SECRET_SIZE], sha256[TOKEN_SHA256_SIZE];
    struct creation kept;
    bool repeated;
    struct train_cost cost;
    struct buffer text = buffer_new(SPEC_LIMIT);
    token_make_secret(token); // nobody learns it: nobody else may report
    token_sha256(sha256, token, strlen(token));
    enum nabla_code code = dataset_keep(run->store, dataset, name, NULL, NULL, &kept, err);
    if (!code)
        code = spec_cost(&run->spec->train, dataset, &cost, err);
    if (!code)
        code = spec_to_json(run->spec, &text, err);
    if (!code) {
        const struct job_new job = {.name = run->spec->name ? run->spec->name : "",
                                    .dataset = kept.id,
                                    .spec = text.data,
                                    .executor = JOB_CLIENT,
                                    .steps = cost.steps,
                                    .epochs = run->spec->train.epochs,
                                    .network_stats = trainer_network_stats(&run->spec->train, dataset),
                                    .layer_stats = trainer_layer_stats(),
                                    .token_sha256 = sha256};
        code = store_job_create(run->store, &job, run->job, &repeated, err);
    }
    buffer_free(&text);
    return code;
}

static enum nabla_code take_signals(struct train_run *run, struct nabla_error *err)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);
    run->signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signals < 0 ? nabla_fail_errno(err, "watch for", "signals") : NABLA_OK;
}

enum nabla_code train_run_new(const char *folder, const struct job_spec *spec, const struct dataset *dataset,
                              const char *dataset_name, struct train_run **ret, struct nabla_error *err)
{
    struct train_run *run = calloc(1, sizeof *run);
    if (!run)
        return nabla_fail_memory(err, "a run");
    run->signals = -1;
    run->spec = spec;
    enum nabla_code code = store_open(folder, &run->store, err);
    if (!code)
        code = take_signals(run, err);
    if (!code)
        code = job_create(run, dataset, dataset_name, err);
    if (code) {
        train_run_free(run);
        return code;
    }
    run->view = train_view_new(stderr, &spec->train); // its clock starts with the training
    *ret = run;
    return NABLA_OK;
}

static bool is_kept(const struct train_run *run, const struct queued_record *record)
{
    return record == run->first || record == run->last;
}

static void batch_clear(struct train_run *run)
{
    for (size_t i = 0; i < run->batch_count; i++)
        if (!is_kept(run, run->batch[i]))
            free(run->batch[i]);
    run->batch_count = 0;
}

void train_run_free(struct train_run *run)
{
    if (!run)
        return;
    batch_clear(run);
    if (run->last != run->first)
        free(run->last);
    free(run->first);
    if (run->signals >= 0)
        close(run->signals);
    store_close(run->store);
    free(run);
}

static enum nabla_code batch_write(struct train_run *run, struct nabla_error *err)
{
    struct step_record records[BATCH];
    struct history_ack ack;
    if (run->batch_count == 0)
        return NABLA_OK;
    for (size_t i = 0; i < run->batch_count; i++)
        records[i] = run->batch[i]->record;
    const struct train_progress *newest = &run->batch[run->batch_count - 1]->progress;
    const struct job_progress progress = {newest->step, newest->steps, newest->epoch, newest->epochs};
    const struct history_batch batch = {
        .attempt = ATTEMPT, .records = records, .record_count = run->batch_count, .progress = &progress};
    enum nabla_code code = store_history_append(run->store, run->job, &batch, &ack, err);
    batch_clear(run);
    run->written_ms = clock_monotonic_ms();
    return code;
}

// The newest record takes the place of the one before, which is freed unless the batch or `first` needs it.
static void keep(struct train_run *run, struct queued_record *record)
{
    bool is_pending = run->batch_count > 0 && run->batch[run->batch_count - 1] == run->last;
    if (run->last != run->first && !is_pending)
        free(run->last);
    if (!run->first)
        run->first = record;
    run->last = record;
    run->batch[run->batch_count++] = record;
}

static enum nabla_code on_record(void *context, const struct step_record *record,
                                 const struct train_progress *progress, struct nabla_error *err)
{
    struct train_run *run = context;
    struct queued_record *copy;
    enum nabla_code code = queued_record_new(record, progress, &copy, err);
    if (code)
        return code;
    keep(run, copy);
    train_view_progress(&run->view, progress);
    bool is_due = run->batch_count == BATCH || clock_monotonic_ms() - run->written_ms >= BATCH_MS;
    return is_due ? batch_write(run, err) : NABLA_OK;
}

static enum nabla_code on_poll(void *context, struct nabla_error *err)
{
    struct train_run *run = context;
    struct signalfd_siginfo signal;
    if (read(run->signals, &signal, sizeof signal) > 0)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "interrupted");
    return NABLA_OK;
}

struct train_observer train_run_observer(struct train_run *run)
{
    return (struct train_observer){.context = run, .record = on_record, .poll = on_poll};
}

static enum nabla_code write_end(struct train_run *run, enum nabla_code ended,
                                 const struct train_result *result, const struct nabla_error *why,
                                 struct nabla_error *err)
{
    struct buffer text = buffer_new(OUTCOME_LIMIT);
    struct job_change change = {.event = JOB_EVENT_SUCCEED, .attempt = ATTEMPT};
    if (!ended) {
        outcome_encode(result, &run->spec->train, true, &text);
        change.result = text.data;
    } else if (ended == NABLA_CANCELLED) {
        change.event = JOB_EVENT_CANCELLED;
        change.detail = "interrupted";
    } else {
        outcome_encode_error(why, &text);
        change.event = JOB_EVENT_FAIL;
        change.error = text.data;
    }
    enum nabla_code code = store_job_apply(run->store, run->job, &change, err);
    buffer_free(&text);
    return code;
}

enum nabla_code train_run_end(struct train_run *run, enum nabla_code code, const struct train_result *result,
                              struct nabla_error *err)
{
    struct nabla_error own;
    train_view_end(&run->view);
    enum nabla_code written = batch_write(run, &own);
    if (!written)
        written = write_end(run, code, result, err, &own);
    if (!code && written)
        *err = own;
    return code ? code : written;
}

const struct queued_record *train_run_first(const struct train_run *run)
{
    return run->first;
}

const struct queued_record *train_run_last(const struct train_run *run)
{
    return run->last;
}

const char *train_run_job(const struct train_run *run)
{
    return run->job;
}
