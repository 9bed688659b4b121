#include "server/job_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

// The descriptor stays open for the life of the process.
enum nabla_code job_lock_take(const char *folder, bool wait, struct nabla_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return nabla_fail_errno(err, "open", path);
    while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB)) {
        if (errno == EINTR)
            continue;
        enum nabla_code code = errno == EWOULDBLOCK ? nabla_fail(err, NABLA_CONFLICT, NULL,
                                                                 "somebody is training the job of %s", folder)
                                                    : nabla_fail_errno(err, "lock", path);
        close(fd);
        return code;
    }
    return NABLA_OK;
}
