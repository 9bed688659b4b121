// Reading histories: the job's revision and its rows come from one snapshot.
#include "store/history.h"

#include "store/access.h"
#include "store/job_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_VALUE = 4 }; // behind revision, layer, step, recorded

static void bind_query(struct statement *rows, int64_t job, const struct history_query *query)
{
    statement_bind_int(rows, job);
    statement_bind_int(rows, query->has_layer ? query->layer : 0);
    statement_bind_int(rows, query->has_layer ? query->layer : UINT32_MAX);
    statement_bind_size(rows, query->since_step);
    statement_bind_size(rows, query->until_step);
    statement_bind_size(rows, query->limit);
}

static void bind_cursor(struct statement *rows, const struct history_cursor *cursor)
{
    statement_bind_size(rows, cursor->revision);
    statement_bind_int(rows, cursor->layer);
    statement_bind_size(rows, cursor->step);
}

static enum nabla_code visit_rows(const struct wide *wide, struct statement *rows, history_visitor *visit,
                                  void *context, struct nabla_error *err)
{
    double values[WIDE_STATS];
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        for (size_t i = 0; i < wide->table->count; i++)
            values[i] = statement_double(rows, FIRST_VALUE + (int)i);
        const struct history_row row = {
            .revision = (uint64_t)statement_int(rows, 0),
            .layer = (unsigned)statement_int(rows, 1),
            .step = (uint64_t)statement_int(rows, 2),
            .recorded = wide_mask_out(wide, statement_int(rows, 3)),
            .values = values,
        };
        code = visit(context, &row);
        if (code)
            return code;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// How one of the two tables is read.
struct reading {
    const struct wide *wide;
    enum sql_id by_step, after;
};

static enum nabla_code read_snapshot(struct database *db, const struct reading *reading, const char *job_id,
                                     const struct history_query *query, history_visitor *visit, void *context,
                                     uint64_t *ret_revision, struct nabla_error *err)
{
    struct job_stand stand;
    enum nabla_code code = statement_run(database_statement(db, SQL_SNAPSHOT), err);
    if (code == NABLA_OK)
        code = job_stand_read(db, job_id, &stand, err);
    if (code)
        return code;
    bool after = query->has_after || query->after.revision > 0;
    struct statement *rows = database_statement(db, after ? reading->after : reading->by_step);
    bind_query(rows, stand.number, query);
    if (after)
        bind_cursor(rows, &query->after);
    code = visit_rows(reading->wide, rows, visit, context, err);
    statement_reset(rows);
    if (code == NABLA_OK)
        *ret_revision = stand.revision;
    return code;
}

enum nabla_code store_history_metrics(struct store *store, const char *job_id,
                                      const struct history_query *query, history_visitor *visit,
                                      void *context, uint64_t *ret_revision, struct nabla_error *err)
{
    const struct reading reading = {&store->metrics, SQL_METRICS_BY_STEP, SQL_METRICS_AFTER};
    struct database *db = access_reader(store);
    enum nabla_code code = read_snapshot(db, &reading, job_id, query, visit, context, ret_revision, err);
    access_release(store, db);
    return code;
}

enum nabla_code store_history_layers(struct store *store, const char *job_id,
                                     const struct history_query *query, history_visitor *visit, void *context,
                                     uint64_t *ret_revision, struct nabla_error *err)
{
    const struct reading reading = {&store->gradients, SQL_GRADIENTS_BY_STEP, SQL_GRADIENTS_AFTER};
    struct database *db = access_reader(store);
    enum nabla_code code = read_snapshot(db, &reading, job_id, query, visit, context, ret_revision, err);
    access_release(store, db);
    return code;
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
