#include "store/wide.h"

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 16, COLUMNS_MOST = 62 };

const struct wide_table wide_metrics = {
    .name = "metric_rows", .view = "metrics", .stats = network_stats, .count = NETWORK_STAT_COUNT};
const struct wide_table wide_gradients = {.name = "gradient_rows",
                                          .view = "gradients",
                                          .layered = true,
                                          .stats = layer_stats,
                                          .count = LAYER_STAT_COUNT};
_Static_assert((int)NETWORK_STAT_COUNT <= (int)WIDE_STATS && (int)LAYER_STAT_COUNT <= (int)WIDE_STATS,
               "every statistic has its place");

// The index serves `after`: it holds job, revision, layer and step, and nothing else.
static enum nabla_code create_table(struct database *db, const struct wide_table *table,
                                    struct nabla_error *err)
{
    struct buffer sql = buffer_new(TEXT_LIMIT);
    const char *layer = table->layered ? "layer, " : "";
    buffer_format(&sql, "CREATE TABLE IF NOT EXISTS %s (job INTEGER NOT NULL, %sstep INTEGER NOT NULL,",
                  table->name, table->layered ? "layer INTEGER NOT NULL, " : "");
    buffer_format(&sql, " revision INTEGER NOT NULL, recorded INTEGER NOT NULL");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(&sql, ", %s", table->stats[i].name);
    buffer_format(&sql, ", PRIMARY KEY (job, %sstep)) WITHOUT ROWID;", layer);
    buffer_format(&sql, "CREATE INDEX IF NOT EXISTS %s_by_revision ON %s (job, revision, %sstep)",
                  table->name, table->name, layer);
    enum nabla_code code = buffer_status(&sql, "a statement", err);
    if (code == NABLA_OK)
        code = database_run(db, sql.data, err);
    buffer_free(&sql);
    return code;
}

// The names of the table's statistics in their order, whether the program knows them or not.
struct columns {
    char *names[COLUMNS_MOST];
    size_t count;
};

static void columns_free(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        free(columns->names[i]);
    columns->count = 0;
}

static enum nabla_code columns_add(struct columns *columns, const char *name, struct nabla_error *err)
{
    if (columns->count == COLUMNS_MOST)
        return nabla_fail(err, NABLA_INTERNAL, NULL, "a wide table has more than %d columns", COLUMNS_MOST);
    char *copy = name ? strdup(name) : NULL;
    if (!copy)
        return nabla_fail_memory(err, "a column's name");
    columns->names[columns->count++] = copy;
    return NABLA_OK;
}

static int columns_find(const struct columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++)
        if (strcmp(columns->names[i], name) == 0)
            return (int)i;
    return -1;
}

static enum nabla_code columns_read(struct database *db, const struct wide_table *table, struct columns *ret,
                                    struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code =
        database_prepare(db, "SELECT name FROM pragma_table_info(?) WHERE cid >= ? ORDER BY cid", &rows, err);
    if (code)
        return code;
    statement_bind_text(rows, table->name);
    statement_bind_int(rows, table->layered ? 5 : 4); // behind job, layer, step, revision, recorded
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        code = columns_add(ret, statement_text(rows, 0), err);
        if (code)
            break;
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code add_column(struct database *db, const struct wide_table *table, const char *name,
                                  struct columns *columns, struct nabla_error *err)
{
    char sql[160];
    snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s", table->name, name);
    enum nabla_code code = database_run(db, sql, err);
    return code ? code : columns_add(columns, name, err);
}

// Every column of the file, so that an older program does not narrow the view of a newer one.
static enum nabla_code create_view(struct database *db, const struct wide_table *table,
                                   const struct columns *columns, struct nabla_error *err)
{
    struct buffer sql = buffer_new(TEXT_LIMIT);
    buffer_format(&sql, "DROP VIEW IF EXISTS %s; CREATE VIEW %s AS SELECT jobs.id AS job, ", table->view,
                  table->view);
    buffer_format(&sql, "%s", table->layered ? "layers.name AS layer, r.layer AS layer_index, " : "");
    buffer_format(&sql, "r.step AS step");
    for (size_t i = 0; i < columns->count; i++)
        buffer_format(&sql, ", r.%s AS %s", columns->names[i], columns->names[i]);
    buffer_format(&sql, " FROM %s AS r JOIN jobs ON jobs.number = r.job", table->name);
    if (table->layered)
        buffer_text(&sql, " JOIN layers ON layers.job = r.job AND layers.layer = r.layer");
    enum nabla_code code = buffer_status(&sql, "a statement", err);
    if (code == NABLA_OK)
        code = database_run(db, sql.data, err);
    buffer_free(&sql);
    return code;
}

static enum nabla_code has_view(struct database *db, const struct wide_table *table, bool *ret,
                                struct nabla_error *err)
{
    char sql[128];
    int64_t count;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = '%s'",
             table->view);
    enum nabla_code code = database_number(db, sql, &count, err);
    if (code == NABLA_OK)
        *ret = count > 0;
    return code;
}

