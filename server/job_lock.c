#include "server/job_lock.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/pidfd.h>
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

// The other end of a pipe is closed.
static bool has_hung_up(int lifeline, int patience_ms)
{
    struct pollfd end = {.fd = lifeline}; // one below 0 is passed over
    return poll(&end, 1, patience_ms) == 1;
}

// NABLA_CANCELLED: the lifeline was cut.
static enum nabla_code lock_await(int fd, const char *folder, int lifeline, int64_t patience_ms,
                                  struct nabla_error *err)
{
    int64_t until = clock_monotonic_ms() + patience_ms;
    enum nabla_code code = lock_try(fd, folder, err);
    while (code == NABLA_CONFLICT) {
        bool is_over = clock_monotonic_ms() >= until;
        if (has_hung_up(lifeline, is_over ? 0 : LOOK_MS))
            return nabla_fail(err, NABLA_CANCELLED, NULL, "the server is gone");
        if (is_over)
            break;
        code = lock_try(fd, folder, err);
    }
    return code;
}

// The device by which the kernel itself knows the file's mount, and its locks. A file's status may name
// another one, as on btrfs and overlayfs.
static dev_t device_of(int fd, dev_t of_status)
{
    struct statx status;
    char line[2048];
    dev_t ret = of_status;
    bool is_found = statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) || !(status.stx_mask & STATX_MNT_ID);
    FILE *in = is_found ? NULL : fopen("/proc/self/mountinfo", "re");
    while (in && !is_found && fgets(line, sizeof line, in)) {
        unsigned major_number, minor_number;
        unsigned long long id;
        // "25 1 254:0 / / rw,noatime …", or what was left of a longer line
        is_found = sscanf(line, "%llu %*u %u:%u /", &id, &major_number, &minor_number) == 3 &&
                   id == status.stx_mnt_id;
        if (is_found)
            ret = makedev(major_number, minor_number);
    }
    if (in)
        fclose(in);
    return ret;
}

// As the kernel knows: what stands in the folder may be anything. 0 when it does not say.
static pid_t lock_holder(int fd)
{
    struct stat status;
    char line[256];
    int found = 0;
    if (fstat(fd, &status))
        return 0;
    dev_t device = device_of(fd, status.st_dev);
    FILE *in = fopen("/proc/locks", "re");
    while (in && !found && fgets(line, sizeof line, in)) {
        unsigned major_number, minor_number;
        uintmax_t inode;
        int holder;
        // "1: FLOCK  ADVISORY  WRITE 123 fe:00:456 0 EOF"; who waits has "->" before the kind
        if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %x:%x:%ju", &holder, &major_number, &minor_number,
                   &inode) == 4 &&
            inode == status.st_ino && makedev(major_number, minor_number) == device)
            found = holder;
    }
    if (in)
        fclose(in);
    return found;
}

// Its number may be another process's by the time that the signal is sent; what has it while the process
// still holds the lock means no other.
static void end_holder(int fd)
{
    pid_t holder = lock_holder(fd);
    int process = holder > 0 ? pidfd_open(holder, 0) : -1;
    if (process >= 0 && lock_holder(fd) == holder)
        pidfd_send_signal(process, SIGKILL, NULL, 0);
    if (process >= 0)
        close(process);
}

enum nabla_code job_lock_take(const char *folder, struct nabla_error *err)
{
    int fd;
    enum nabla_code code = lock_open(folder, &fd, err);
    if (!code && (code = lock_try(fd, folder, err)))
        close(fd);
    return code;
}

enum nabla_code job_lock_take_over(const char *folder, int lifeline, int64_t patience_ms,
                                   struct nabla_error *err)
{
    int fd;
    enum nabla_code code = lock_open(folder, &fd, err);
    if (code)
        return code;
    code = lock_await(fd, folder, lifeline, patience_ms, err);
    if (code == NABLA_CONFLICT) {
        end_holder(fd);
        code = lock_await(fd, folder, lifeline, END_MS, err);
    }
    if (code)
        close(fd);
    return code;
}
