#include "store/job_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum job_column { // in the order of JOB_COLUMNS
    COLUMN_NUMBER,
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_STATE,
    COLUMN_REQUESTED,
    COLUMN_EXECUTOR,
    COLUMN_REVISION,
    COLUMN_ATTEMPT,
    COLUMN_RETRIES,
    COLUMN_DATASET,
    COLUMN_SPEC,
    COLUMN_STEP,
    COLUMN_STEPS,
    COLUMN_EPOCH,
    COLUMN_EPOCHS,
    COLUMN_LATEST_STEP,
    COLUMN_LOSS,
    COLUMN_ACCURACY,
    COLUMN_VALIDATION_LOSS,
    COLUMN_VALIDATION_ACCURACY,
    COLUMN_NETWORK_STATS,
    COLUMN_LAYER_STATS,
    COLUMN_RESULT,
    COLUMN_ERROR,
    COLUMN_CREATED_MS,
    COLUMN_STARTED_MS,
    COLUMN_FINISHED_MS,
    COLUMN_ATTEMPT_STEP,
    COLUMN_ATTEMPT_MS
};

enum nabla_code job_fail_missing(const char *id, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no job %s", id);
}

enum nabla_code job_fail_word(const char *id, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_IO, NULL, "the row of job %s holds a word that this program does not know",
                      id);
}

static bool read_texts(struct statement *row, struct job *job)
{
    const char *id = statement_text(row, COLUMN_ID), *dataset = statement_text(row, COLUMN_DATASET);
    if (!id || !dataset)
        return false;
    snprintf(job->id, sizeof job->id, "%s", id);
    snprintf(job->dataset, sizeof job->dataset, "%s", dataset);
    job->name = statement_copy(row, COLUMN_NAME);
    job->spec = statement_copy(row, COLUMN_SPEC);
    job->result = statement_copy(row, COLUMN_RESULT);
    job->error = statement_copy(row, COLUMN_ERROR);
    return job->name && job->spec && (job->result || statement_is_null(row, COLUMN_RESULT)) &&
           (job->error || statement_is_null(row, COLUMN_ERROR));
}

static bool read_words(struct statement *row, struct job *job)
{
    int state = job_state_find(statement_text(row, COLUMN_STATE));
    int requested = job_request_find(statement_text(row, COLUMN_REQUESTED));
    int executor = job_executor_find(statement_text(row, COLUMN_EXECUTOR));
    job->state = (enum job_state)state;
    job->requested = (enum job_request)requested;
    job->executor = (enum job_executor)executor;
    return state >= 0 && requested >= 0 && executor >= 0;
}

static void read_numbers(const struct store *store, struct statement *row, struct job *job)
{
    job->revision = (uint64_t)statement_int(row, COLUMN_REVISION);
    job->attempt = (unsigned)statement_int(row, COLUMN_ATTEMPT);
    job->retries = (unsigned)statement_int(row, COLUMN_RETRIES);
    job->progress = (struct job_progress){
        .step = (uint64_t)statement_int(row, COLUMN_STEP),
        .steps = (uint64_t)statement_int(row, COLUMN_STEPS),
        .epoch = (uint64_t)statement_int(row, COLUMN_EPOCH),
        .epochs = (uint64_t)statement_int(row, COLUMN_EPOCHS),
    };
    job->latest = (struct job_latest){
        .loss = statement_double(row, COLUMN_LOSS),
        .accuracy = statement_double(row, COLUMN_ACCURACY),
        .validation_loss = statement_double(row, COLUMN_VALIDATION_LOSS),
        .validation_accuracy = statement_double(row, COLUMN_VALIDATION_ACCURACY),
    };
    job->has_latest = !statement_is_null(row, COLUMN_LATEST_STEP);
    job->network_stats = wide_mask_out(&store->metrics, statement_int(row, COLUMN_NETWORK_STATS));
    job->layer_stats = wide_mask_out(&store->gradients, statement_int(row, COLUMN_LAYER_STATS));
    job->created_ms = statement_int(row, COLUMN_CREATED_MS);
    job->started_ms = statement_int(row, COLUMN_STARTED_MS);
    job->finished_ms = statement_int(row, COLUMN_FINISHED_MS);
    job->attempt_step = (uint64_t)statement_int(row, COLUMN_ATTEMPT_STEP);
    job->attempt_ms = statement_int(row, COLUMN_ATTEMPT_MS);
}

enum nabla_code job_row_read(const struct store *store, struct statement *row, struct job **ret,
                             int64_t *ret_number, struct nabla_error *err)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job || !read_texts(row, job)) {
        job_free(job);
        return nabla_fail_memory(err, "a job");
    }
    if (!read_words(row, job)) {
        enum nabla_code code = job_fail_word(job->id, err);
        job_free(job);
        return code;
    }
    read_numbers(store, row, job);
    *ret = job;
    *ret_number = statement_int(row, COLUMN_NUMBER);
    return NABLA_OK;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->name);
    free(job->spec);
    free(job->result);
    free(job->error);
    free(job);
}

enum nabla_code job_read(const struct store *store, struct database *db, const char *id, struct job **ret,
                         struct nabla_error *err)
{
    int64_t number;
    struct statement *row = database_statement(db, SQL_JOB_BY_ID);
    statement_bind_text(row, id);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        code = job_row_read(store, row, ret, &number, err);
    else if (code == NABLA_NOT_FOUND)
        job_fail_missing(id, err);
    statement_reset(row);
    return code;
}

enum nabla_code job_entry_insert(struct database *db, int64_t job, uint64_t revision, int64_t at_ms,
                                 const char *event, const char *detail, struct nabla_error *err)
{
    struct statement *insert = database_statement(db, SQL_EVENT_INSERT);
    statement_bind_int(insert, job);
    statement_bind_size(insert, revision);
    statement_bind_int(insert, at_ms);
    statement_bind_text(insert, event);
    statement_bind_text(insert, detail ? detail : "");
    return statement_run(insert, err);
}

enum nabla_code job_stand_read(struct database *db, const char *id, struct job_stand *ret,
                               struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_JOB_STAND);
    statement_bind_text(row, id);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK) {
        int state = job_state_find(statement_text(row, 1));
        int requested = job_request_find(statement_text(row, 2));
        int executor = job_executor_find(statement_text(row, 7));
        *ret = (struct job_stand){
            .number = statement_int(row, 0),
            .state = (enum job_state)state,
            .requested = (enum job_request)requested,
            .executor = (enum job_executor)executor,
            .attempt = (unsigned)statement_int(row, 3),
            .revision = (uint64_t)statement_int(row, 4),
            .has_latest = !statement_is_null(row, 5),
            .latest_step = (uint64_t)statement_int(row, 5),
            .latest_validation_step = (uint64_t)statement_int(row, 6),
        };
        if (state < 0 || requested < 0 || executor < 0)
            code = job_fail_word(id, err);
    } else if (code == NABLA_NOT_FOUND) {
        job_fail_missing(id, err);
    }
    statement_reset(row);
    return code;
}
