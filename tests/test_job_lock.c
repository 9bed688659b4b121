// Whoever trains a job holds its lock; who comes after him waits for his end, or ends him.
#include "server/job_lock.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

// A process that holds the lock, once this returns, and ends when `ret_lifeline` is closed, or never.
static pid_t holder_start(bool is_obedient, int *ret_lifeline)
{
    int told[2], lifeline[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(lifeline), 0);
    pid_t holder = fork();
    if (holder == 0) {
        close(lifeline[1]);
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        if (job_lock_take(folder, NULL) || write(told[1], "x", 1) != 1)
            _exit(1);
        if (is_obedient && read(lifeline[0], &byte, 1) == 0)
            _exit(0);
        for (;;)
            pause();
    }
    close(told[1]);
    close(lifeline[0]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    *ret_lifeline = lifeline[1];
    return holder;
}

// A process that takes over and has the lock until it ends. Returns its exit status.
static int follow(int own_lifeline, int64_t patience_ms)
{
    int status = -1;
    pid_t follower = fork();
    if (follower == 0)
        _exit((int)job_lock_take_over(folder, own_lifeline, patience_ms, NULL));
    assert_int_equal(waitpid(follower, &status, 0), follower);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void who_has_ended_is_waited_for_and_who_does_not_is_ended(void **state)
{
    (void)state;
    static const struct {
        bool is_obedient;
        int64_t patience_ms;
        int signal; // that ends the holder
    } cases[] = {{true, 60000, 0}, {false, 100, SIGKILL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nabla_error err;
        int lifeline, status = -1;
        pid_t holder = holder_start(cases[i].is_obedient, &lifeline);
        assert_int_equal(job_lock_take(folder, &err), NABLA_CONFLICT);
        if (cases[i].is_obedient)
            close(lifeline);
        assert_int_equal(follow(-1, cases[i].patience_ms), NABLA_OK);
        assert_int_equal(waitpid(holder, &status, 0), holder);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, cases[i].signal);
        if (!cases[i].is_obedient)
            close(lifeline);
    }
}

// Its own server is gone: the job is another's, and who holds the lock may be that one's worker.
static void who_has_no_server_ends_nobody(void **state)
{
    (void)state;
    static const int64_t patiences_ms[] = {0, 60000};
    int lifeline, own[2], status;
    pid_t holder = holder_start(true, &lifeline);
    assert_int_equal(pipe(own), 0);
    close(own[1]);
    for (size_t i = 0; i < sizeof patiences_ms / sizeof *patiences_ms; i++)
        assert_int_equal(follow(own[0], patiences_ms[i]), NABLA_CANCELLED);
    close(own[0]);
    close(lifeline);
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(status, 0); // by itself
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

static bool enter_namespace(void)
{
    char user[32], group[32];
    snprintf(user, sizeof user, "0 %u 1", geteuid());
    snprintf(group, sizeof group, "0 %u 1", getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

// A folder whose files have two devices: the status's and the kernel's own. As btrfs has, but whoever may
// have a namespace may mount this.
static bool mount_overlay(void)
{
    char path[96], options[256];
    if (mount("none", folder, "tmpfs", 0, NULL))
        return false;
    static const char *const below[] = {"upper", "work", "merged"};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, below[i]);
        if (mkdir(path, 0700))
            return false;
    }
    snprintf(options, sizeof options, "lowerdir=/usr,upperdir=%s/upper,workdir=%s/work,xino=off,userxattr",
             folder, folder);
    if (mount("none", path, "overlay", 0, options))
        return false;
    strcpy(folder, path);
    return true;
}

enum { NOT_POSSIBLE = 77 };

static int end_holder_on_overlay(void)
{
    int lifeline, status;
    if (!enter_namespace() || !mount_overlay())
        return NOT_POSSIBLE;
    pid_t holder = holder_start(false, &lifeline);
    enum nabla_code code = job_lock_take_over(folder, -1, 100, NULL);
    if (code)
        kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    return (int)code;
}

static void a_holder_is_found_where_files_have_two_devices(void **state)
{
    (void)state;
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(end_holder_on_overlay());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_POSSIBLE)
        skip();
    assert_int_equal(WEXITSTATUS(status), NABLA_OK);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/nabla-lock-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "%s/lock", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_ended_is_waited_for_and_who_does_not_is_ended),
        cmocka_unit_test(who_has_no_server_ends_nobody),
        cmocka_unit_test(a_holder_is_found_where_files_have_two_devices),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
