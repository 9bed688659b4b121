// GET /v1/jobs/{id}/log: what the job's workers have written, attempt after attempt, as plain text, or line
// for line as Server-Sent Events while it is written. A place in it is a number of bytes. The file belongs to
// the workers, which tell nobody when they write: who follows it looks again each second.
#include "api/handlers.h"
#include "api/job_stream.h"
#include "base/number.h"
#include "store/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LOG_MOST = 1 << 20,    // bytes of one answer
    EVENT_MOST = 64 << 10, // of one event
    LOOK_AGAIN_MS = 1000,
};

static const int64_t PLACE_MAX = (INT64_C(1) << 53) - 1;

static enum nabla_code log_open(const struct store *store, const char *job, int *ret, struct nabla_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/jobs/%s/log", store_folder(store), job);
    *ret = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *ret < 0 && errno != ENOENT ? nabla_fail_errno(err, "open", "the job's log") : NABLA_OK;
}

// Appends what stands from *at on and moves *at behind it: at most so many bytes, up to the last whole line
// where there are more, or where `whole` asks for whole lines alone. *ret_more: the bound cut it. An `fd`
// below 0 is a log that nobody has begun.
static enum nabla_code log_read(int fd, uint64_t *at, size_t most, bool whole, struct buffer *ret,
                                bool *ret_more, struct nabla_error *err)
{
    *ret_more = false;
    if (fd < 0)
        return NABLA_OK;
    char *bytes = buffer_reserve(ret, most);
    if (!bytes)
        return buffer_status(ret, "the log", err);
    ssize_t count = pread(fd, bytes, most, (off_t)*at);
    if (count < 0)
        return nabla_fail_errno(err, "read", "the job's log");
    *ret_more = (size_t)count == most;
    const char *end = *ret_more || whole ? memrchr(bytes, '\n', (size_t)count) : NULL;
    if (end) // the rest of the line comes with the next answer
        count = end + 1 - bytes;
    else if (whole && !*ret_more)
        count = 0;
    ret->size += (size_t)count;
    ret->data[ret->size] = '\0';
    *at += (uint64_t)count;
    return NABLA_OK;
}

// --- as a stream

static bool place_read(const char *place, uint64_t *ret)
{
    int64_t value = 0;
    if (place && *place &&
        (!number_read_int(place, place + strlen(place), &value) || value < 0 || value > PLACE_MAX))
        return false;
    *ret = (uint64_t)value;
    return true;
}

// One event; each line of the text one of its data. A carriage return would end a line there too.
static void tell_text(const struct buffer *text, const char *place, struct buffer *ret)
{
    buffer_format(ret, "id: %s\nevent: log\n", place);
    for (size_t at = 0, length; at < text->size; at += length + 1) {
        length = 0;
        while (at + length < text->size && !memchr("\r\n", text->data[at + length], 2))
            length++;
        buffer_text(ret, "data: ");
        buffer_append(ret, text->data + at, length);
        buffer_char(ret, '\n');
    }
    buffer_char(ret, '\n');
}

static enum nabla_code read_part(const struct store *store, const char *job, uint64_t *at, bool whole,
                                 struct buffer *ret, bool *ret_more)
{
    int fd;
    enum nabla_code code = log_open(store, job, &fd, NULL);
    if (!code)
        code = log_read(fd, at, EVENT_MOST, whole, ret, ret_more, NULL);
    if (fd >= 0)
        close(fd);
    return code;
}

// The job is read before its log: once it is final, the log is whole.
static bool fill_log(struct store *store, const char *id, const void *detail, const char *place,
                     struct stream_block *ret)
{
    (void)detail;
    uint64_t at;
    struct job *job;
    struct buffer text = buffer_new(2 * EVENT_MOST);
    if (!place_read(place, &at) || store_job_get(store, id, &job, NULL))
        return false;
    bool is_final = job_state_is_final(job->state);
    bool read = !read_part(store, id, &at, !is_final, &text, &ret->more);
    ret->revision = job->revision;
    ret->over = !ret->more && is_final;
    ret->again_ms = LOOK_AGAIN_MS;
    snprintf(ret->place, sizeof ret->place, "%" PRIu64, at);
    if (read && text.size > 0)
        tell_text(&text, ret->place, &ret->text);
    buffer_free(&text);
    job_free(job);
    return read;
}

static const struct stream_kind log_kind = {.name = "log", .fill = fill_log};

static bool wants_stream(const struct api_call *call, bool *ret_stream, struct api_answer *ret)
{
    const char *format = call_query(call, "format");
    *ret_stream = format ? strcmp(format, "events") == 0 : call->accept == MEDIA_EVENT_STREAM;
    if (!format || *ret_stream || strcmp(format, "text") == 0)
        return true;
    answer_status(ret, call, 400, "format must be text or events, not \"%s\"", format);
    return false;
}

static void answer_stream(const struct api_call *call, struct api_answer *ret)
{
    uint64_t at;
    const char *place = job_stream_place(call);
    if (place_read(place, &at))
        job_stream_answer(call, &log_kind, NULL, place, ret);
    else
        answer_status(ret, call, 400,
                      "Last-Event-ID, or after, must be the id of an event: a number of bytes");
}

bool peek_job_log(struct api_call *call, struct api_answer *ret)
{
    bool is_stream;
    if (!wants_stream(call, &is_stream, ret) || !is_stream) {
        api_answer_free(ret); // the full read tells why
        return false;
    }
    answer_stream(call, ret);
    return true;
}

// --- as text

static void answer_text(struct api_call *call, struct api_answer *ret)
{
    struct store *store = call->api->options.store;
    struct nabla_error err = {0};
    uint64_t at, revision;
    bool more;
    int fd = -1;
    if (!call_query_whole(call, "after", 0, 0, (uint64_t)PLACE_MAX, &at, ret))
        return;
    enum nabla_code code = store_job_revision(store, call->params[0], &revision, &err);
    if (!code)
        code = log_open(store, call->params[0], &fd, &err);
    if (!code) {
        answer_begin(ret, 200, "text/plain; charset=utf-8");
        code = log_read(fd, &at, LOG_MOST, false, &ret->body, &more, &err);
        answer_header(ret, "Nabla-After", "%" PRIu64, at);
        answer_header(ret, "Vary", "Accept");
    }
    if (fd >= 0)
        close(fd);
    if (code) {
        api_answer_free(ret);
        answer_error(ret, call, &err);
    }
}

void handle_job_log(struct api_call *call, struct api_answer *ret)
{
    bool is_stream;
    if (!wants_stream(call, &is_stream, ret))
        return;
    if (is_stream)
        answer_stream(call, ret);
    else
        answer_text(call, ret);
}
