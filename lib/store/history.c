// Writing histories. A batch is one transaction: its rows, the job's progress and its revision stand or fall
// together, so that a reader that has seen a revision has seen everything up to it.
#include "store/history.h"

#include "base/size.h"
#include "store/access.h"
#include "store/job_row.h"
#include "store/named.h"
#include "store/rollup.h"
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MOST = 1000 };

// A job's batch on its way into the file.
struct writing {
    const struct store *store;
    struct database *db;
    struct job_stand *stand;
    bool folded[2];        // the job has folds: of the network, of layers
    struct touch *touches; // what was written so far
    size_t count;
    uint64_t steps; // that it goes on
};

static void touch(struct writing *to, int64_t series, uint64_t step)
{
    to->touches[to->count++] = (struct touch){series, step};
}

static enum nabla_code write_network(struct writing *to, const struct step_record *record,
                                     struct nabla_error *err)
{
    if (record->recorded == 0)
        return NABLA_OK;
    const struct rows_record row = {.job = to->stand->number,
                                    .series = SERIES_NETWORK,
                                    .step = record->step,
                                    .revision = to->stand->revision + 1,
                                    .steps = record->steps,
                                    .recorded = record->recorded,
                                    .values = record->values,
                                    .minima = record->minima,
                                    .maxima = record->maxima,
                                    .nonfinite = record->nonfinite,
                                    .may_replace_fold = to->folded[0]};
    touch(to, row.series, row.step);
    to->folded[0] |= row.steps > 1;
    return rows_write(to->store, to->db, &row, err);
}

static enum nabla_code write_layer(struct writing *to, const struct step_record *record,
                                   const struct layer_record *layer, struct nabla_error *err)
{
    const struct rows_record row = {.job = to->stand->number,
                                    .series = series_of_layer(layer->index),
                                    .step = record->step,
                                    .revision = to->stand->revision + 1,
                                    .steps = record->steps,
                                    .recorded = layer->recorded,
                                    .values = layer->values,
                                    .minima = layer->minima,
                                    .maxima = layer->maxima,
                                    .nonfinite = layer->nonfinite,
                                    .may_replace_fold = to->folded[1]};
    touch(to, row.series, row.step);
    to->folded[1] |= row.steps > 1;
    return rows_write(to->store, to->db, &row, err);
}

static enum nabla_code write_name(const struct writing *to, const struct layer_record *layer,
                                  struct nabla_error *err)
{
    struct statement *insert = database_statement(to->db, SQL_LAYER_NAME);
    statement_bind_int(insert, to->stand->number);
    statement_bind_int(insert, layer->index);
    statement_bind_text(insert, layer->name ? layer->name : "");
    return statement_run(insert, err);
}

// Names hardly ever change within a batch: those that the record before had at the same place are known.
static bool same_name(const struct layer_record *layer, const struct step_record *before, size_t place)
{
    if (!before || place >= before->layer_count)
        return false;
    const struct layer_record *known = &before->layers[place];
    return known->index == layer->index && known->name && layer->name &&
           strcmp(known->name, layer->name) == 0;
}

static enum nabla_code write_record(struct writing *to, const struct step_record *record,
                                    const struct step_record *before, struct nabla_error *err)
{
    if (record->step > INT64_MAX)
        return nabla_fail(err, NABLA_INVALID, NULL, "a step is larger than 2^63 - 1");
    enum nabla_code code = write_network(to, record, err);
    for (size_t i = 0; i < record->layer_count && code == NABLA_OK; i++) {
        const struct layer_record *layer = &record->layers[i];
        if (layer->index > HISTORY_LAYER_MAX)
            return nabla_fail(err, NABLA_INVALID, NULL, "the index of a layer is %u: it may be up to %d",
                              layer->index, HISTORY_LAYER_MAX);
        if (!same_name(layer, before, i))
            code = write_name(to, layer, err);
        if (code == NABLA_OK && layer->recorded != 0)
            code = write_layer(to, record, layer, err);
    }
    return code;
}

// The newest figures of a batch: of each the value at the highest step, unless the job has one of a later
// step.
struct newest {
    bool known[NETWORK_STAT_COUNT];
    double values[NETWORK_STAT_COUNT];
};

