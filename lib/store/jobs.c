#include "store/jobs.h"

#include "base/clock.h"
#include "store/access.h"
#include "store/doomed.h"
#include "store/job_row.h"
#include "store/sweep.h"
#include "store/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum nabla_code require_dataset(struct database *db, const char *dataset, struct nabla_error *err)
{
    if (!dataset || !*dataset)
        return NABLA_OK;
    struct statement *row = database_statement(db, SQL_DATASET_BY_ID);
    statement_bind_text(row, dataset);
    enum nabla_code code = statement_row(row, err);
    statement_reset(row);
    if (code == NABLA_NOT_FOUND)
        return nabla_fail(err, code, "/dataset", "there is no data set %s", dataset);
    return code;
}

static enum nabla_code require_room(struct database *db, enum sql_id count, const char *owner, uint64_t most,
                                    enum nabla_code full, struct nabla_error *err)
{
    if (most == 0)
        return NABLA_OK;
    struct statement *row = database_statement(db, count);
    if (owner)
        statement_bind_text(row, owner);
    statement_bind_text(row, job_state_name(JOB_QUEUED));
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK && (uint64_t)statement_int(row, 0) >= most)
        code = nabla_fail(err, full, NULL, "as many jobs are queued as may be");
    statement_reset(row);
    return code;
}

// Within the transaction that inserts: whoever looks before it looks beside others who do the same.
static enum nabla_code require_places(struct database *db, const struct job_new *job, struct nabla_error *err)
{
    if (job->executor == JOB_CLIENT) // runs at once
        return NABLA_OK;
    const char *owner = job->owner ? job->owner : "";
    enum nabla_code code = require_room(db, SQL_JOB_COUNT, NULL, job->queued_most, NABLA_BUSY, err);
    return code ? code : require_room(db, SQL_OWNER_JOBS, owner, job->owner_most, NABLA_LIMIT, err);
}

static enum nabla_code insert_job(const struct store *store, struct database *db, const struct job_new *job,
                                  const char *id, int64_t now_ms, int64_t *ret_number,
                                  struct nabla_error *err)
{
    bool running = job->executor == JOB_CLIENT;
    struct statement *insert = database_statement(db, SQL_JOB_INSERT);
    statement_bind_text(insert, id);
    statement_bind_text(insert, job->name ? job->name : "");
    statement_bind_text(insert, job_state_name(running ? JOB_RUNNING : JOB_QUEUED));
    statement_bind_text(insert, job_request_name(JOB_REQUEST_NONE));
    statement_bind_text(insert, job_executor_name(job->executor));
    statement_bind_int(insert, running ? 1 : 0);
    statement_bind_int(insert, job->retries);
    statement_bind_text(insert, job->dataset ? job->dataset : "");
    statement_bind_size(insert, job->steps);
    statement_bind_size(insert, job->epochs);
    statement_bind_int(insert, wide_mask_in(&store->metrics, job->network_stats));
    statement_bind_int(insert, wide_mask_in(&store->gradients, job->layer_stats));
    statement_bind_text(insert, job->token_sha256);
    statement_bind_int(insert, now_ms);
    statement_bind_int(insert, running ? now_ms : 0);
    statement_bind_int(insert, running ? clock_steady_ms() : 0);
    statement_bind_text(insert, job->owner ? job->owner : "");
    statement_bind_text(insert, job->traceparent ? job->traceparent : "");
    enum nabla_code code = statement_row(insert, err);
    if (code == NABLA_OK)
        *ret_number = statement_int(insert, 0);
    statement_reset(insert);
    return code;
}

static enum nabla_code insert_beside(struct database *db, const struct job_new *job, int64_t number,
                                     int64_t now_ms, struct nabla_error *err)
{
    struct statement *spec = database_statement(db, SQL_SPEC_INSERT);
    statement_bind_int(spec, number);
    statement_bind_text(spec, job->spec ? job->spec : "");
    enum nabla_code code = statement_run(spec, err);
    return code ? code : job_entry_insert(db, number, 1, now_ms, "created", NULL, err);
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return synced;
}

