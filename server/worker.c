// A worker's life: orders, lock, document, data set, checkpoint, training, final state. A second thread
// watches for the server's end and for signals: then the first one saves where it stands; whatever it is
// doing, the process is gone five seconds later.
#include "server/worker.h"

#include "api/datasets_keep.h"
#include "api/model_file.h"
#include "api/spec.h"
#include "data/safetensors.h"
#include "server/checkpointer.h"
#include "server/confine.h"
#include "server/job_lock.h"
#include "server/launcher.h"
#include "server/message.h"
#include "server/outcome.h"
#include "server/reporter.h"
#include "server/verbs.h"
#include "server/worker_log.h"
#include "train/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    LINE_SIZE = 4097,
    PATH_SIZE = 4096,
    END_SECONDS = 5,
    PATIENCE_MS = 2 * END_SECONDS * 1000,
    NICENESS = 10,
    SPEC_LIMIT = 64 << 20,
    DISK_RETRY_MS = 1000,
    LUGGAGE_LIMIT = 64 << 20,
    MEMORY_SPARE = 256 << 20, // stacks, libraries, the reports on their way
};

// The sanitizers look at a process from another one when it ends.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CONFINE_NEVER = true };
#else
enum { CONFINE_NEVER = false };
#endif

struct orders {
    char job[64], token[64], folder[PATH_SIZE], dataset[PATH_SIZE];
    char traceparent[64];
    unsigned attempt;
    uint64_t priority, is_confined, memory_bytes, cpu_seconds, file_bytes;
};

static bool read_line(char line[LINE_SIZE], size_t *ret_length)
{
    size_t length = 0;
    while (length < LINE_SIZE - 1) {
        ssize_t count = read(STDIN_FILENO, line + length, 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        if (line[length] == '\n') {
            *ret_length = length;
            return true;
        }
        length++;
    }
    return false;
}

static bool orders_read(struct orders *ret)
{
    char line[LINE_SIZE];
    struct message message = {.text = line};
    uint64_t attempt = 0;
    bool complete =
        read_line(line, &message.size) && message_text(message, "job", ret->job, sizeof ret->job) &&
        message_text(message, "token", ret->token, sizeof ret->token) &&
        message_text(message, "folder", ret->folder, sizeof ret->folder) &&
        message_text(message, "dataset_path", ret->dataset, sizeof ret->dataset) &&
        message_text(message, "traceparent", ret->traceparent, sizeof ret->traceparent) &&
        message_whole(message, "attempt", &attempt) && message_whole(message, "priority", &ret->priority) &&
        message_whole(message, "confine", &ret->is_confined) &&
        message_whole(message, "memory", &ret->memory_bytes) &&
        message_whole(message, "cpu", &ret->cpu_seconds) && message_whole(message, "file", &ret->file_bytes);
    ret->attempt = (unsigned)attempt;
    return complete;
}

// Of the orders, which come from the server itself, only the job's folder and data set are believed before.
static void confine(const struct orders *orders, const struct worker_log *log)
{
    char missing[64] = "";
    const struct confine confine = {.memory_bytes =
                                        orders->memory_bytes ? orders->memory_bytes + MEMORY_SPARE : 0,
                                    .cpu_seconds = orders->cpu_seconds,
                                    .file_bytes = orders->file_bytes,
                                    .folder = orders->folder,
                                    .file = orders->dataset};
    if (orders->is_confined && !CONFINE_NEVER)
        confine_process(&confine, missing, sizeof missing);
    if (missing[0])
        worker_log_write(log, "confined without %s", missing);
    if (orders->traceparent[0])
        worker_log_write(log, "traceparent %s", orders->traceparent);
}

// For this thread and all that it will start.
static void step_back(uint64_t priority)
{
    const struct sched_param none = {0};
    if (priority == WORKER_NORMAL)
        return;
    setpriority(PRIO_PROCESS, 0, NICENESS);
    sched_setscheduler(0, priority == WORKER_IDLE ? SCHED_IDLE : SCHED_BATCH, &none);
}

struct watch {
    struct reporter *reporter;
    int signals, finished; // descriptors that tell of signals, and that the work is done
    bool is_running;
    pthread_t thread;
};

static void *watch_main(void *context)
{
    struct watch *watch = context;
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = watch->signals, .events = POLLIN},
                           {.fd = watch->finished, .events = POLLIN}};
    char bytes[256];
    for (;;) {
        if (poll(fds, sizeof fds / sizeof *fds, -1) < 0)
            continue;
        if (fds[2].revents)
            return NULL;
        if (fds[1].revents || (fds[0].revents && read(STDIN_FILENO, bytes, sizeof bytes) <= 0))
            break;
    }
    alarm(END_SECONDS); // its default action ends the process
    reporter_stop(watch->reporter);
    return NULL;
}