static void take_newest(struct newest *newest, const struct step_record *record, enum network_stat stat,
                        uint64_t *step)
{
    if (!(record->recorded >> stat & 1))
        return;
    newest->known[stat] = true;
    newest->values[stat] = record->values[stat];
    *step = record->step;
}

static void find_newest(const struct history_batch *batch, struct job_stand *stand, struct newest *newest)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct step_record *record = &batch->records[i];
        if (record->recorded == 0)
            continue;
        if (record->step >= stand->latest_validation_step) {
            take_newest(newest, record, NETWORK_VALIDATION_LOSS, &stand->latest_validation_step);
            take_newest(newest, record, NETWORK_VALIDATION_ACCURACY, &stand->latest_validation_step);
        }
        if (record->step >= stand->latest_step) {
            take_newest(newest, record, NETWORK_LOSS, &stand->latest_step);
            take_newest(newest, record, NETWORK_ACCURACY, &stand->latest_step);
        }
        stand->has_latest = true;
    }
}

static void bind_newest(struct statement *update, const struct newest *newest, enum network_stat stat)
{
    statement_bind_int(update, newest->known[stat]);
    statement_bind_double(update, newest->values[stat]);
}

static enum nabla_code advance_job(const struct writing *to, const struct history_batch *batch,
                                   struct nabla_error *err)
{
    struct newest newest = {.known = {false}};
    find_newest(batch, to->stand, &newest);
    static const struct job_progress none;
    const struct job_progress *progress = batch->progress ? batch->progress : &none;
    struct statement *update = database_statement(to->db, SQL_JOB_ADVANCE);
    statement_bind_int(update, batch->progress != NULL);
    statement_bind_size(update, progress->step);
    statement_bind_size(update, progress->steps);
    statement_bind_size(update, progress->epoch);
    statement_bind_size(update, progress->epochs);
    if (to->stand->has_latest) {
        statement_bind_size(update, to->stand->latest_step);
        statement_bind_size(update, to->stand->latest_validation_step);
    } else {
        statement_bind_null(update);
        statement_bind_null(update);
    }
    bind_newest(update, &newest, NETWORK_LOSS);
    bind_newest(update, &newest, NETWORK_ACCURACY);
    bind_newest(update, &newest, NETWORK_VALIDATION_LOSS);
    bind_newest(update, &newest, NETWORK_VALIDATION_ACCURACY);
    statement_bind_int(update, to->stand->number);
    return statement_run(update, err);
}

// How many steps the batch takes the job on.
static uint64_t steps_gone(struct database *db, int64_t number, const struct job_progress *progress)
{
    if (!progress)
        return 0;
    struct statement *row = database_statement(db, SQL_JOB_STEP);
    statement_bind_int(row, number);
    uint64_t before = statement_row(row, NULL) == NABLA_OK ? (uint64_t)statement_int(row, 0) : UINT64_MAX;
    statement_reset(row);
    return progress->step > before ? progress->step - before : 0;
}

static enum nabla_code check_stand(const char *id, const struct job_stand *stand, unsigned attempt,
                                   struct nabla_error *err)
{
    if (stand->attempt != attempt)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is at attempt %u, not %u", id, stand->attempt,
                          attempt);
    if (stand->state != JOB_RUNNING)
        return nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is %s and takes no history", id,
                          job_state_name(stand->state));
    return NABLA_OK;
}

static enum nabla_code write_named(struct writing *to, const struct history_named *named, size_t names_most,
                                   struct nabla_error *err)
{
    int64_t metric;
    enum nabla_code code = named_number(to->db, to->stand->number, named->name,
                                        names_most ? names_most : NAMES_MOST, &metric, err);
    if (code)
        return code;
    for (size_t i = 0; i < named->count; i++) {
        if (named->steps[i] > INT64_MAX)
            return nabla_fail(err, NABLA_INVALID, NULL, "a step is larger than 2^63 - 1");
        touch(to, SERIES_NAMED + metric, named->steps[i]);
    }
    const struct points points = {named->count, named->steps, named->values};
    return named_write(to->db, to->stand->number, metric, to->stand->revision + 1, &points, err);
}