// Before the row is committed: a row without its file must not be. A file without its row is swept.
static enum nabla_code place_file(struct store *store, const char *id, const struct job_new *job,
                                  struct nabla_error *err)
{
    if (!job->file)
        return NABLA_OK;
    enum nabla_code code = NABLA_OK;
    char *jobs = access_path(store, "jobs"), *folder = access_path(store, "jobs/%s", id);
    char *path = access_path(store, "jobs/%s/%s", id, job->file_name);
    if (!jobs || !folder || !path)
        code = nabla_fail_memory(err, "a path");
    else if ((mkdir(folder, 0700) && errno != EEXIST) || link(job->file, path) || !sync_folder(folder) ||
             !sync_folder(jobs))
        code = nabla_fail_errno(err, "link", path);
    free(path);
    free(folder);
    free(jobs);
    return code;
}

static enum nabla_code create_job(struct store *store, struct database *db, const struct job_new *job,
                                  struct creation *made, bool *ret_repeated, struct nabla_error *err)
{
    enum nabla_code code = key_find(db, KEY_JOBS, job->key, made, err);
    *ret_repeated = code == NABLA_OK;
    if (code != NABLA_NOT_FOUND)
        return code;
    int64_t now_ms = clock_wall_ms(), number;
    token_make_id(made->id, "job");
    code = require_places(db, job, err);
    if (code == NABLA_OK)
        code = require_dataset(db, job->dataset, err);
    if (code == NABLA_OK)
        code = insert_job(store, db, job, made->id, now_ms, &number, err);
    if (code == NABLA_OK)
        code = insert_beside(db, job, number, now_ms, err);
    if (code == NABLA_OK)
        code = place_file(store, made->id, job, err);
    return code ? code : key_insert(db, KEY_JOBS, job->key, made, now_ms, err);
}

enum nabla_code store_job_create(struct store *store, const struct job_new *job, char ret_id[TOKEN_ID_SIZE],
                                 bool *ret_repeated, struct nabla_error *err)
{
    struct database *db;
    struct creation made = {0};
    bool repeated = false;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = create_job(store, db, job, &made, &repeated, err);
    code = access_end(store, code, err);
    if (code)
        return code;
    memcpy(ret_id, made.id, sizeof made.id);
    *ret_repeated = repeated;
    if (!repeated)
        access_notify(store, made.id, 1);
    return NABLA_OK;
}

enum nabla_code store_job_get(struct store *store, const char *id, struct job **ret, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    enum nabla_code code = job_read(store, db, id, ret, err);
    access_release(store, db);
    return code;
}

enum nabla_code store_job_trace(struct store *store, const char *id, char ret[TRACEPARENT_SIZE],
                                struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, SQL_JOB_TRACE);
    statement_bind_text(row, id);
    enum nabla_code code = statement_row(row, err);
    const char *text = code == NABLA_OK ? statement_text(row, 0) : NULL;
    snprintf(ret, TRACEPARENT_SIZE, "%s", text ? text : "");
    statement_reset(row);
    access_release(store, db);
    return code == NABLA_NOT_FOUND ? job_fail_missing(id, err) : code;
}

enum nabla_code store_job_revision(struct store *store, const char *id, uint64_t *ret,
                                   struct nabla_error *err)
{
    struct job_stand stand;
    uint64_t changes;
    if (revisions_find(&store->revisions, id, ret, &changes))
        return NABLA_OK;
    struct database *db = access_reader(store);
    enum nabla_code code = job_stand_read(db, id, &stand, err);
    access_release(store, db);
    if (code)
        return code;
    revisions_keep(&store->revisions, id, stand.revision, changes);
    *ret = stand.revision;
    return NABLA_OK;
}

enum nabla_code store_job_count(struct store *store, enum job_state state, size_t *ret,
                                struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, SQL_JOB_COUNT);
    statement_bind_text(row, job_state_name(state));
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        *ret = (size_t)statement_int(row, 0);
    statement_reset(row);
    access_release(store, db);
    return code;
}

// The job itself goes at once, whatever else carries its number goes by doomed.h.
static enum nabla_code delete_rows(struct database *db, int64_t number, struct nabla_error *err)
{
    static const enum sql_id deletions[] = {SQL_DELETE_CHECKPOINT, SQL_DELETE_KEYS, SQL_DELETE_SPEC,
                                            SQL_DELETE_JOB, SQL_DOOM};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof deletions / sizeof *deletions && code == NABLA_OK; i++) {
        struct statement *deletion = database_statement(db, deletions[i]);
        statement_bind_int(deletion, number);
        code = statement_run(deletion, err);
    }
    return code;
}