// Started before any other thread, which would otherwise take the signals.
static enum nabla_code watch_start(struct watch *watch, struct reporter *reporter, struct nabla_error *err)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    sigdelset(&blocked, SIGPIPE);
    watch->reporter = reporter;
    watch->signals = signalfd(-1, &blocked, SFD_CLOEXEC);
    watch->finished = eventfd(0, EFD_CLOEXEC);
    watch->is_running = watch->signals >= 0 && watch->finished >= 0 &&
                        pthread_create(&watch->thread, NULL, watch_main, watch) == 0;
    return watch->is_running ? NABLA_OK
                             : nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot watch for the server's end");
}

// The reporter may be freed after it.
static void watch_stop(struct watch *watch)
{
    if (watch->is_running) {
        eventfd_write(watch->finished, 1);
        pthread_join(watch->thread, NULL);
    }
    if (watch->signals >= 0)
        close(watch->signals);
    if (watch->finished >= 0)
        close(watch->finished);
}

// What an attempt works with.
struct attempt {
    const struct orders *orders;
    struct reporter *reporter;
    struct worker_log *log;
    struct buffer document; // the job's, as the server keeps it
    struct job_spec spec;
    struct dataset *dataset;
    struct trainer *trainer;
    struct checkpointer checkpointer;
    char saved[CHECKPOINTER_DETAIL_SIZE]; // of the newest checkpoint
};

static void attempt_free(struct attempt *attempt)
{
    trainer_free(attempt->trainer);
    dataset_free(attempt->dataset);
    job_spec_free(&attempt->spec);
    buffer_free(&attempt->document);
}

// Into the job's life and into its log.
static void tell(const struct attempt *attempt, const char *event, const char *detail)
{
    worker_log_write(attempt->log, "%s: %s", event, detail);
    reporter_event(attempt->reporter, event, detail);
}

// Once in a job's life.
static void tell_inputs(const struct attempt *attempt)
{
    char detail[200];
    if (trainer_step(attempt->trainer) > 0)
        return;
    const struct input_range range = trainer_inputs(attempt->trainer);
    snprintf(detail, sizeof detail,
             "from %.6g to %.6g, mean %.6g, deviation %.6g, in %zu numbers of the training rows", range.min,
             range.max, input_range_mean(&range), input_range_std(&range), range.count);
    tell(attempt, "inputs", detail);
}

static enum nabla_code save(struct attempt *attempt, struct nabla_error *err)
{
    struct buffer unsent = buffer_new(LUGGAGE_LIMIT);
    enum nabla_code code = reporter_unsent(attempt->reporter, &unsent, err);
    if (!code)
        code = checkpointer_save(&attempt->checkpointer, &unsent, attempt->saved, err);
    buffer_free(&unsent);
    return code;
}

static enum nabla_code on_histograms(void *context, const struct histogram_record *record,
                                     struct nabla_error *err)
{
    const struct attempt *attempt = context;
    return reporter_histograms(attempt->reporter, record, err);
}

static enum nabla_code on_record(void *context, const struct step_record *record,
                                 const struct train_progress *progress, struct nabla_error *err)
{
    const struct attempt *attempt = context;
    worker_log_progress(attempt->log, progress);
    return reporter_record(attempt->reporter, record, progress, err);
}

// A checkpoint that cannot be written (a full disk) is told and costs nothing else: the one before it stands.
static enum nabla_code on_poll(void *context, struct nabla_error *err)
{
    struct attempt *attempt = context;
    struct nabla_error why;
    enum nabla_code code = reporter_poll(attempt->reporter, err);
    if (code || !checkpointer_is_due(&attempt->checkpointer))
        return code;
    tell(attempt, save(attempt, &why) ? "note" : "checkpoint", attempt->saved);
    return NABLA_OK;
}

