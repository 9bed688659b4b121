#include "server/train_run.h"

#include "api/datasets_keep.h"
#include "api/model_file.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/size.h"
#include "server/checkpointer.h"
#include "server/job_lock.h"
#include "server/outcome.h"
#include "server/train_view.h"
#include "store/history.h"
#include "store/jobs.h"
#include "store/store.h"
#include "train/checkpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    BATCH = 64,
    BATCH_MS = 200,
    SPEC_LIMIT = 64 << 20,
    FILE_LIMIT = 1 << 30,
    LIST_PAGE = 100,
    PATH_SIZE = 4096
};

struct train_run {
    struct store *store;
    const struct job_spec *spec;   // borrowed
    const struct dataset *dataset; // borrowed
    char job[TOKEN_ID_SIZE], dataset_id[TOKEN_ID_SIZE];
    char folder[PATH_SIZE]; // the job's
    unsigned attempt;
    struct buffer document;
    struct trainer *trainer; // borrowed
    struct checkpointer checkpointer;
    char saved[CHECKPOINTER_DETAIL_SIZE];
    int signals;
    struct train_view view;
    struct queued_record *first, *last; // first and newest of the run
    struct queued_record *batch[BATCH]; // not yet written; `last` is one of them or was
    size_t batch_count;
    int64_t written_ms;
};

// A token that nobody learns: nobody else may report.
static void make_token(char ret_sha256[TOKEN_SHA256_SIZE])
{
    char token[TOKEN_SECRET_SIZE];
    token_make_secret(token);
    token_sha256(ret_sha256, token, strlen(token));
}

static enum nabla_code insert_job(struct train_run *run, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    bool repeated;
    struct train_cost cost;
    enum nabla_code code = spec_cost(&run->spec->train, run->dataset, &cost, err);
    if (code)
        return code;
    make_token(sha256);
    const struct job_new job = {.name = run->spec->name ? run->spec->name : "",
                                .dataset = run->dataset_id,
                                .spec = run->document.data,
                                .executor = JOB_CLIENT,
                                .steps = cost.steps,
                                .epochs = run->spec->train.epochs,
                                .network_stats = trainer_network_stats(&run->spec->train, run->dataset),
                                .layer_stats = trainer_layer_stats(),
                                .token_sha256 = sha256};
    return store_job_create(run->store, &job, run->job, &repeated, err);
}

static enum nabla_code take_folder(struct train_run *run, struct nabla_error *err)
{
    snprintf(run->folder, sizeof run->folder, "%s/jobs/%s", store_folder(run->store), run->job);
    enum nabla_code code = file_make_folder(run->folder, err);
    return code ? code : job_lock_take(run->folder, err);
}

static enum nabla_code copy_weights(const struct train_run *run, const char *weights, struct nabla_error *err)
{
    char path[PATH_SIZE + sizeof INITIAL_FILE];
    struct buffer bytes = buffer_new(FILE_LIMIT);
    snprintf(path, sizeof path, "%s/" INITIAL_FILE, run->folder);
    enum nabla_code code = file_read(weights, &bytes, err);
    if (!code)
        code = file_replace(path, bytes.data ? bytes.data : "", bytes.size, err);
    buffer_free(&bytes);
    return code;
}

// From here on the rows come from the file that is kept of them, as a worker has them.
static enum nabla_code keep_dataset(struct train_run *run, struct dataset **dataset, const char *name,
                                    struct nabla_error *err)
{
    struct creation kept;
    enum nabla_code code = dataset_keep(run->store, *dataset, name, NULL, NULL, &kept, err);
    if (code)
        return code;
    memcpy(run->dataset_id, kept.id, sizeof kept.id);
    dataset_free(*dataset);
    *dataset = NULL;
    code = dataset_load(run->store, run->dataset_id, &dataset_unlimited, dataset, err);
    run->dataset = *dataset;
    return code;
}