enum nabla_code store_job_delete(struct store *store, const char *id, struct nabla_error *err)
{
    struct database *db;
    struct job_stand stand;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = job_stand_read(db, id, &stand, err);
    if (code == NABLA_OK && !job_state_is_final(stand.state))
        code = nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is %s: only a finished job can be deleted", id,
                          job_state_name(stand.state));
    if (code == NABLA_OK)
        code = delete_rows(db, stand.number, err);
    code = access_end(store, code, err);
    if (code)
        return code;
    access_notify(store, id, stand.revision + 1);
    char *folder = access_path(store, "jobs/%s", id);
    if (folder)
        sweep_tree(folder, NULL); // what stays behind is swept at the next opening
    free(folder);
    doomed_sweep(store, NULL); // as is what is left of the history
    usage_forget(store);
    return NABLA_OK;
}

enum nabla_code store_job_authorize(struct store *store, const char *id, const char *token_sha256,
                                    struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, SQL_JOB_TOKEN);
    statement_bind_text(row, id);
    enum nabla_code code = statement_row(row, err);
    const char *known = code == NABLA_OK ? statement_text(row, 0) : NULL;
    if (code == NABLA_NOT_FOUND || (code == NABLA_OK && (!known || !token_equal(known, token_sha256))))
        code = nabla_fail(err, NABLA_DENIED, NULL, "the token is not that of the job's current attempt");
    statement_reset(row);
    access_release(store, db);
    return code;
}

static enum nabla_code note_job(struct database *db, const char *id, unsigned attempt, const char *event,
                                const char *detail, uint64_t *ret_revision, struct nabla_error *err)
{
    struct job_stand stand;
    enum nabla_code code = job_stand_read(db, id, &stand, err);
    if (code)
        return code;
    if (stand.state != JOB_RUNNING || stand.attempt != attempt)
        return nabla_fail(err, NABLA_CONFLICT, NULL,
                          "job %s is %s in attempt %u and takes no events of attempt %u", id,
                          job_state_name(stand.state), stand.attempt, attempt);
    struct statement *touch = database_statement(db, SQL_JOB_TOUCH);
    statement_bind_int(touch, stand.number);
    code = statement_run(touch, err);
    *ret_revision = stand.revision + 1;
    return code ? code
                : job_entry_insert(db, stand.number, *ret_revision, clock_wall_ms(), event, detail, err);
}

enum nabla_code store_job_note(struct store *store, const char *id, unsigned attempt, const char *event,
                               const char *detail, struct nabla_error *err)
{
    struct database *db;
    uint64_t revision = 0;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = note_job(db, id, attempt, event, detail, &revision, err);
    code = access_end(store, code, err);
    if (code == NABLA_OK)
        access_notify(store, id, revision);
    return code;
}

typedef enum nabla_code log_visitor(void *context, const struct job_log_entry *entry);

static enum nabla_code visit_log(struct statement *row, log_visitor *visit, void *context,
                                 struct nabla_error *err)
{
    enum nabla_code code;
    while ((code = statement_row(row, err)) == NABLA_OK) {
        const struct job_log_entry entry = {
            .revision = (uint64_t)statement_int(row, 0),
            .at_ms = statement_int(row, 1),
            .event = statement_text(row, 2),
            .detail = statement_text(row, 3),
        };
        if (!entry.event || !entry.detail)
            return nabla_fail_memory(err, "an entry of the log");
        code = visit(context, &entry);
        if (code)
            return code;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code store_job_log(struct store *store, const char *id, uint64_t after,
                              enum nabla_code (*visit)(void *context, const struct job_log_entry *entry),
                              void *context, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct job_stand stand;
    enum nabla_code code = job_stand_read(db, id, &stand, err);
    if (code == NABLA_OK) {
        struct statement *row = database_statement(db, SQL_EVENTS_AFTER);
        statement_bind_int(row, stand.number);
        statement_bind_size(row, after);
        code = visit_log(row, visit, context, err);
        statement_reset(row);
    }
    access_release(store, db);
    return code;
}