static enum nabla_code restore(struct attempt *attempt, struct nabla_error *err)
{
    struct checkpoint_found found = {0};
    const char *event;
    char detail[CHECKPOINTER_DETAIL_SIZE];
    enum nabla_code code = checkpointer_restore(&attempt->checkpointer, attempt->orders->attempt == 1, &found,
                                                &event, detail, err);
    if (!code && event)
        tell(attempt, event, detail);
    if (!code)
        code = reporter_resend(attempt->reporter, found.luggage, found.luggage_size, err);
    free(found.luggage);
    return code;
}

static enum nabla_code load_weights(struct attempt *attempt, struct nabla_error *err)
{
    char path[PATH_SIZE + sizeof INITIAL_FILE];
    snprintf(path, sizeof path, "%s/" INITIAL_FILE, attempt->orders->folder);
    return weights_load(path, attempt->trainer, err);
}

static enum nabla_code prepare(struct attempt *attempt, struct nabla_error *err)
{
    const struct orders *orders = attempt->orders;
    enum nabla_code code = reporter_spec(attempt->reporter, &attempt->document, err);
    if (!code)
        code = spec_from_json(attempt->document.data, attempt->document.size, &dataset_unlimited,
                              &attempt->spec, err);
    if (!code)
        code = safetensors_open_dataset(orders->dataset, &dataset_unlimited, &attempt->dataset, err);
    if (!code)
        code = spec_prepare(&attempt->spec, attempt->dataset, err);
    if (!code)
        code = trainer_new(&attempt->spec.train, attempt->dataset, &attempt->trainer, err);
    if (!code && attempt->spec.initial.kind != INITIAL_NONE)
        code = load_weights(attempt, err);
    if (code)
        return code;
    attempt->checkpointer = checkpointer_new(orders->folder, attempt->trainer, attempt->document.data,
                                             orders->dataset, attempt->spec.train.checkpoint_every_seconds);
    return restore(attempt, err);
}

// Asked to pause, or to end: what was done until here is kept. A user's cancel ends it for good.
static void save_last(struct attempt *attempt)
{
    struct nabla_error why;
    if (reporter_requested(attempt->reporter) != REPORTER_CANCEL && save(attempt, &why))
        worker_log_write(attempt->log, "%s", attempt->saved);
}

// The training is done: a full disk is waited for, until there is room or this attempt is not wanted any
// more.
static enum nabla_code save_model(const struct attempt *attempt, struct nabla_error *err)
{
    bool is_told = false;
    char path[PATH_SIZE + sizeof MODEL_FILE];
    snprintf(path, sizeof path, "%s/" MODEL_FILE, attempt->orders->folder);
    for (;;) {
        enum nabla_code code = model_file_write(path, &attempt->spec, attempt->document.data,
                                                attempt->dataset, attempt->trainer, err);
        if (code != NABLA_DISK_FULL)
            return code;
        if (!is_told)
            tell(attempt, "note", "the disk is full: the model waits for room");
        is_told = true;
        code = reporter_pause(attempt->reporter, DISK_RETRY_MS, err);
        if (code)
            return code;
    }
}

static enum nabla_code do_job(struct attempt *attempt, struct buffer *ret_result, struct nabla_error *err)
{
    const struct train_observer observer = {
        .context = attempt, .record = on_record, .histograms = on_histograms, .poll = on_poll};
    struct train_result result;
    enum nabla_code code = prepare(attempt, err);
    if (!code)
        code = reporter_start(attempt->reporter, err);
    if (code)
        return code;
    worker_log_write(attempt->log, "trains, process %d: %zu rows, %zu epochs", (int)getpid(),
                     attempt->dataset->rows, attempt->spec.train.epochs);
    tell_inputs(attempt);
    code = trainer_run(attempt->trainer, &observer, &result, err);
    if (!code)
        code = save_model(attempt, err);
    if (!code)
        outcome_encode(&result, &attempt->spec.train, checkpointer_is_reproducible(&attempt->checkpointer),
                       ret_result);
    else if (code == NABLA_CANCELLED)
        save_last(attempt);
    return code;
}