static enum nabla_code write_all_named(struct writing *to, const char *id, const struct history_batch *batch,
                                       struct nabla_error *err)
{
    if (batch->named_count > 0 && to->stand->executor != JOB_CLIENT)
        return nabla_fail(
            err, NABLA_INVALID, NULL,
            "there is no statistic \"%.100s\", and job %s is not one of a client, which could name "
            "its own",
            batch->named[0].name, id);
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < batch->named_count && code == NABLA_OK; i++)
        code = write_named(to, &batch->named[i], batch->names_most, err);
    return code;
}

static enum nabla_code write_histogram(struct writing *to, const struct histogram_entry *entry,
                                       const struct histogram_entry *before, struct nabla_error *err)
{
    if (entry->step > INT64_MAX || entry->layer > HISTORY_LAYER_MAX)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "a histogram is of a step above 2^63 - 1, or of a layer above %d",
                          HISTORY_LAYER_MAX);
    const struct layer_record layer = {.index = entry->layer, .name = entry->name};
    enum nabla_code code = NABLA_OK;
    if (!before || before->layer != entry->layer)
        code = write_name(to, &layer, err);
    return code ? code : histogram_write(to->db, to->stand->number, to->stand->revision + 1, entry, err);
}

static enum nabla_code write_rows(struct writing *to, const char *id, const struct history_batch *batch,
                                  struct nabla_error *err)
{
    enum nabla_code code =
        rows_folded(to->store, to->db, to->stand->number, SERIES_NETWORK, &to->folded[0], err);
    if (code == NABLA_OK)
        code = rows_folded(to->store, to->db, to->stand->number, SERIES_LAYERS, &to->folded[1], err);
    for (size_t i = 0; i < batch->record_count && code == NABLA_OK; i++)
        code = write_record(to, &batch->records[i], i > 0 ? &batch->records[i - 1] : NULL, err);
    if (code == NABLA_OK)
        code = write_all_named(to, id, batch, err);
    for (size_t i = 0; i < batch->histogram_count && code == NABLA_OK; i++)
        code = write_histogram(to, &batch->histograms[i], i > 0 ? &batch->histograms[i - 1] : NULL, err);
    return code;
}

static size_t count_rows(const struct history_batch *batch)
{
    size_t count = batch->record_count;
    for (size_t i = 0; i < batch->record_count; i++)
        count += batch->records[i].layer_count;
    for (size_t i = 0; i < batch->named_count; i++)
        count += batch->named[i].count;
    return count;
}

static enum nabla_code write_batch(struct writing *to, const char *id, const struct history_batch *batch,
                                   struct nabla_error *err)
{
    enum nabla_code code = job_stand_read(to->db, id, to->stand, err);
    if (code == NABLA_OK)
        code = check_stand(id, to->stand, batch->attempt, err);
    if (code)
        return code;
    to->touches = size_alloc(count_rows(batch) + 1, 1, sizeof *to->touches);
    if (!to->touches)
        return nabla_fail_memory(err, "a batch");
    code = write_rows(to, id, batch, err);
    touches_sort(to->touches, to->count);
    if (code == NABLA_OK)
        code = runs_write(to->db, to->stand->number, to->stand->revision + 1, to->touches, to->count, err);
    if (code == NABLA_OK)
        code = rollup_touch(to->db, to->stand->number, to->touches, to->count, err);
    free(to->touches);
    if (code)
        return code;
    to->steps = steps_gone(to->db, to->stand->number, batch->progress);
    return advance_job(to, batch, err);
}

enum nabla_code store_history_append(struct store *store, const char *job_id,
                                     const struct history_batch *batch, struct history_ack *ret,
                                     struct nabla_error *err)
{
    struct job_stand stand;
    struct writing to = {.store = store, .stand = &stand};
    enum nabla_code code = access_begin(store, !batch->is_unsynced, &to.db, err);
    if (code)
        return code;
    code = write_batch(&to, job_id, batch, err);
    code = access_end(store, code, err);
    if (code)
        return code;
    atomic_fetch_add(&store->steps, to.steps);
    *ret = (struct history_ack){.revision = stand.revision + 1, .requested = stand.requested};
    access_notify(store, job_id, ret->revision);
    return NABLA_OK;
}
