#include "store/access.h"

#include "base/buffer.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

struct database *access_reader(struct store *store)
{
    pthread_mutex_lock(&store->reader_lock);
    while (store->idle == 0)
        pthread_cond_wait(&store->reader_free, &store->reader_lock);
    struct database *reader = store->readers[--store->idle];
    pthread_mutex_unlock(&store->reader_lock);
    return reader;
}

void access_release(struct store *store, struct database *reader)
{
    database_rollback(reader); // a snapshot that it may have held
    pthread_mutex_lock(&store->reader_lock);
    store->readers[store->idle++] = reader;
    pthread_cond_signal(&store->reader_free);
    pthread_mutex_unlock(&store->reader_lock);
}

enum nabla_code access_begin(struct store *store, bool durable, struct database **ret,
                             struct nabla_error *err)
{
    return writer_begin(&store->writer, durable, ret, err);
}

enum nabla_code access_end(struct store *store, enum nabla_code outcome, struct nabla_error *err)
{
    return writer_end(&store->writer, outcome, err);
}

void access_notify(struct store *store, const char *job_id, uint64_t revision)
{
    revisions_raise(&store->revisions, job_id, revision);
    if (store->listener)
        store->listener(store->listener_context, job_id, revision);
}

enum nabla_code access_read_cursor(const char *cursor, int64_t *ret, struct nabla_error *err)
{
    int64_t number = 0;
    for (const char *c = cursor; *c; c++) {
        if (*c < '0' || *c > '9' || number > INT64_MAX / 10 - 1)
            return nabla_fail(err, NABLA_INVALID, NULL, "the cursor is not one that a list has given");
        number = number * 10 + (*c - '0');
    }
    *ret = *cursor ? number : INT64_MAX;
    return NABLA_OK;
}

char *access_path(const struct store *store, const char *format, ...)
{
    struct buffer path = buffer_new(PATH_MAX);
    char name[PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    buffer_format(&path, "%s/%s", store->folder, name);
    char *ret = buffer_steal(&path, NULL);
    buffer_free(&path);
    return ret;
}
