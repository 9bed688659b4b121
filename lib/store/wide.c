#include "store/wide.h"

#include "base/buffer.h"
#include "store/wide_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = WIDE_FOLDED_BIT };

const struct wide_table wide_metrics = {.name = "metric_rows",
                                        .view = "metrics",
                                        .folds = "metric_folds",
                                        .stats = network_stats,
                                        .count = NETWORK_STAT_COUNT};
const struct wide_table wide_gradients = {.name = "gradient_rows",
                                          .view = "gradients",
                                          .folds = "gradient_folds",
                                          .layered = true,
                                          .stats = layer_stats,
                                          .count = LAYER_STAT_COUNT};
_Static_assert((int)NETWORK_STAT_COUNT <= (int)WIDE_STATS && (int)LAYER_STAT_COUNT <= (int)WIDE_STATS,
               "every statistic has its place");

static enum nabla_code create_table(struct database *db, const struct wide_table *table,
                                    struct nabla_error *err)
{
    struct buffer sql = buffer_new(WIDE_TEXT_LIMIT);
    const char *layer = table->layered ? "layer, " : "";
    buffer_format(&sql, "CREATE TABLE IF NOT EXISTS %s (job INTEGER NOT NULL, %sstep INTEGER NOT NULL,",
                  table->name, table->layered ? "layer INTEGER NOT NULL, " : "");
    buffer_format(&sql, " revision INTEGER NOT NULL, recorded INTEGER NOT NULL");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(&sql, ", %s", table->stats[i].name);
    buffer_format(&sql, ", PRIMARY KEY (job, %sstep)) WITHOUT ROWID;", layer);
    buffer_format(&sql,
                  "CREATE TABLE IF NOT EXISTS %s (job INTEGER NOT NULL, layer INTEGER NOT NULL,"
                  " step INTEGER NOT NULL, steps INTEGER NOT NULL",
                  table->folds);
    for (size_t i = 0; i < table->count; i++)
        for (size_t part = 0; part < WIDE_FOLD_PARTS; part++)
            buffer_format(&sql, ", %s%s", table->stats[i].name, wide_fold_parts[part]);
    buffer_text(&sql, ", PRIMARY KEY (job, layer, step)) WITHOUT ROWID;");
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

// In the table of folds too, unless that has just been made.
static enum nabla_code add_fold_columns(struct database *db, const struct wide_table *table, const char *name,
                                        struct nabla_error *err)
{
    char sql[192];
    int64_t there;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%s%s'",
             table->folds, name, wide_fold_parts[0]);
    enum nabla_code code = database_number(db, sql, &there, err);
    for (size_t part = 0; part < WIDE_FOLD_PARTS && !there && code == NABLA_OK; part++) {
        snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s%s", table->folds, name,
                 wide_fold_parts[part]);
        code = database_run(db, sql, err);
    }
    return code;
}

static enum nabla_code add_column(struct database *db, const struct wide_table *table, const char *name,
                                  struct columns *columns, struct nabla_error *err)
{
    char sql[160];
    snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s", table->name, name);
    enum nabla_code code = database_run(db, sql, err);
    if (code == NABLA_OK)
        code = add_fold_columns(db, table, name, err);
    return code ? code : columns_add(columns, name, err);
}

// Every column of the file, so that an older program does not narrow the view of a newer one.
static enum nabla_code create_view(struct database *db, const struct wide_table *table,
                                   const struct columns *columns, struct nabla_error *err)
{
    struct buffer sql = buffer_new(WIDE_TEXT_LIMIT);
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

// Files from before `writes` had an index by revision instead: what that knew is kept as runs, and rollups
// are to be built.
static enum nabla_code replace_index(struct database *db, const struct wide_table *table,
                                     struct nabla_error *err)
{
    struct buffer sql = buffer_new(WIDE_TEXT_LIMIT);
    const char *series = table->layered ? "layer + 1" : "0";
    int64_t there;
    buffer_format(&sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s_by_revision'", table->name);
    enum nabla_code code = buffer_status(&sql, "a statement", err);
    if (code == NABLA_OK)
        code = database_number(db, sql.data, &there, err);
    sql.size = 0;
    if (code == NABLA_OK && there) {
        buffer_format(&sql,
                      "INSERT INTO writes SELECT job, revision, %s, min(step), max(step) FROM %s"
                      " GROUP BY 1, 2, 3; DROP INDEX %s_by_revision;",
                      series, table->name, table->name);
        for (unsigned level = 1; level <= WIDE_ROLLUP_LEVELS; level++)
            buffer_format(&sql, "INSERT INTO rollups SELECT DISTINCT job, %s, %u, step >> %u, NULL FROM %s;",
                          series, level, level * WIDE_ROLLUP_SHIFT, table->name);
        code = buffer_status(&sql, "a statement", err);
        if (code == NABLA_OK)
            code = database_run(db, sql.data, err);
    }
    buffer_free(&sql);
    return code;
}

enum nabla_code wide_open(struct database *db, const struct wide_table *table, struct wide *ret,
                          struct nabla_error *err)
{
    struct wide wide = {.table = table};
    enum nabla_code code = create_table(db, table, err);
    if (code == NABLA_OK)
        code = match_columns(db, &wide, err);
    if (code == NABLA_OK)
        code = replace_index(db, table, err);
    if (code)
        return code;
    if (!wide_write_texts(&wide)) {
        wide_free(&wide);
        return nabla_fail_memory(err, "the statements of a history");
    }
    *ret = wide;
    return NABLA_OK;
}

void wide_free(struct wide *wide)
{
    for (size_t i = 0; i < WIDE_TEXT_COUNT; i++) {
        free(wide->texts[i]);
        wide->texts[i] = NULL;
    }
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
