#include "store/checkpoints.h"

#include "base/clock.h"
#include "store/access.h"
#include "store/job_row.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A file is named by a token of its own, so that the one before it stands until the row names the new one.
static char *file_path(const struct store *store, const char *job, const char *file)
{
    return access_path(store, "jobs/%s/%s", job, file);
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return synced;
}

static enum nabla_code link_file(struct store *store, const char *job, const char *from, const char *file,
                                 struct nabla_error *err)
{
    char *jobs = access_path(store, "jobs"), *folder = access_path(store, "jobs/%s", job);
    char *path = file_path(store, job, file);
    enum nabla_code code = NABLA_OK;
    if (!jobs || !folder || !path)
        code = nabla_fail_memory(err, "a path");
    else if ((mkdir(folder, 0700) ? errno != EEXIST : !sync_folder(jobs)) || link(from, path) ||
             !sync_folder(folder))
        code = nabla_fail_errno(err, "keep", path);
    free(path);
    free(folder);
    free(jobs);
    return code;
}

static void unlink_file(struct store *store, const char *job, const char *file)
{
    char *path = file[0] ? file_path(store, job, file) : NULL;
    if (path)
        unlink(path);
    free(path);
}

// *ret_file stays "" where there is none.
static enum nabla_code read_row(struct database *db, int64_t number, struct checkpoint_row *ret,
                                char ret_file[TOKEN_ID_SIZE], struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_CHECKPOINT_OF_JOB);
    statement_bind_int(row, number);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK) {
        ret->attempt = (unsigned)statement_int(row, 0);
        ret->step = (uint64_t)statement_int(row, 1);
        ret->bytes = (uint64_t)statement_int(row, 2);
        snprintf(ret->sha256, sizeof ret->sha256, "%s", statement_text(row, 3));
        snprintf(ret_file, TOKEN_ID_SIZE, "%s", statement_text(row, 4));
    }
    statement_reset(row);
    return code;
}

static enum nabla_code write_row(struct database *db, const struct job_stand *stand,
                                 const struct checkpoint_row *row, const char *file, struct nabla_error *err)
{
    char detail[64];
    const int64_t now_ms = clock_wall_ms();
    struct statement *upsert = database_statement(db, SQL_CHECKPOINT_UPSERT);
    statement_bind_int(upsert, stand->number);
    statement_bind_int(upsert, row->attempt);
    statement_bind_size(upsert, row->step);
    statement_bind_size(upsert, row->bytes);
    statement_bind_text(upsert, row->sha256);
    statement_bind_text(upsert, file);
    statement_bind_int(upsert, now_ms);
    enum nabla_code code = statement_run(upsert, err);
    struct statement *touch = database_statement(db, SQL_JOB_TOUCH);
    statement_bind_int(touch, stand->number);
    if (code == NABLA_OK)
        code = statement_run(touch, err);
    snprintf(detail, sizeof detail, "step %" PRIu64 ", %" PRIu64 " bytes", row->step, row->bytes);
    return code ? code
                : job_entry_insert(db, stand->number, stand->revision + 1, now_ms, "checkpoint", detail, err);
}

static enum nabla_code put(struct database *db, const char *job, const struct checkpoint_row *row,
                           const char *file, struct job_stand *ret_stand, char ret_before[TOKEN_ID_SIZE],
                           struct nabla_error *err)
{
    struct checkpoint_row before;
    enum nabla_code code = job_stand_read(db, job, ret_stand, err);
    if (code == NABLA_OK && (ret_stand->state != JOB_RUNNING || ret_stand->attempt != row->attempt))
        return nabla_fail(err, NABLA_CONFLICT, NULL,
                          "job %s is %s in attempt %u: it takes no checkpoint of attempt %u", job,
                          job_state_name(ret_stand->state), ret_stand->attempt, row->attempt);
    if (code == NABLA_OK)
        code = read_row(db, ret_stand->number, &before, ret_before, err);
    return code && code != NABLA_NOT_FOUND ? code : write_row(db, ret_stand, row, file, err);
}

enum nabla_code store_checkpoint_put(struct store *store, const char *job, const struct checkpoint_row *row,
                                     const char *path, struct history_ack *ret, struct nabla_error *err)
{
    struct database *db;
    struct job_stand stand;
    char file[TOKEN_ID_SIZE], before[TOKEN_ID_SIZE] = "";
    token_make_id(file, "kept");
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = put(db, job, row, file, &stand, before, err);
    if (code == NABLA_OK)
        code = link_file(store, job, path, file, err);
    code = access_end(store, code, err);
    unlink_file(store, job, code ? file : before);
    if (code)
        return code;
    *ret = (struct history_ack){.revision = stand.revision + 1, .requested = stand.requested};
    access_notify(store, job, ret->revision);
    return NABLA_OK;
}

enum nabla_code store_checkpoint_get(struct store *store, const char *job, struct checkpoint_row *ret,
                                     char **ret_path, struct nabla_error *err)
{
    struct job_stand stand;
    char file[TOKEN_ID_SIZE];
    struct database *db = access_reader(store);
    enum nabla_code code = job_stand_read(db, job, &stand, err);
    if (code == NABLA_OK) {
        code = read_row(db, stand.number, ret, file, err);
        if (code == NABLA_NOT_FOUND)
            nabla_fail(err, code, NULL, "nobody has sent a checkpoint of job %s", job);
    }
    access_release(store, db);
    if (code == NABLA_OK && !(*ret_path = file_path(store, job, file)))
        code = nabla_fail_memory(err, "a path");
    return code;
}
