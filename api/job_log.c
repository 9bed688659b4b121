// GET /v1/jobs/{id}/log: what the job's workers have written, attempt after attempt, as plain text.
#include "api/handlers.h"
#include "store/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_MOST = 1 << 20 }; // bytes of one answer

static enum nabla_code log_open(const struct store *store, const char *job, int *ret, struct nabla_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/jobs/%s/log", store_folder(store), job);
    *ret = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *ret < 0 && errno != ENOENT ? nabla_fail_errno(err, "open", "the job's log") : NABLA_OK;
}

// Appends what stands from *at on, up to the last whole line within the bound, and moves *at behind it. An
// `fd` below 0 is a log that nobody has begun.
static enum nabla_code log_read(int fd, uint64_t *at, struct buffer *ret, struct nabla_error *err)
{
    char *bytes = fd < 0 ? NULL : buffer_reserve(ret, LOG_MOST);
    if (fd < 0)
        return NABLA_OK;
    if (!bytes)
        return buffer_status(ret, "the log", err);
    ssize_t count = pread(fd, bytes, LOG_MOST, (off_t)*at);
    if (count < 0)
        return nabla_fail_errno(err, "read", "the job's log");
    const char *end = count == LOG_MOST ? memrchr(bytes, '\n', LOG_MOST) : NULL;
    if (end) // the rest of the line comes with the next answer
        count = end + 1 - bytes;
    ret->size += (size_t)count;
    ret->data[ret->size] = '\0';
    *at += (uint64_t)count;
    return NABLA_OK;
}

void handle_job_log(struct api_call *call, struct api_answer *ret)
{
    struct store *store = call->api->options.store;
    struct nabla_error err = {0};
    uint64_t at, revision;
    int fd = -1;
    if (!call_query_whole(call, "after", 0, 0, INT64_MAX, &at, ret))
        return;
    enum nabla_code code = store_job_revision(store, call->params[0], &revision, &err);
    if (!code)
        code = log_open(store, call->params[0], &fd, &err);
    if (!code) {
        answer_begin(ret, 200, "text/plain; charset=utf-8");
        code = log_read(fd, &at, &ret->body, &err);
        answer_header(ret, "Nabla-After", "%" PRIu64, at);
    }
    if (fd >= 0)
        close(fd);
    if (code) {
        api_answer_free(ret);
        answer_error(ret, call, &err);
    }
}
