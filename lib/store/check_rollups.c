#include "store/check_parts.h"
#include "store/rollup_data.h"
#include "store/series.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// The rows of a series; columns stand as the table has them.
struct source {
    const char *table, *place; // the column of a layer or metric; NULL for none
    char columns[WIDE_STATS][64];
    struct wide wide; // whose i-th statistic is the i-th column
    struct wide_table shape;
};

static enum nabla_code read_columns(struct check *check, struct source *source, struct nabla_error *err)
{
    char sql[160];
    struct statement *rows;
    snprintf(sql, sizeof sql,
             "SELECT name FROM pragma_table_info('%s') WHERE name NOT IN ('job', 'layer', 'metric', 'step',"
             " 'revision', 'recorded')",
             source->table);
    enum nabla_code code = database_prepare(check->db, sql, &rows, err);
    if (code)
        return code;
    size_t count = 0;
    while (count < WIDE_STATS && (code = statement_row(rows, err)) == NABLA_OK) {
        const char *name = statement_text(rows, 0);
        snprintf(source->columns[count], sizeof source->columns[count], "%s", name ? name : "");
        source->wide.bits[count] = (unsigned)count;
        count++;
    }
    statement_free(rows);
    source->shape.count = count;
    source->wide.table = &source->shape;
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// What rows hold of one column: values, others, least, greatest, sum. The bit of a metric that a client named
// is always set.
static enum nabla_code add_up(struct check *check, const struct source *source, size_t column,
                              const int64_t key[4], double ret[6], struct nabla_error *err)
{
    char sql[700], place[48] = "", recorded[40] = "1";
    struct statement *row;
    const unsigned shift = (unsigned)key[2] * ROLLUP_SHIFT;
    if (source->place)
        snprintf(place, sizeof place, " AND %s = %" PRId64, source->place, (int64_t)series_place(key[1]));
    if (strcmp(source->table, "custom_rows") != 0)
        snprintf(recorded, sizeof recorded, "(recorded >> %zu & 1)", column);
    snprintf(
        sql, sizeof sql,
        "SELECT total(n), total(NOT n), min(v) FILTER (WHERE n), max(v) FILTER (WHERE n),"
        " total(v) FILTER (WHERE n), (SELECT count(*) FROM %s WHERE job = ?1%s AND step BETWEEN ?2 AND ?3)"
        " FROM (SELECT %s AS v, ifnull(abs(%s) <= 1.7976931348623157e308, 0) AS n FROM %s"
        " WHERE job = ?1%s AND step BETWEEN ?2 AND ?3 AND %s)",
        source->table, place, source->columns[column], source->columns[column], source->table, place,
        recorded);
    enum nabla_code code = database_prepare(check->db, sql, &row, err);
    if (code)
        return code;
    statement_bind_int(row, key[0]);
    statement_bind_int(row, key[3] << shift);
    statement_bind_int(row, (key[3] << shift) + (INT64_C(1) << shift) - 1);
    code = statement_row(row, err);
    for (int i = 0; code == NABLA_OK && i < 6; i++)
        ret[i] = statement_double(row, i);
    statement_free(row);
    return code;
}

static bool is_near(double left, double right, double scale)
{
    return fabs(left - right) <= 1e-9 * scale;
}

static bool agrees(const struct aggregate *column, const double rows[6])
{
    if ((double)column->count != rows[0] || (double)column->nonfinite != rows[1])
        return false;
    if (column->count == 0)
        return true;
    const double scale = fmax(fabs(column->min), fabs(column->max));
    return column->min == rows[2] && column->max == rows[3] &&
           (!isfinite(rows[4]) || is_near(aggregate_mean(column), rows[4] / rows[0], scale));
}

// Of rows that stand for several steps only their number is held against.
static enum nabla_code check_bucket(struct check *check, const struct source *source, const int64_t key[4],
                                    const struct rollup *rollup, struct nabla_error *err)
{
    const bool is_folded = rollup->steps != rollup->rows;
    bool is_right = true;
    for (size_t i = 0; is_right && i < (is_folded ? 1 : source->shape.count); i++) {
        double rows[6];
        enum nabla_code code = add_up(check, source, i, key, rows, err);
        if (code)
            return code;
        is_right = (double)rollup->rows == rows[5] && (is_folded || agrees(&rollup->columns[i], rows));
    }
    if (!is_right)
        check_fault(check,
                    "rollups: that of job %" PRId64 ", series %" PRId64 ", level %" PRId64 ", bucket %" PRId64
                    " is not what its rows are",
                    key[0], key[1], key[2], key[3]);
    return NABLA_OK;
}

static enum nabla_code check_row(struct check *check, struct source sources[3], struct statement *row,
                                 struct nabla_error *err)
{
    struct rollup rollup = {.rows = 0};
    int64_t key[4];
    size_t size;
    for (int i = 0; i < 4; i++)
        key[i] = statement_int(row, i);
    const void *bytes = statement_bytes(row, 4, &size);
    const struct source *source = &sources[series_is_named(key[1]) ? 2 : series_is_layer(key[1]) ? 1 : 0];
    if (!bytes || key[2] < 1 || key[2] > ROLLUP_LEVELS ||
        !rollup_decode(bytes, size, &source->wide, UINT32_MAX, &rollup)) {
        check_fault(check, "rollups: that of job %" PRId64 ", series %" PRId64 " is damaged", key[0], key[1]);
        return NABLA_OK;
    }
    return check_bucket(check, source, key, &rollup, err);
}

static enum nabla_code check_level(struct check *check, struct source sources[3], unsigned level,
                                   int64_t most, struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code =
        database_prepare(check->db,
                         "SELECT job, series, level, bucket, data FROM rollups"
                         " WHERE (job, series, level, bucket) IN (SELECT job, series, level,"
                         " bucket FROM rollups WHERE level = ?1 AND data IS NOT NULL"
                         " AND job NOT IN (SELECT job FROM doomed)"
                         " ORDER BY CASE WHEN ?2 < 0 THEN 0 ELSE random() END LIMIT ?2)",
                         &rows, err);
    if (code)
        return code;
    statement_bind_int(rows, level);
    statement_bind_int(rows, most);
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        code = check_row(check, sources, rows, err);
        if (code)
            break;
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code check_rollups(struct check *check, struct nabla_error *err)
{
    static const int64_t sample[ROLLUP_LEVELS] = {1000, 100, 4, 1};
    struct source sources[3] = {{.table = "metric_rows"},
                                {.table = "gradient_rows", .place = "layer"},
                                {.table = "custom_rows", .place = "metric"}};
    enum nabla_code code = database_run(check->db, "BEGIN", err); // one state of rollups and rows
    for (size_t i = 0; i < 3 && code == NABLA_OK; i++)
        code = read_columns(check, &sources[i], err);
    for (unsigned level = 1; level <= ROLLUP_LEVELS && code == NABLA_OK; level++)
        code = check_level(check, sources, level, check->all ? -1 : sample[level - 1], err);
    database_rollback(check->db);
    return code;
}
