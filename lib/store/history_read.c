// Reading histories: the job's revision and its rows come from one snapshot.
#include "store/history.h"

#include "store/access.h"
#include "store/job_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_VALUE = 4 }; // behind revision, layer, step, recorded

// A walk over rows of one of the two tables.
struct walk {
    const struct wide *wide;
    enum sql_id by_step, after;
    struct database *db;
    const struct history_query *query;
    history_visitor *visit;
    void *context;
    int64_t job;
    size_t count; // rows visited
};

static enum nabla_code visit_rows(struct walk *walk, struct statement *rows, struct nabla_error *err)
{
    double values[WIDE_STATS];
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        for (size_t i = 0; i < walk->wide->table->count; i++)
            values[i] = statement_double(rows, FIRST_VALUE + (int)i);
        const struct history_row row = {
            .revision = (uint64_t)statement_int(rows, 0),
            .layer = (unsigned)statement_int(rows, 1),
            .step = (uint64_t)statement_int(rows, 2),
            .recorded = wide_mask_out(walk->wide, statement_int(rows, 3)),
            .values = values,
        };
        walk->count++;
        code = walk->visit(walk->context, &row);
        if (code) {
            statement_reset(rows);
            return code;
        }
    }
    statement_reset(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code walk_after(struct walk *walk, struct nabla_error *err)
{
    const struct history_query *query = walk->query;
    struct statement *rows = database_statement(walk->db, walk->after);
    statement_bind_int(rows, walk->job);
    statement_bind_int(rows, query->has_layer ? query->layer : 0);
    statement_bind_int(rows, query->has_layer ? query->layer : UINT32_MAX);
    statement_bind_size(rows, query->since_step);
    statement_bind_size(rows, query->until_step);
    statement_bind_size(rows, query->limit);
    statement_bind_size(rows, query->after.revision);
    statement_bind_int(rows, query->after.layer);
    statement_bind_size(rows, query->after.step);
    return visit_rows(walk, rows, err);
}

static enum nabla_code walk_layer(struct walk *walk, unsigned layer, struct nabla_error *err)
{
    struct statement *rows = database_statement(walk->db, walk->by_step);
    statement_bind_int(rows, walk->job);
    statement_bind_int(rows, layer);
    statement_bind_size(rows, walk->query->since_step);
    statement_bind_size(rows, walk->query->until_step);
    statement_bind_size(rows, walk->query->limit - walk->count);
    return visit_rows(walk, rows, err);
}

// The first layer from `from` on: NABLA_NOT_FOUND, without a text, when there is none.
static enum nabla_code next_layer(const struct walk *walk, int64_t from, unsigned *ret,
                                  struct nabla_error *err)
{
    struct statement *row = database_statement(walk->db, SQL_LAYER_FROM);
    statement_bind_int(row, walk->job);
    statement_bind_int(row, from);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        *ret = (unsigned)statement_int(row, 0);
    statement_reset(row);
    return code;
}

// Layer by layer in C: as one join, SQLite 3.40 would sort each layer's rows first.
static enum nabla_code walk_by_step(struct walk *walk, struct nabla_error *err)
{
    if (walk->query->has_layer || !walk->wide->table->layered)
        return walk_layer(walk, walk->query->has_layer ? walk->query->layer : 0, err);
    enum nabla_code code = NABLA_OK;
    unsigned layer;
    for (int64_t from = 0; walk->count < walk->query->limit; from = (int64_t)layer + 1) {
        code = next_layer(walk, from, &layer, err);
        if (code)
            return code == NABLA_NOT_FOUND ? NABLA_OK : code;
        code = walk_layer(walk, layer, err);
        if (code)
            return code;
    }
    return code;
}

static enum nabla_code walk_snapshot(struct walk *walk, const char *job_id, uint64_t *ret_revision,
                                     struct nabla_error *err)
{
    struct job_stand stand;
    enum nabla_code code = statement_run(database_statement(walk->db, SQL_SNAPSHOT), err);
    if (code == NABLA_OK)
        code = job_stand_read(walk->db, job_id, &stand, err);
    if (code)
        return code;
    walk->job = stand.number;
    bool after = walk->query->has_after || walk->query->after.revision > 0;
    code = after ? walk_after(walk, err) : walk_by_step(walk, err);
    if (code == NABLA_OK)
        *ret_revision = stand.revision;
    return code;
}

static enum nabla_code walk_history(struct store *store, struct walk walk, const char *job_id,
                                    uint64_t *ret_revision, struct nabla_error *err)
{
    walk.db = access_reader(store);
    enum nabla_code code = walk_snapshot(&walk, job_id, ret_revision, err);
    access_release(store, walk.db);
    return code;
}

enum nabla_code store_history_metrics(struct store *store, const char *job_id,
                                      const struct history_query *query, history_visitor *visit,
                                      void *context, uint64_t *ret_revision, struct nabla_error *err)
{
    const struct walk walk = {.wide = &store->metrics,
                              .by_step = SQL_METRICS_BY_STEP,
                              .after = SQL_METRICS_AFTER,
                              .query = query,
                              .visit = visit,
                              .context = context};
    return walk_history(store, walk, job_id, ret_revision, err);
}

enum nabla_code store_history_layers(struct store *store, const char *job_id,
                                     const struct history_query *query, history_visitor *visit, void *context,
                                     uint64_t *ret_revision, struct nabla_error *err)
{
    const struct walk walk = {.wide = &store->gradients,
                              .by_step = SQL_GRADIENTS_BY_STEP,
                              .after = SQL_GRADIENTS_AFTER,
                              .query = query,
                              .visit = visit,
                              .context = context};
    return walk_history(store, walk, job_id, ret_revision, err);
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

enum nabla_code store_history_layer_names(struct store *store, const char *job_id, char ***ret,
                                          size_t *ret_count, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct job_stand stand;
    struct names names = {NULL, 0};
    enum nabla_code code = job_stand_read(db, job_id, &stand, err);
    if (code == NABLA_OK) {
        struct statement *row = database_statement(db, SQL_LAYER_NAMES);
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
