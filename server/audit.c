#include "server/audit.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 64 << 20, LINE_LIMIT = 64 << 10 };

struct audit {
    pthread_mutex_t lock;
    char path[PATH_MAX], older[PATH_MAX];
    int fd;
    size_t size;
};

// A power cut may have left a part of a line: the next one is to begin for itself.
static void end_line(struct audit *audit)
{
    char last;
    if (audit->size == 0 || pread(audit->fd, &last, 1, (off_t)audit->size - 1) != 1 || last == '\n')
        return;
    if (write(audit->fd, "\n", 1) == 1)
        audit->size++;
}

static bool file_open(struct audit *audit)
{
    struct stat status;
    audit->fd = open(audit->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (audit->fd < 0 || fstat(audit->fd, &status) != 0)
        return false;
    audit->size = (size_t)status.st_size;
    end_line(audit);
    return true;
}

static void file_close(struct audit *audit)
{
    if (audit->fd >= 0)
        close(audit->fd);
    audit->fd = -1;
}

enum nabla_code audit_open(const char *folder, struct audit **ret, struct nabla_error *err)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return nabla_fail_memory(err, "the audit log");
    pthread_mutex_init(&audit->lock, NULL);
    snprintf(audit->path, sizeof audit->path, "%s/audit.jsonl", folder);
    snprintf(audit->older, sizeof audit->older, "%s/audit.jsonl.1", folder);
    if (!file_open(audit)) {
        enum nabla_code code = nabla_fail_errno(err, "open", audit->path);
        audit_close(audit);
        return code;
    }
    *ret = audit;
    return NABLA_OK;
}

void audit_close(struct audit *audit)
{
    if (!audit)
        return;
    file_close(audit);
    pthread_mutex_destroy(&audit->lock);
    free(audit);
}

static void compose(const struct audit_entry *entry, struct buffer *ret)
{
    char time[CLOCK_TEXT_SIZE];
    const char *const fields[][2] = {{"token", entry->token},   {"token_id", entry->token_id},
                                     {"method", entry->method}, {"route", entry->route},
                                     {"target", entry->target}, {"request_id", entry->request_id}};
    buffer_format(ret, "{\"time\":\"%s\"", clock_format(time, clock_wall_ms()));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        buffer_format(ret, ",\"%s\":", fields[i][0]);
        buffer_json_string(ret, fields[i][1]);
    }
    buffer_format(ret, ",\"status\":%d}\n", entry->status);
}

// A part of a line, all that a full disk took, would be the beginning of the next one.
static bool file_write(struct audit *audit, const struct buffer *line)
{
    ssize_t wrote = write(audit->fd, line->data, line->size);
    if (wrote == (ssize_t)line->size) {
        audit->size += line->size;
        return true;
    }
    if (wrote > 0 && ftruncate(audit->fd, (off_t)audit->size) != 0)
        audit->size += (size_t)wrote;
    return false;
}

// Under the lock.
static bool append(struct audit *audit, const struct buffer *line)
{
    if (audit->fd >= 0 && audit->size + line->size > FILE_MOST && rename(audit->path, audit->older) == 0)
        file_close(audit);
    if (audit->fd < 0 && !file_open(audit)) {
        file_close(audit); // the next line tries again
        return false;
    }
    return file_write(audit, line);
}

bool audit_write(struct audit *audit, const struct audit_entry *entry)
{
    struct buffer line = buffer_new(LINE_LIMIT);
    compose(entry, &line);
    pthread_mutex_lock(&audit->lock);
    bool written = !line.failed && append(audit, &line);
    pthread_mutex_unlock(&audit->lock);
    buffer_free(&line);
    return written;
}
