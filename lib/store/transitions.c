// No job gets stuck: whatever was requested of a running job is done when its attempt is lost, since no
// worker is left to obey. A cancel wins over a pause, a result that is already there over both.
#include "store/transitions.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>

enum {
    NO_REQUEST = 1 << JOB_REQUEST_NONE,
    CANCEL_REQUEST = 1 << JOB_REQUEST_CANCEL,
    PAUSE_REQUEST = 1 << JOB_REQUEST_PAUSE,
    ANY_REQUEST = NO_REQUEST | CANCEL_REQUEST | PAUSE_REQUEST
};

static const struct transition transitions[] = {
    {JOB_QUEUED, JOB_EVENT_CLAIM, ANY_REQUEST, JOB_RUNNING, JOB_REQUEST_NONE, "started"},
    {JOB_QUEUED, JOB_EVENT_CANCEL, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},
    {JOB_QUEUED, JOB_EVENT_PAUSE, ANY_REQUEST, JOB_PAUSED, JOB_REQUEST_NONE, "paused"},

    {JOB_RUNNING, JOB_EVENT_SUCCEED, ANY_REQUEST, JOB_SUCCEEDED, JOB_REQUEST_NONE, "succeeded"},
    {JOB_RUNNING, JOB_EVENT_FAIL, ANY_REQUEST, JOB_FAILED, JOB_REQUEST_NONE, "failed"},
    {JOB_RUNNING, JOB_EVENT_CANCEL, NO_REQUEST | PAUSE_REQUEST, JOB_RUNNING, JOB_REQUEST_CANCEL,
     "cancel_requested"},
    {JOB_RUNNING, JOB_EVENT_CANCEL, CANCEL_REQUEST, JOB_RUNNING, JOB_REQUEST_CANCEL, NULL},
    {JOB_RUNNING, JOB_EVENT_CANCELLED, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},
    {JOB_RUNNING, JOB_EVENT_PAUSE, NO_REQUEST, JOB_RUNNING, JOB_REQUEST_PAUSE, "pause_requested"},
    {JOB_RUNNING, JOB_EVENT_PAUSE, PAUSE_REQUEST, JOB_RUNNING, JOB_REQUEST_PAUSE, NULL},
    {JOB_RUNNING, JOB_EVENT_PAUSED, NO_REQUEST | PAUSE_REQUEST, JOB_PAUSED, JOB_REQUEST_NONE, "paused"},
    {JOB_RUNNING, JOB_EVENT_PAUSED, CANCEL_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},
    {JOB_RUNNING, JOB_EVENT_REQUEUE, NO_REQUEST, JOB_QUEUED, JOB_REQUEST_NONE, "requeued"},
    {JOB_RUNNING, JOB_EVENT_REQUEUE, PAUSE_REQUEST, JOB_PAUSED, JOB_REQUEST_NONE, "paused"},
    {JOB_RUNNING, JOB_EVENT_REQUEUE, CANCEL_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},
    {JOB_RUNNING, JOB_EVENT_ABANDON, NO_REQUEST | PAUSE_REQUEST, JOB_FAILED, JOB_REQUEST_NONE, "failed"},
    {JOB_RUNNING, JOB_EVENT_ABANDON, CANCEL_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},

    {JOB_PAUSED, JOB_EVENT_RESUME, ANY_REQUEST, JOB_QUEUED, JOB_REQUEST_NONE, "resumed"},
    {JOB_PAUSED, JOB_EVENT_CANCEL, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, "cancelled"},
    {JOB_PAUSED, JOB_EVENT_PAUSE, ANY_REQUEST, JOB_PAUSED, JOB_REQUEST_NONE, NULL},
    {JOB_PAUSED, JOB_EVENT_PAUSED, ANY_REQUEST, JOB_PAUSED, JOB_REQUEST_NONE, NULL},

    {JOB_SUCCEEDED, JOB_EVENT_SUCCEED, ANY_REQUEST, JOB_SUCCEEDED, JOB_REQUEST_NONE, NULL},
    {JOB_FAILED, JOB_EVENT_FAIL, ANY_REQUEST, JOB_FAILED, JOB_REQUEST_NONE, NULL},
    {JOB_FAILED, JOB_EVENT_ABANDON, ANY_REQUEST, JOB_FAILED, JOB_REQUEST_NONE, NULL},
    {JOB_CANCELLED, JOB_EVENT_CANCEL, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, NULL},
    {JOB_CANCELLED, JOB_EVENT_CANCELLED, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, NULL},
    {JOB_CANCELLED, JOB_EVENT_PAUSED, ANY_REQUEST, JOB_CANCELLED, JOB_REQUEST_NONE, NULL},
};

const struct transition *transition_find(enum job_state from, enum job_request requested,
                                         enum job_event event)
{
    for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++) {
        const struct transition *at = &transitions[i];
        if (at->from == from && at->event == event && (at->requests >> requested & 1))
            return at;
    }
    return NULL;
}

static enum nabla_code fail_refused(const char *id, const struct job_stand *stand, enum job_event event,
                                    struct nabla_error *err)
{
    const char *also = stand->requested == JOB_REQUEST_CANCEL ? ", its cancel requested," : "";
    return nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is %s%s and does not allow the event %s", id,
                      job_state_name(stand->state), also, job_event_name(event));
}