// False where nobody wants to hear of this attempt, or nobody is there.
static bool end_of(const struct attempt *attempt, enum nabla_code code, const struct buffer *result,
                   const struct buffer *error, struct reporter_end *ret)
{
    const enum reporter_request requested = reporter_requested(attempt->reporter);
    if (!code)
        *ret = (struct reporter_end){.state = "succeeded", .result = result->data};
    else if (code == NABLA_CANCELLED && requested == REPORTER_CANCEL)
        *ret = (struct reporter_end){.state = "cancelled"};
    else if (code == NABLA_CANCELLED && requested == REPORTER_PAUSE)
        *ret = (struct reporter_end){.state = "paused", .detail = attempt->saved};
    else if (code == NABLA_CANCELLED || code == NABLA_CONFLICT)
        return false;
    else
        *ret = (struct reporter_end){.state = "failed", .error = error->data};
    return true;
}

// The server has not taken what the attempt came to: the job fails, and says why.
static enum nabla_code report_refusal(const struct attempt *attempt, struct nabla_error *err)
{
    struct buffer error = buffer_new(4096);
    outcome_encode_error(err, &error);
    const struct reporter_end end = {.state = "failed", .error = error.data};
    worker_log_write(attempt->log, "%s: %s", end.state, err->text);
    enum nabla_code code = reporter_finish(attempt->reporter, &end, err);
    buffer_free(&error);
    return code;
}

static enum nabla_code report_end(const struct attempt *attempt, enum nabla_code code,
                                  const struct buffer *result, struct nabla_error *err)
{
    struct reporter_end end;
    struct buffer error = buffer_new(4096);
    outcome_encode_error(err, &error);
    if (end_of(attempt, code, result, &error, &end)) {
        worker_log_write(attempt->log, "%s", end.state); // before the job is over, and its log with it
        code = reporter_finish(attempt->reporter, &end, err);
        if (code && !end.error && code != NABLA_CONFLICT && code != NABLA_CANCELLED)
            code = report_refusal(attempt, err);
        if (!code && strcmp(end.state, "paused") != 0)
            checkpoint_remove(attempt->orders->folder); // nothing will go on from them
    }
    buffer_free(&error);
    return code;
}

static int work(const struct orders *orders, struct worker_log *log)
{
    const struct reporter_options options = {.line = WORKER_LINE,
                                             .job = orders->job,
                                             .token = orders->token,
                                             .attempt = orders->attempt,
                                             .traceparent = orders->traceparent};
    struct nabla_error err = {0};
    struct reporter *reporter = NULL;
    struct attempt attempt = {.orders = orders, .log = log, .document = buffer_new(SPEC_LIMIT)};
    struct watch watch = {.signals = -1, .finished = -1};
    struct buffer result = buffer_new(OUTCOME_LIMIT);
    enum nabla_code code = reporter_new(&options, &reporter, &err);
    if (!code)
        code = watch_start(&watch, reporter, &err);
    if (!code) {
        attempt.reporter = reporter;
        code = do_job(&attempt, &result, &err);
        if (code)
            worker_log_write(log, "%s", err.text);
        code = report_end(&attempt, code, &result, &err);
    }
    if (code)
        worker_log_write(log, "ends without a final state: %s", err.text);
    watch_stop(&watch);
    attempt_free(&attempt);
    reporter_free(reporter);
    buffer_free(&result);
    return code ? EXIT_ATTEMPT_LOST : EXIT_DONE;
}

int worker_main(void)
{
    struct nabla_error err;
    struct orders orders = {0};
    if (!orders_read(&orders)) {
        fprintf(stderr, "nabla train --worker: expected one line of JSON on standard input\n");
        return EXIT_USAGE;
    }
    struct worker_log log = worker_log_new(orders.attempt);
    step_back(orders.priority);
    // The worker of an earlier attempt may be on its way out. Ending it takes what is given up below.
    if (job_lock_take_over(orders.folder, STDIN_FILENO, PATIENCE_MS, &err)) {
        worker_log_write(&log, "%s", err.text);
        return EXIT_ATTEMPT_LOST;
    }
    confine(&orders, &log);
    return work(&orders, &log);
}
