// Reading histories: the job's revision and its rows come from one snapshot.
#include "store/history.h"

#include "store/access.h"
#include "store/buckets.h"
#include "store/history_read.h"
#include "store/job_row.h"
#include "store/rows.h"
#include "store/runs.h"

#include <stdlib.h>
#include <string.h>

// A walk over rows of the network with its named metrics, or of the layers.
struct walk {
    const struct store *store;
    struct database *db;
    bool layers;
    const struct history_query *query;
    history_visitor *visit;
    void *context;
    int64_t job;
    size_t count; // rows visited
    struct buckets buckets;
    struct nabla_error *err;
};

static enum nabla_code count_row(void *context, const struct history_row *row)
{
    struct walk *walk = context;
    walk->count++;
    return walk->visit(walk->context, row);
}

// The rows of a series between two steps that the query asks for; `revision` 0: of any.
static enum nabla_code walk_rows(struct walk *walk, int64_t series, uint64_t first, uint64_t last,
                                 uint64_t revision)
{
    const struct history_query *query = walk->query;
    const struct rows_range range = {.job = walk->job,
                                     .series = series,
                                     .first = first > query->since_step ? first : query->since_step,
                                     .last = last < query->until_step ? last : query->until_step,
                                     .revision = revision,
                                     .limit = query->newest && query->newest < query->limit - walk->count
                                                  ? query->newest
                                                  : query->limit - walk->count,
                                     .newest = query->newest > 0,
                                     .columns = query->columns ? query->columns : UINT32_MAX};
    if (range.first > range.last || range.limit == 0)
        return NABLA_OK;
    return rows_read(walk->store, walk->db, &range, count_row, walk, walk->err);
}

// ---- in the order of writing

static bool is_asked_for(const struct walk *walk, int64_t series)
{
    if (series_is_layer(series) != walk->layers)
        return false;
    if (walk->layers)
        return !walk->query->has_layer || series == series_of_layer(walk->query->layer);
    const struct history_query *query = walk->query;
    if (query->has_layer && series_place(series) != query->layer)
        return false;
    if (!query->is_selective)
        return true;
    if (series == SERIES_NETWORK)
        return !query->without_network;
    for (size_t i = 0; i < query->named_count; i++)
        if (series == SERIES_NAMED + (int64_t)query->named[i])
            return true;
    return false;
}

static enum nabla_code visit_run(void *context, const struct run *run, struct nabla_error *err)
{
    struct walk *walk = context;
    const struct history_cursor *after = &walk->query->after;
    uint64_t first = run->first;
    (void)err;
    if (walk->count >= walk->query->limit)
        return NABLA_NOT_FOUND; // the walk is over
    if (!is_asked_for(walk, run->series))
        return NABLA_OK;
    if (run->revision == after->revision) {
        unsigned place = series_place(run->series);
        if (place < after->layer || (place == after->layer && run->last <= after->step))
            return NABLA_OK;
        if (place == after->layer && first <= after->step)
            first = after->step + 1;
    }
    return walk_rows(walk, run->series, first, run->last, run->revision);
}