static enum nabla_code update_job(struct database *db, const struct job_stand *stand,
                                  const struct transition *transition, const struct job_change *change,
                                  const char *token_sha256, int64_t now_ms, struct nabla_error *err)
{
    struct statement *update = database_statement(db, SQL_JOB_TRANSITION);
    statement_bind_text(update, job_state_name(transition->to));
    statement_bind_text(update, job_request_name(transition->requested));
    statement_bind_text(update, change->result);
    statement_bind_text(update, change->error);
    statement_bind_int(update, transition->event == JOB_EVENT_CLAIM);
    statement_bind_text(update, token_sha256);
    statement_bind_int(update, now_ms);
    statement_bind_int(update, job_state_is_final(transition->to));
    statement_bind_int(update, stand->number);
    statement_bind_text(update, job_state_name(stand->state));
    statement_bind_text(update, job_request_name(stand->requested));
    statement_bind_int(update, stand->attempt);
    statement_bind_int(update, clock_steady_ms());
    return statement_run(update, err);
}

enum nabla_code transition_apply(struct database *db, const char *id, const struct job_stand *stand,
                                 const struct job_change *change, const char *token_sha256, bool *ret_changed,
                                 struct nabla_error *err)
{
    if (change->attempt != 0 && change->attempt != stand->attempt)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is at attempt %u, not %u", id, stand->attempt,
                          change->attempt);
    const struct transition *transition = transition_find(stand->state, stand->requested, change->event);
    if (!transition)
        return fail_refused(id, stand, change->event, err);
    *ret_changed = transition->entry != NULL;
    if (!transition->entry)
        return NABLA_OK;
    int64_t now_ms = clock_wall_ms();
    enum nabla_code code = update_job(db, stand, transition, change, token_sha256, now_ms, err);
    return code ? code
                : job_entry_insert(db, stand->number, stand->revision + 1, now_ms, transition->entry,
                                   change->detail, err);
}

static enum nabla_code claim_job(struct store *store, struct database *db, enum job_executor executor,
                                 const char *token_sha256, struct job **ret, struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_JOB_NEXT_QUEUED);
    statement_bind_text(row, job_state_name(JOB_QUEUED));
    statement_bind_text(row, job_executor_name(executor));
    enum nabla_code code = statement_row(row, err);
    char id[TOKEN_ID_SIZE] = "";
    if (code == NABLA_OK)
        snprintf(id, sizeof id, "%s", statement_text(row, 0));
    else if (code == NABLA_NOT_FOUND)
        nabla_fail(err, code, NULL, "no job is queued");
    statement_reset(row);
    struct job_stand stand;
    bool changed;
    if (code == NABLA_OK)
        code = job_stand_read(db, id, &stand, err);
    if (code == NABLA_OK)
        code = transition_apply(db, id, &stand, &(struct job_change){.event = JOB_EVENT_CLAIM}, token_sha256,
                                &changed, err);
    return code ? code : job_read(store, db, id, ret, err);
}

enum nabla_code store_job_claim(struct store *store, enum job_executor executor, const char *token_sha256,
                                struct job **ret, struct nabla_error *err)
{
    struct database *db;
    struct job *job = NULL;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = claim_job(store, db, executor, token_sha256, &job, err);
    code = access_end(store, code, err);
    if (code) {
        job_free(job);
        return code;
    }
    assert(job);
    access_notify(store, job->id, job->revision);
    *ret = job;
    return NABLA_OK;
}

enum nabla_code store_job_apply(struct store *store, const char *id, const struct job_change *change,
                                struct nabla_error *err)
{
    struct database *db;
    struct job_stand stand;
    bool changed = false;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = job_stand_read(db, id, &stand, err);
    if (code == NABLA_OK)
        code = transition_apply(db, id, &stand, change, NULL, &changed, err);
    code = access_end(store, code, err);
    if (code == NABLA_OK && changed)
        access_notify(store, id, stand.revision + 1);
    return code;
}

static enum nabla_code resume_job(struct database *db, const char *id, const char *token_sha256,
                                  uint64_t *ret_revision, struct nabla_error *err)
{
    static const struct job_change resume = {.event = JOB_EVENT_RESUME, .detail = "asked for by a client"},
                                   claim = {.event = JOB_EVENT_CLAIM};
    struct job_stand stand;
    bool changed;
    enum nabla_code code = job_stand_read(db, id, &stand, err);
    if (code == NABLA_OK)
        code = transition_apply(db, id, &stand, &resume, NULL, &changed, err);
    if (code == NABLA_OK && stand.executor == JOB_CLIENT) {
        code = job_stand_read(db, id, &stand, err);
        if (code == NABLA_OK)
            code = transition_apply(db, id, &stand, &claim, token_sha256, &changed, err);
    }
    *ret_revision = stand.revision + 1;
    return code;
}

enum nabla_code store_job_resume(struct store *store, const char *id, const char *token_sha256,
                                 struct nabla_error *err)
{
    struct database *db;
    uint64_t revision = 0;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = resume_job(db, id, token_sha256, &revision, err);
    code = access_end(store, code, err);
    if (code == NABLA_OK)
        access_notify(store, id, revision);
    return code;
}
