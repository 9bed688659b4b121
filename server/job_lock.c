#include "server/job_lock.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { LOOK_MS = 50, END_MS = 5000 };

static enum nabla_code lock_open(const char *folder, int *ret, struct nabla_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", folder);
    *ret = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return *ret < 0 ? nabla_fail_errno(err, "open", path) : NABLA_OK;
}

// NABLA_CONFLICT: somebody has it.
static enum nabla_code lock_try(int fd, const char *folder, struct nabla_error *err)
{
    while (flock(fd, LOCK_EX | LOCK_NB))
        if (errno != EINTR)
            return errno == EWOULDBLOCK
                       ? nabla_fail(err, NABLA_CONFLICT, NULL, "somebody is training the job of %s", folder)
                       : nabla_fail_errno(err, "lock the job of", folder);
    return NABLA_OK;
}

static enum nabla_code lock_await(int fd, const char *folder, int64_t patience_ms, struct nabla_error *err)
{
    int64_t until = clock_monotonic_ms() + patience_ms;
    enum nabla_code code = lock_try(fd, folder, err);
    while (code == NABLA_CONFLICT && clock_monotonic_ms() < until) {
        poll(NULL, 0, LOOK_MS);
        code = lock_try(fd, folder, err);
    }
    return code;
}

// As the kernel knows: what stands in the folder may be anything. 0 when it does not say.
static pid_t lock_holder(int fd)
{
    struct stat status;
    char line[256];
    int found = 0;
    FILE *in = fstat(fd, &status) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (in && !found && fgets(line, sizeof line, in)) {
        unsigned major_number, minor_number;
        uintmax_t inode;
        int holder;
        // "1: FLOCK  ADVISORY  WRITE 123 fe:00:456 0 EOF"; who waits has "->" before the kind
        if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %x:%x:%ju", &holder, &major_number, &minor_number,
                   &inode) == 4 &&
            inode == status.st_ino && makedev(major_number, minor_number) == status.st_dev)
            found = holder;
    }
    if (in)
        fclose(in);
    return found;
}

enum nabla_code job_lock_take(const char *folder, struct nabla_error *err)
{
    int fd;
    enum nabla_code code = lock_open(folder, &fd, err);
    if (!code && (code = lock_try(fd, folder, err)))
        close(fd);
    return code;
}

enum nabla_code job_lock_take_over(const char *folder, int64_t patience_ms, struct nabla_error *err)
{
    int fd;
    enum nabla_code code = lock_open(folder, &fd, err);
    if (code)
        return code;
    code = lock_await(fd, folder, patience_ms, err);
    pid_t holder = code == NABLA_CONFLICT ? lock_holder(fd) : 0;
    if (holder > 0 && kill(holder, SIGKILL) == 0)
        code = lock_await(fd, folder, END_MS, err);
    if (code)
        close(fd);
    return code;
}
