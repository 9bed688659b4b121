#include "store/wide_text.h"

#include "base/buffer.h"

#include <stdio.h>

const char *const wide_fold_parts[WIDE_FOLD_PARTS] = {"_min", "_max", "_nonfinite"};

// Writing a key again replaces what the new row records and keeps the rest: a client may post a step's loss
// and its accuracy one after the other.
static void write_upsert(const struct wide *wide, struct buffer *ret)
{
    const struct wide_table *table = wide->table;
    buffer_format(ret, "INSERT INTO %s (job, %sstep, revision, recorded", table->name,
                  table->layered ? "layer, " : "");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(ret, ", %s", table->stats[i].name);
    buffer_format(ret, ") VALUES (?1, %s?3, ?4, ?5", table->layered ? "?2, " : "");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(ret, ", ?%zu", i + 6);
    buffer_text(ret, ") ON CONFLICT DO UPDATE SET revision = excluded.revision,"
                     " recorded = recorded | excluded.recorded");
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->stats[i].name;
        buffer_format(ret, ", %s = iif(excluded.recorded & %lld, excluded.%s, %s)", name,
                      1LL << wide->bits[i], name, name);
    }
}

// One layer, from `first` on by the key: the cost follows the rows that are read, not those before.
static void write_select(const struct wide *wide, const char *order, struct buffer *ret)
{
    const struct wide_table *table = wide->table;
    buffer_text(ret, "SELECT revision, step, recorded");
    for (size_t i = 0; i < table->count; i++)
        buffer_format(ret, ", %s", table->stats[i].name);
    buffer_format(ret,
                  " FROM %s WHERE job = ?1 AND %s = ?2 AND step BETWEEN ?3 AND ?4"
                  " AND (?6 = 0 OR revision = ?6) ORDER BY step %s LIMIT ?5",
                  table->name, table->layered ? "layer" : "?2", order);
}

static void write_by_step(const struct wide *wide, struct buffer *ret)
{
    write_select(wide, "ASC", ret);
}

static void write_newest(const struct wide *wide, struct buffer *ret)
{
    write_select(wide, "DESC", ret);
}

// Calls for each column of a fold, with the bit of its statistic.
static void each_part(const struct wide *wide, const char *format, struct buffer *ret)
{
    for (size_t i = 0; i < wide->table->count; i++)
        for (size_t part = 0; part < WIDE_FOLD_PARTS; part++) {
            char name[96];
            snprintf(name, sizeof name, "%s%s", wide->table->stats[i].name, wide_fold_parts[part]);
            for (const char *at = format; *at; at++)
                if (*at == '$')
                    buffer_text(ret, name);
                else if (*at == '#')
                    buffer_format(ret, "%lld", 1LL << wide->bits[i]);
                else
                    buffer_char(ret, *at);
        }
}

static void write_fold(const struct wide *wide, struct buffer *ret)
{
    buffer_format(ret, "INSERT INTO %s (job, layer, step, steps", wide->table->folds);
    each_part(wide, ", $", ret);
    buffer_text(ret, ") VALUES (?1, ?2, ?3, ?5");
    for (size_t i = 0; i < wide->table->count * WIDE_FOLD_PARTS; i++)
        buffer_format(ret, ", ?%zu", i + 6);
    // Columns that stay may be of more steps: a count that is too high hides none of their non-finite values.
    buffer_text(ret, ") ON CONFLICT DO UPDATE SET steps = iif(0");
    each_part(wide, " OR (NOT ?4 & # AND $ IS NOT NULL)", ret);
    buffer_text(ret, ", max(steps, excluded.steps), excluded.steps)");
    each_part(wide, ", $ = iif(?4 & #, excluded.$, $)", ret);
}

static void write_fold_clear(const struct wide *wide, struct buffer *ret)
{
    buffer_format(ret, "UPDATE %s SET steps = steps", wide->table->folds);
    each_part(wide, ", $ = iif(?4 & #, NULL, $)", ret);
    buffer_text(ret, " WHERE job = ?1 AND layer = ?2 AND step = ?3");
}

// Once none of its columns is of several steps.
static void write_fold_drop(const struct wide *wide, struct buffer *ret)
{
    buffer_format(ret, "DELETE FROM %s WHERE job = ?1 AND layer = ?2 AND step = ?3", wide->table->folds);
    each_part(wide, " AND $ IS NULL", ret);
}

static void write_fold_read(const struct wide *wide, struct buffer *ret)
{
    buffer_text(ret, "SELECT steps");
    each_part(wide, ", $", ret);
    buffer_format(ret, " FROM %s WHERE job = ?1 AND layer = ?2 AND step = ?3", wide->table->folds);
}

static void write_folded(const struct wide *wide, struct buffer *ret)
{
    buffer_format(ret, "SELECT 1 FROM %s WHERE job = ?1 AND ?2 = ?2 LIMIT 1", wide->table->folds);
}

bool wide_write_texts(struct wide *wide)
{
    static void (*const writers[WIDE_TEXT_COUNT])(const struct wide *, struct buffer *) = {
        [WIDE_UPSERT] = write_upsert,         [WIDE_BY_STEP] = write_by_step,
        [WIDE_NEWEST] = write_newest,         [WIDE_FOLD] = write_fold,
        [WIDE_FOLD_CLEAR] = write_fold_clear, [WIDE_FOLD_READ] = write_fold_read,
        [WIDE_FOLD_DROP] = write_fold_drop,   [WIDE_FOLDED] = write_folded};
    for (size_t i = 0; i < WIDE_TEXT_COUNT; i++) {
        struct buffer text = buffer_new(WIDE_TEXT_LIMIT);
        writers[i](wide, &text);
        wide->texts[i] = buffer_steal(&text, NULL);
        buffer_free(&text);
        if (!wide->texts[i])
            return false;
    }
    return true;
}