static enum nabla_code match_columns(struct database *db, struct wide *wide, struct nabla_error *err)
{
    struct columns columns = {.count = 0};
    const struct wide_table *table = wide->table;
    bool viewed = false;
    enum nabla_code code = columns_read(db, table, &columns, err);
    if (code == NABLA_OK)
        code = has_view(db, table, &viewed, err);
    for (size_t i = 0; i < table->count && code == NABLA_OK; i++) {
        int at = columns_find(&columns, table->stats[i].name);
        if (at < 0) {
            at = (int)columns.count;
            viewed = false;
            code = add_column(db, table, table->stats[i].name, &columns, err);
        }
        wide->bits[i] = (unsigned)at;
    }
    if (code == NABLA_OK && !viewed)
        code = create_view(db, table, &columns, err);
    columns_free(&columns);
    return code;
}

// Writing a key again replaces what the new row records and keeps the rest: a client may post a step's loss
// and its accuracy one after the other.
static char *make_upsert(const struct wide *wide)
{
    const struct wide_table *table = wide->table;
    struct buffer sql = buffer_new(TEXT_LIMIT);
    const char *layer = table->layered ? "layer, " : "";
    buffer_format(&sql, "INSERT INTO %s (job, %sstep, revision, recorded", table->name, layer);
    for (size_t i = 0; i < table->count; i++)
        buffer_format(&sql, ", %s", table->stats[i].name);
    buffer_format(&sql, ") VALUES (?, %s?, ?, ?", table->layered ? "?, " : "");
    for (size_t i = 0; i < table->count; i++)
        buffer_text(&sql, ", ?");
    buffer_text(&sql, ") ON CONFLICT DO UPDATE SET revision = excluded.revision,"
                      " recorded = recorded | excluded.recorded");
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->stats[i].name;
        buffer_format(&sql, ", %s = iif(excluded.recorded & %lld, excluded.%s, %s)", name,
                      1LL << wide->bits[i], name, name);
    }
    return buffer_steal(&sql, NULL);
}

static void select_columns(struct buffer *sql, const struct wide_table *table)
{
    buffer_format(sql, "SELECT r.revision, %s, r.step, r.recorded", table->layered ? "r.layer" : "0");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(sql, ", r.%s", table->stats[i].name);
}

// One layer, from `since` on by the key: the cost follows the rows that are read, not those before.
static char *make_by_step(const struct wide_table *table)
{
    struct buffer sql = buffer_new(TEXT_LIMIT);
    select_columns(&sql, table);
    buffer_format(&sql,
                  " FROM %s AS r WHERE r.job = ?1 AND %s = ?2 AND r.step BETWEEN ?3 AND ?4"
                  " ORDER BY r.step LIMIT ?5",
                  table->name, table->layered ? "r.layer" : "0");
    return buffer_steal(&sql, NULL);
}

// The plus signs keep the filters from choosing the key over the index by revision.
static char *make_after(const struct wide_table *table)
{
    struct buffer sql = buffer_new(TEXT_LIMIT);
    select_columns(&sql, table);
    buffer_format(&sql,
                  " FROM %s AS r WHERE r.job = ?1 AND %s BETWEEN ?2 AND ?3 AND +r.step BETWEEN ?4 AND ?5",
                  table->name, table->layered ? "+r.layer" : "0");
    if (table->layered)
        buffer_text(&sql, " AND (r.revision, r.layer, r.step) > (?7, ?8, ?9)"
                          " ORDER BY r.revision, r.layer, r.step LIMIT ?6");
    else // whose only layer is 0: a cursor that names a later one has seen the whole revision
        buffer_text(&sql, " AND (r.revision, r.step) > (?7, iif(?8 = 0, ?9, 9223372036854775807))"
                          " ORDER BY r.revision, r.step LIMIT ?6");
    return buffer_steal(&sql, NULL);
}

enum nabla_code wide_open(struct database *db, const struct wide_table *table, struct wide *ret,
                          struct nabla_error *err)
{
    struct wide wide = {.table = table};
    enum nabla_code code = create_table(db, table, err);
    if (code == NABLA_OK)
        code = match_columns(db, &wide, err);
    if (code)
        return code;
    wide.upsert = make_upsert(&wide);
    wide.by_step = make_by_step(table);
    wide.after = make_after(table);
    if (!wide.upsert || !wide.by_step || !wide.after) {
        wide_free(&wide);
        return nabla_fail_memory(err, "the statements of a history");
    }
    *ret = wide;
    return NABLA_OK;
}

void wide_free(struct wide *wide)
{
    free(wide->upsert);
    free(wide->by_step);
    free(wide->after);
    wide->upsert = wide->by_step = wide->after = NULL;
}

int64_t wide_mask_in(const struct wide *wide, uint32_t mask)
{
    int64_t ret = 0;
    for (size_t i = 0; i < wide->table->count; i++)
        if (mask >> i & 1)
            ret |= INT64_C(1) << wide->bits[i];
    return ret;
}

uint32_t wide_mask_out(const struct wide *wide, int64_t mask)
{
    uint32_t ret = 0;
    for (size_t i = 0; i < wide->table->count; i++)
        if (mask >> wide->bits[i] & 1)
            ret |= UINT32_C(1) << i;
    return ret;
}
