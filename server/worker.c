// A worker's life: orders, lock, document, data set, training, final state. A second thread watches for the
// server's end and for signals; whatever the first one is doing, the process is gone five seconds later.
#include "server/worker.h"

#include "api/datasets_keep.h"
#include "api/spec.h"
#include "data/safetensors.h"
#include "math/matrix.h"
#include "server/message.h"
#include "server/outcome.h"
#include "server/reporter.h"
#include "server/verbs.h"
#include "train/trainer.h"

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
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LINE_SIZE = 4097, PATH_SIZE = 4096, END_SECONDS = 5, NICENESS = 10, SPEC_LIMIT = 64 << 20 };

struct orders {
    char job[64], token[64], socket[PATH_SIZE], folder[PATH_SIZE], dataset[PATH_SIZE];
    unsigned attempt;
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
    bool complete = read_line(line, &message.size) &&
                    message_text(message, "job", ret->job, sizeof ret->job) &&
                    message_text(message, "token", ret->token, sizeof ret->token) &&
                    message_text(message, "socket", ret->socket, sizeof ret->socket) &&
                    message_text(message, "folder", ret->folder, sizeof ret->folder) &&
                    message_text(message, "dataset_path", ret->dataset, sizeof ret->dataset) &&
                    message_whole(message, "attempt", &attempt);
    ret->attempt = (unsigned)attempt;
    return complete;
}

// The API answers while every core trains: its threads go first.
static void step_back(void)
{
    const struct sched_param none = {0};
    setpriority(PRIO_PROCESS, 0, NICENESS);
    sched_setscheduler(0, SCHED_BATCH, &none);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
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

// Held until the process ends. The worker of an earlier attempt may still be on its way out.
static enum nabla_code lock_take(const char *folder, struct nabla_error *err)
{
    char path[PATH_SIZE + 8];
    snprintf(path, sizeof path, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return nabla_fail_errno(err, "open", path);
    while (flock(fd, LOCK_EX))
        if (errno != EINTR)
            return nabla_fail_errno(err, "lock", path);
    return NABLA_OK;
}

// The server has checked the limits already.
static const struct dataset_limits any_size = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};

static enum nabla_code load_dataset(const char *path, struct dataset **ret, struct nabla_error *err)
{
    struct mapped mapped;
    enum nabla_code code = mapped_open_path(path, &mapped, err);
    if (code)
        return code;
    code = safetensors_read_dataset(mapped.bytes, mapped.size, &any_size, ret, err);
    mapped_close(&mapped);
    return code;
}

static enum nabla_code load_spec(struct reporter *reporter, struct job_spec *ret, struct nabla_error *err)
{
    struct buffer text = buffer_new(SPEC_LIMIT);
    enum nabla_code code = reporter_spec(reporter, &text, err);
    if (!code)
        code = spec_from_json(text.data, text.size, &any_size, ret, err);
    buffer_free(&text);
    return code;
}

static enum nabla_code on_record(void *context, const struct step_record *record,
                                 const struct train_progress *progress, struct nabla_error *err)
{
    return reporter_record(context, record, progress, err);
}

static enum nabla_code on_poll(void *context, struct nabla_error *err)
{
    return reporter_poll(context, err);
}

static enum nabla_code train(struct reporter *reporter, const struct job_spec *spec,
                             const struct dataset *dataset, struct train_result *ret, struct nabla_error *err)
{
    const struct train_observer observer = {.context = reporter, .record = on_record, .poll = on_poll};
    struct trainer *trainer = NULL;
    enum nabla_code code = trainer_new(&spec->train, dataset, &trainer, err);
    if (!code)
        code = trainer_run(trainer, &observer, ret, err);
    trainer_free(trainer);
    return code;
}

static enum nabla_code do_job(struct reporter *reporter, const struct orders *orders,
                              struct buffer *ret_result, struct nabla_error *err)
{
    struct job_spec spec = {0};
    struct dataset *dataset = NULL;
    struct train_result result;
    enum nabla_code code = load_spec(reporter, &spec, err);
    if (!code)
        code = load_dataset(orders->dataset, &dataset, err);
    if (!code)
        code = spec_prepare(&spec, dataset, err);
    if (!code)
        code = reporter_start(reporter, err);
    if (!code)
        code = train(reporter, &spec, dataset, &result, err);
    if (!code)
        outcome_encode(&result, &spec.train, ret_result);
    dataset_free(dataset);
    job_spec_free(&spec);
    return code;
}

static enum nabla_code report_end(struct reporter *reporter, enum nabla_code code,
                                  const struct buffer *result, struct nabla_error *err)
{
    if (!code)
        return reporter_finish(reporter, "succeeded", result->data, NULL, err);
    if (code == NABLA_CANCELLED && reporter_is_cancelled(reporter))
        return reporter_finish(reporter, "cancelled", NULL, NULL, err);
    if (code == NABLA_CANCELLED || code == NABLA_CONFLICT)
        return code; // nobody wants to hear of this attempt
    struct buffer error = buffer_new(4096);
    outcome_encode_error(err, &error);
    code = reporter_finish(reporter, "failed", NULL, error.data, err);
    buffer_free(&error);
    return code;
}

static int work(const struct orders *orders)
{
    const struct reporter_options options = {
        .socket = orders->socket, .job = orders->job, .token = orders->token, .attempt = orders->attempt};
    struct nabla_error err;
    struct reporter *reporter = NULL;
    struct watch watch = {.signals = -1, .finished = -1};
    struct buffer result = buffer_new(4096);
    enum nabla_code code = reporter_new(&options, &reporter, &err);
    if (!code)
        code = watch_start(&watch, reporter, &err);
    if (!code)
        code = lock_take(orders->folder, &err);
    if (!code) {
        code = do_job(reporter, orders, &result, &err);
        if (code)
            fprintf(stderr, "attempt %u: %s\n", orders->attempt, err.text);
        code = report_end(reporter, code, &result, &err);
    }
    if (code)
        fprintf(stderr, "attempt %u ends without a final state: %s\n", orders->attempt, err.text);
    watch_stop(&watch);
    reporter_free(reporter);
    buffer_free(&result);
    return code ? EXIT_ATTEMPT_LOST : EXIT_DONE;
}

int worker_main(void)
{
    struct orders orders = {0};
    if (!orders_read(&orders)) {
        fprintf(stderr, "nabla train --worker: expected one line of JSON on standard input\n");
        return EXIT_USAGE;
    }
    step_back();
    matrix_use_one_thread();
    return work(&orders);
}