// The job as the store keeps it: it runs, and reports for itself.
static enum nabla_code job_create(struct train_run *run, struct dataset **dataset, const char *name,
                                  const char *weights, struct nabla_error *err)
{
    enum nabla_code code = keep_dataset(run, dataset, name, err);
    if (!code)
        code = spec_to_json(run->spec, &run->document, err);
    if (code)
        return code;
    run->attempt = 1;
    code = insert_job(run, err);
    if (!code)
        code = take_folder(run, err);
    return code || !weights ? code : copy_weights(run, weights, err);
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

static enum nabla_code run_open(const char *folder, struct train_run **ret, struct nabla_error *err)
{
    struct train_run *run = calloc(1, sizeof *run);
    if (!run)
        return nabla_fail_memory(err, "a run");
    run->signals = -1;
    run->document = buffer_new(SPEC_LIMIT);
    enum nabla_code code = store_open(folder, &run->store, err);
    if (!code)
        code = take_signals(run, err);
    if (code)
        train_run_free(run);
    else
        *ret = run;
    return code;
}

enum nabla_code train_run_new(const char *folder, const struct job_spec *spec, struct dataset **dataset,
                              const char *dataset_name, const char *weights, struct train_run **ret,
                              struct nabla_error *err)
{
    struct train_run *run;
    enum nabla_code code = run_open(folder, &run, err);
    if (code)
        return code;
    run->spec = spec;
    code = job_create(run, dataset, dataset_name, weights, err);
    if (code)
        train_run_free(run);
    else
        *ret = run;
    return code;
}

// The newest job of a state that was trained by hand. Its id stays "" where there is none.
static enum nabla_code find_job(struct train_run *run, enum job_state state, struct nabla_error *err)
{
    char cursor[TOKEN_ID_SIZE] = "", next[TOKEN_ID_SIZE];
    do {
        struct job **jobs;
        size_t count;
        enum nabla_code code =
            store_job_list(run->store, (int)state, cursor, LIST_PAGE, &jobs, &count, next, err);
        if (code)
            return code;
        for (size_t i = 0; i < count; i++) {
            if (!run->job[0] && jobs[i]->executor == JOB_CLIENT && jobs[i]->dataset[0])
                memcpy(run->job, jobs[i]->id, sizeof run->job);
            job_free(jobs[i]);
        }
        free(jobs);
        memcpy(cursor, next, sizeof cursor);
    } while (cursor[0] && !run->job[0]);
    return NABLA_OK;
}

// Makes the job this run's. One that is still running, though nobody holds its lock, was killed.
static enum nabla_code take_job(struct train_run *run, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    struct job *job;
    enum nabla_code code = take_folder(run, err);
    if (!code)
        code = store_job_get(run->store, run->job, &job, err);
    if (code)
        return code;
    const struct job_change lost = {
        .event = JOB_EVENT_PAUSED, .attempt = job->attempt, .detail = "its process was killed"};
    if (job->state == JOB_RUNNING)
        code = store_job_apply(run->store, run->job, &lost, err);
    run->attempt = job->attempt + 1;
    memcpy(run->dataset_id, job->dataset, sizeof run->dataset_id);
    buffer_text(&run->document, job->spec);
    job_free(job);
    make_token(sha256);
    return code ? code : store_job_resume(run->store, run->job, sha256, err);
}

static enum nabla_code load_job(struct train_run *run, struct job_spec *ret_spec,
                                struct dataset **ret_dataset, struct nabla_error *err)
{
    enum nabla_code code = buffer_status(&run->document, "the job's document", err);
    if (!code)
        code = dataset_load(run->store, run->dataset_id, &dataset_unlimited, ret_dataset, err);
    if (!code)
        code = spec_from_json(run->document.data, run->document.size, &dataset_unlimited, ret_spec, err);
    if (!code)
        code = spec_prepare(ret_spec, *ret_dataset, err);
    run->spec = ret_spec;
    run->dataset = *ret_dataset;
    return code;
}

enum nabla_code train_run_resume(const char *folder, struct job_spec *ret_spec, struct dataset **ret_dataset,
                                 struct train_run **ret, struct nabla_error *err)
{
    struct train_run *run;
    enum nabla_code code = run_open(folder, &run, err);
    if (code)
        return code;
    code = find_job(run, JOB_PAUSED, err);
    if (!code && !run->job[0])
        code = find_job(run, JOB_RUNNING, err);
    if (!code && !run->job[0])
        code = nabla_fail(err, NABLA_NOT_FOUND, NULL, "no run in %s was interrupted", folder);
    if (!code)
        code = take_job(run, err);
    if (!code)
        code = load_job(run, ret_spec, ret_dataset, err);
    if (code)
        train_run_free(run);
    else
        *ret = run;
    return code;
}

// The trainer takes what it is given: a checkpoint, else the initial weights that the job has.
enum nabla_code train_run_begin(struct train_run *run, struct trainer *trainer, struct nabla_error *err)
{
    char detail[CHECKPOINTER_DETAIL_SIZE], path[PATH_SIZE + sizeof INITIAL_FILE];
    struct checkpoint_found found = {0};
    const char *event;
    enum nabla_code code = NABLA_OK;
    run->trainer = trainer;
    snprintf(path, sizeof path, "%s/" INITIAL_FILE, run->folder);
    if (run->spec->initial.kind == INITIAL_POSTED)
        code = weights_load(path, trainer, err);
    run->checkpointer = checkpointer_new(run->folder, trainer, run->document.data, run->dataset_id,
                                         run->spec->train.checkpoint_every_seconds);
    if (!code)
        code = checkpointer_restore(&run->checkpointer, run->attempt == 1, &found, &event, detail, err);
    free(found.luggage);
    if (code)
        return code;
    if (event)
        fprintf(stderr, "%s %s\n", event, detail);
    run->view = train_view_new(stderr, &run->spec->train,
                               trainer_step(trainer)); // its clock starts with the training
    return event ? store_job_note(run->store, run->job, run->attempt, event, detail, err) : NABLA_OK;
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
    buffer_free(&run->document);
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
    const struct history_batch batch = {.attempt = run->attempt,
                                        .records = records,
                                        .record_count = run->batch_count,
                                        .progress = &progress,
                                        .is_unsynced = true};
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

// The entries of a step, one a layer and kind.
static size_t entries_fill(const struct histogram_record *record, struct histogram_entry *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < record->layer_count; i++)
        for (int kind = 0; kind < HISTOGRAM_KIND_COUNT; kind++)
            ret[count++] = (struct histogram_entry){.step = record->step,
                                                    .layer = record->layers[i].index,
                                                    .name = record->layers[i].name,
                                                    .kind = (enum histogram_kind)kind,
                                                    .histogram = record->layers[i].of[kind]};
    return count;
}

static enum nabla_code on_histograms(void *context, const struct histogram_record *record,
                                     struct nabla_error *err)
{
    const struct train_run *run = context;
    struct history_ack ack;
    struct histogram_entry *entries =
        size_alloc(record->layer_count + 1, HISTOGRAM_KIND_COUNT, sizeof *entries);
    if (!entries)
        return nabla_fail_memory(err, "a step's histograms");
    const struct history_batch batch = {.attempt = run->attempt,
                                        .histograms = entries,
                                        .histogram_count = entries_fill(record, entries),
                                        .is_unsynced = true};
    enum nabla_code code = store_history_append(run->store, run->job, &batch, &ack, err);
    free(entries);
    return code;
}

// What was recorded is on the disk before the checkpoint is: going on from there leaves no gap. One that
// cannot be written is told, no more: the one before it stands.
static enum nabla_code save(struct train_run *run, struct nabla_error *err)
{
    static const struct buffer nothing;
    struct nabla_error why;
    enum nabla_code code = batch_write(run, err);
    if (!code)
        code = store_sync(run->store, err);
    if (!code && checkpointer_save(&run->checkpointer, &nothing, run->saved, &why))
        fprintf(stderr, "%s\n", run->saved);
    return code;
}

static enum nabla_code on_poll(void *context, struct nabla_error *err)
{
    struct train_run *run = context;
    struct signalfd_siginfo signal;
    if (read(run->signals, &signal, sizeof signal) > 0)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "interrupted");
    return checkpointer_is_due(&run->checkpointer) ? save(run, err) : NABLA_OK;
}

