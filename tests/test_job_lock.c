// Whoever trains a job holds its lock; who comes after him waits for his end, or ends him.
#include "server/job_lock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
        pid_t follower = fork(); // which has the lock until it ends
        if (follower == 0)
            _exit(job_lock_take_over(folder, cases[i].patience_ms, NULL) ? 1 : 0);
        assert_int_equal(waitpid(holder, &status, 0), holder);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, cases[i].signal);
        assert_int_equal(waitpid(follower, &status, 0), follower);
        assert_int_equal(status, 0);
        if (!cases[i].is_obedient)
            close(lifeline);
    }
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
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
