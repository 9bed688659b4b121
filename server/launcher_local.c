// Workers as child processes of the server: posix_spawn of nabla itself.
#include "server/launcher.h"

#include "base/buffer.h"
#include "base/file.h"
#include "math/matrix.h"
#include "server/broker.h"
#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_LIMIT = 4096, PATH_SIZE = 4096 }; // a pipe takes a line of PIPE_BUF bytes at once

static enum nabla_code write_line(int fd, const struct launch *launch, struct nabla_error *err)
{
    const char *const fields[][2] = {{"job", launch->job},
                                     {"token", launch->token},
                                     {"folder", launch->folder},
                                     {"dataset_path", launch->dataset},
                                     {"traceparent", launch->traceparent}};
    struct buffer line = buffer_new(LINE_LIMIT);
    const struct worker_limits *limits = &launch->limits;
    buffer_format(&line,
                  "{\"attempt\":%u,\"priority\":%d,\"confine\":%d,\"memory\":%" PRIu64 ",\"cpu\":%" PRIu64
                  ",\"file\":%" PRIu64,
                  launch->attempt, (int)limits->priority, limits->is_confined, limits->memory_bytes,
                  limits->cpu_seconds, limits->file_bytes);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        buffer_format(&line, ",\"%s\":", fields[i][0]);
        buffer_json_string(&line, fields[i][1]);
    }
    buffer_text(&line, "}\n");
    enum nabla_code code = buffer_status(&line, "the worker's orders", err);
    if (!code && write(fd, line.data, line.size) != (ssize_t)line.size)
        code = nabla_fail_errno(err, "write to", "a worker's standard input");
    buffer_free(&line);
    return code;
}

static void attributes_set(posix_spawnattr_t *attributes)
{
    sigset_t none, standard;
    sigemptyset(&none);
    sigemptyset(&standard);
    sigaddset(&standard, SIGPIPE);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &standard);
    // A process group of its own: Ctrl-C at the server's terminal is for the server to pass on.
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

// A server's environment may hold what is none of a worker's business: tokens, keys to other services. What
// libraries look for, by its beginning.
static bool is_for_workers(const char *variable)
{
    static const char *const beginnings[] = {
        "LD_",   "LC_",   "LANG=", "TZ=",    "MALLOC_", "GLIBC_TUNABLES=",
        "ASAN_", "LSAN_", "TSAN_", "UBSAN_", "GCOV_",   "VALGRIND_",
    };
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

// To be freed; NULL when there is no memory.
static char **workers_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **ret = calloc(count + 1, sizeof *ret);
    for (size_t i = 0; ret && i < count; i++)
        if (is_for_workers(environ[i]))
            ret[kept++] = environ[i];
    return ret;
}

static enum nabla_code spawn(const char *program, int input, int line, const char *folder, pid_t *ret,
                             struct nabla_error *err)
{
    char log[PATH_SIZE];
    snprintf(log, sizeof log, "%s/log", folder);
    char *const arguments[] = {"nabla", "train", "--worker", NULL};
    char **environment = workers_environment();
    if (!environment)
        return nabla_fail_memory(err, "a worker's environment");
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    attributes_set(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, line, WORKER_LINE);
    posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_LINE + 1);
    int failed = posix_spawn(ret, program, &actions, &attributes, arguments, environment);
    free(environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = failed;
    return failed ? nabla_fail_errno(err, "start", program) : NABLA_OK;
}

static enum nabla_code local_start(void *context, const struct launch *launch, struct launched *ret,
                                   struct nabla_error *err)
{
    enum nabla_code code = file_make_folder(launch->folder, err);
    if (code)
        return code;
    const struct local_launcher *local = context;
    int ends[2], line;
    if (pipe2(ends, O_CLOEXEC))
        return nabla_fail_errno(err, "make", "a pipe");
    struct launched launched = {.lifeline = ends[1], .ended_fd = -1};
    code = write_line(ends[1], launch, err);
    if (!code)
        code = broker_line(local->broker, &line, err);
    if (!code) {
        code = spawn(local->program, ends[0], line, launch->folder, &launched.pid, err);
        close(line);
    }
    close(ends[0]);
    if (code) {
        close(ends[1]);
        return code;
    }
    // Not SIGCHLD: threads of libraries that do not block it would take it away from whoever waits for it.
    launched.ended_fd = pidfd_open(launched.pid, 0);
    *ret = launched;
    return NABLA_OK;
}

static void local_cancel(void *context, struct launched *launched, bool force)
{
    (void)context;
    kill(launched->pid, force ? SIGKILL : SIGTERM);
}

static bool local_is_alive(void *context, struct launched *launched, char ret_evidence[EVIDENCE_SIZE])
{
    (void)context;
    int status;
    pid_t ended = waitpid(launched->pid, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return true;
    if (ended < 0)
        snprintf(ret_evidence, EVIDENCE_SIZE, "the worker is gone");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        snprintf(ret_evidence, EVIDENCE_SIZE,
                 "the worker has used all the CPU time that the limit max_job_cpu allows");
    else if (WIFSIGNALED(status))
        snprintf(ret_evidence, EVIDENCE_SIZE, "the worker was killed by signal %d (SIG%s)", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else if (WEXITSTATUS(status) == EXIT_ATTEMPT_LOST)
        snprintf(
            ret_evidence, EVIDENCE_SIZE,
            "the worker was asked to end, or could not go on, before it had finished: see the job's log");
    else
        snprintf(ret_evidence, EVIDENCE_SIZE, "the worker exited with status %d before it had finished",
                 WEXITSTATUS(status));
    close(launched->lifeline);
    if (launched->ended_fd >= 0)
        close(launched->ended_fd);
    return false;
}

struct launcher launcher_local(const struct local_launcher *local)
{
    return (struct launcher){
        .context = (void *)local, .start = local_start, .cancel = local_cancel, .is_alive = local_is_alive};
}