struct train_observer train_run_observer(struct train_run *run)
{
    return (struct train_observer){
        .context = run, .record = on_record, .histograms = on_histograms, .poll = on_poll};
}

static enum nabla_code write_end(struct train_run *run, enum nabla_code ended,
                                 const struct train_result *result, const struct nabla_error *why,
                                 struct nabla_error *err)
{
    struct buffer text = buffer_new(OUTCOME_LIMIT);
    struct job_change change = {.event = JOB_EVENT_SUCCEED, .attempt = run->attempt};
    if (!ended) {
        outcome_encode(result, &run->spec->train, checkpointer_is_reproducible(&run->checkpointer), &text);
        change.result = text.data;
    } else if (ended == NABLA_CANCELLED) {
        change.event = JOB_EVENT_PAUSED;
        change.detail = run->saved;
    } else {
        outcome_encode_error(why, &text);
        change.event = JOB_EVENT_FAIL;
        change.error = text.data;
    }
    enum nabla_code code = store_job_apply(run->store, run->job, &change, err);
    buffer_free(&text);
    return code;
}

static enum nabla_code write_model(struct train_run *run, const char *model, struct nabla_error *err)
{
    char path[PATH_SIZE + sizeof MODEL_FILE];
    snprintf(path, sizeof path, "%s/" MODEL_FILE, run->folder);
    const char *const paths[] = {path, model};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < 2 && paths[i] && !code; i++)
        code = model_file_write(paths[i], run->spec, run->document.data, run->dataset, run->trainer, err);
    return code;
}

enum nabla_code train_run_end(struct train_run *run, enum nabla_code code, const struct train_result *result,
                              const char *model, struct nabla_error *err)
{
    struct nabla_error own;
    train_view_end(&run->view);
    enum nabla_code written = code == NABLA_CANCELLED ? save(run, &own) : batch_write(run, &own);
    if (!written && !code)
        written = write_model(run, model, &own);
    if (!written)
        written = write_end(run, code, result, err, &own);
    if (!written && code != NABLA_CANCELLED)
        checkpoint_remove(run->folder);
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

const char *train_run_saved(const struct train_run *run)
{
    return run->saved;
}