static enum nabla_code walk_after(struct walk *walk)
{
    const struct history_cursor *after = &walk->query->after;
    const struct run from = {.revision = after->revision, .series = 0, .first = 0};
    enum nabla_code code = runs_walk(walk->db, walk->job, &from, visit_run, walk, walk->err);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// ---- in the order of steps

// The first place from `from` on: NABLA_NOT_FOUND, without a text, when there is none.
static enum nabla_code next_place(const struct walk *walk, enum sql_id sql, int64_t from, int64_t *ret)
{
    struct statement *row = database_statement(walk->db, sql);
    statement_bind_int(row, walk->job);
    statement_bind_int(row, from);
    enum nabla_code code = statement_row(row, walk->err);
    if (code == NABLA_OK)
        *ret = statement_int(row, 0);
    statement_reset(row);
    return code;
}

static enum nabla_code walk_place(struct walk *walk, int64_t series)
{
    const struct history_cursor *after = &walk->query->after;
    uint64_t first = 0;
    if (walk->query->has_place) {
        unsigned place = series_place(series);
        if (place < after->layer || (place == after->layer && after->step == UINT64_MAX))
            return NABLA_OK;
        if (place == after->layer)
            first = after->step + 1;
    }
    return walk_rows(walk, series, first, UINT64_MAX, 0);
}

enum nabla_code history_each_series(struct database *db, int64_t job, bool layers,
                                    enum nabla_code (*visit)(void *context, int64_t series), void *context,
                                    struct nabla_error *err)
{
    const struct walk walk = {.db = db, .job = job, .err = err};
    const enum sql_id sql = layers ? SQL_LAYER_FROM : SQL_NAME_FROM;
    const int64_t base = layers ? SERIES_LAYERS : SERIES_NAMED;
    enum nabla_code code = layers ? NABLA_OK : visit(context, SERIES_NETWORK);
    int64_t place = -1;
    while (code == NABLA_OK && (code = next_place(&walk, sql, place + 1, &place)) == NABLA_OK)
        code = visit(context, base + place);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code visit_series(void *context, int64_t series)
{
    struct walk *walk = context;
    if (walk->count >= walk->query->limit)
        return NABLA_NOT_FOUND; // the walk is over
    return is_asked_for(walk, series) ? walk_place(walk, series) : NABLA_OK;
}

static enum nabla_code measure_series(void *context, int64_t series)
{
    struct walk *walk = context;
    return is_asked_for(walk, series) ? buckets_measure(&walk->buckets, series, walk->err) : NABLA_OK;
}

static enum nabla_code tell_series(void *context, int64_t series)
{
    struct walk *walk = context;
    return is_asked_for(walk, series)
               ? buckets_tell(&walk->buckets, series, walk->visit, walk->context, walk->err)
               : NABLA_OK;
}

// *ret_told is false when no table has too many rows.
static enum nabla_code walk_buckets(struct walk *walk, bool *ret_told)
{
    const struct history_query *query = walk->query;
    walk->buckets = (struct buckets){.store = walk->store,
                                     .db = walk->db,
                                     .job = walk->job,
                                     .first = query->since_step,
                                     .last = query->until_step,
                                     .columns = query->columns,
                                     .most = query->max_points,
                                     .are_joined = !walk->layers};
    enum nabla_code code =
        history_each_series(walk->db, walk->job, walk->layers, measure_series, walk, walk->err);
    free(walk->buckets.steps);
    *ret_told = walk->buckets.are_needed;
    if (code == NABLA_OK && walk->buckets.are_needed)
        code = history_each_series(walk->db, walk->job, walk->layers, tell_series, walk, walk->err);
    return code;
}

static enum nabla_code walk_by_step(struct walk *walk)
{
    bool told = false;
    if (walk->query->max_points > 0) {
        enum nabla_code code = walk_buckets(walk, &told);
        if (code || told)
            return code;
    }
    if (walk->layers && walk->query->has_layer)
        return walk_place(walk, series_of_layer(walk->query->layer));
    return history_each_series(walk->db, walk->job, walk->layers, visit_series, walk, walk->err);
}

static enum nabla_code walk_snapshot(struct walk *walk, const char *job_id, uint64_t *ret_revision)
{
    struct job_stand stand;
    const struct history_query *query = walk->query;
    enum nabla_code code = statement_run(database_statement(walk->db, SQL_SNAPSHOT), walk->err);
    if (code == NABLA_OK)
        code = job_stand_read(walk->db, job_id, &stand, walk->err);
    if (code)
        return code;
    walk->job = stand.number;
    bool after = query->has_after || (!query->has_place && query->after.revision > 0);
    code = after ? walk_after(walk) : walk_by_step(walk);
    if (code == NABLA_OK)
        *ret_revision = stand.revision;
    return code;
}

static enum nabla_code walk_history(struct store *store, struct walk walk, const char *job_id,
                                    uint64_t *ret_revision)
{
    walk.store = store;
    walk.db = access_reader(store);
    enum nabla_code code = walk_snapshot(&walk, job_id, ret_revision);
    access_release(store, walk.db);
    return code;
}

enum nabla_code store_history_metrics(struct store *store, const char *job_id,
                                      const struct history_query *query, history_visitor *visit,
                                      void *context, uint64_t *ret_revision, struct nabla_error *err)
{
    const struct walk walk = {.query = query, .visit = visit, .context = context, .err = err};
    return walk_history(store, walk, job_id, ret_revision);
}

enum nabla_code store_history_layers(struct store *store, const char *job_id,
                                     const struct history_query *query, history_visitor *visit, void *context,
                                     uint64_t *ret_revision, struct nabla_error *err)
{
    const struct walk walk = {.layers = true, .query = query, .visit = visit, .context = context, .err = err};
    return walk_history(store, walk, job_id, ret_revision);
}

// Names stand at their index; an index that no layer has gets "".
struct names {
    char **texts;
    size_t count;
};

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
}

static enum nabla_code add_name(struct names *names, const char *name, struct nabla_error *err)
{
    char **grown = reallocarray(names->texts, names->count + 1, sizeof(char *));
    if (grown)
        names->texts = grown;
    char *copy = grown && name ? strdup(name) : NULL;
    if (!copy)
        return nabla_fail_memory(err, "the names of layers");
    names->texts[names->count++] = copy;
    return NABLA_OK;
}

static enum nabla_code read_names(struct statement *row, struct names *names, struct nabla_error *err)
{
    enum nabla_code code;
    while ((code = statement_row(row, err)) == NABLA_OK) {
        while (code == NABLA_OK && names->count < (size_t)statement_int(row, 0))
            code = add_name(names, "", err);
        if (code == NABLA_OK)
            code = add_name(names, statement_text(row, 1), err);
        if (code)
            return code;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code names_of(struct store *store, enum sql_id sql, const char *job_id, char ***ret,
                                size_t *ret_count, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct job_stand stand;
    struct names names = {NULL, 0};
    enum nabla_code code = job_stand_read(db, job_id, &stand, err);
    if (code == NABLA_OK) {
        struct statement *row = database_statement(db, sql);
        statement_bind_int(row, stand.number);
        code = read_names(row, &names, err);
        statement_reset(row);
    }
    access_release(store, db);
    if (code) {
        free_names(&names);
        return code;
    }
    *ret = names.texts;
    *ret_count = names.count;
    return NABLA_OK;
}

enum nabla_code store_history_layer_names(struct store *store, const char *job_id, char ***ret,
                                          size_t *ret_count, struct nabla_error *err)
{
    return names_of(store, SQL_LAYER_NAMES, job_id, ret, ret_count, err);
}

enum nabla_code store_history_metric_names(struct store *store, const char *job_id, char ***ret,
                                           size_t *ret_count, struct nabla_error *err)
{
    return names_of(store, SQL_NAMES, job_id, ret, ret_count, err);
}
