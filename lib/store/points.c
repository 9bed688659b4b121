// A virtual table of SQLite (https://sqlite.org/vtab.html) without state: a cursor walks over the points that
// its hidden column is bound to.
#include "store/points.h"

#include <sqlite3.h>

const char points_pointer[] = "nabla-points";

enum column { COLUMN_STEP, COLUMN_VALUE, COLUMN_POINTS };

struct cursor {
    sqlite3_vtab_cursor base; // first: SQLite knows no more of it
    const struct points *points;
    size_t at;
};

static struct cursor *cursor_of(sqlite3_vtab_cursor *base)
{
    return (struct cursor *)(void *)base;
}

static int connect(sqlite3 *handle, void *context, int count, const char *const *words, sqlite3_vtab **ret,
                   char **ret_error)
{
    (void)context, (void)count, (void)words, (void)ret_error;
    int status = sqlite3_declare_vtab(handle, "CREATE TABLE points (step, value, points HIDDEN)");
    if (status != SQLITE_OK)
        return status;
    *ret = sqlite3_malloc(sizeof **ret);
    if (!*ret)
        return SQLITE_NOMEM;
    **ret = (sqlite3_vtab){.pModule = NULL};
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

// The only plan: the hidden column is given.
static int plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == COLUMN_POINTS &&
            info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            return SQLITE_OK;
        }
    return SQLITE_CONSTRAINT;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    (void)table;
    struct cursor *cursor = sqlite3_malloc(sizeof *cursor);
    if (!cursor)
        return SQLITE_NOMEM;
    *cursor = (struct cursor){.points = NULL};
    *ret = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    sqlite3_free(base);
    return SQLITE_OK;
}

static int rewind_cursor(sqlite3_vtab_cursor *base, int plan_number, const char *plan_text, int count,
                         sqlite3_value **values)
{
    (void)plan_number, (void)plan_text;
    struct cursor *cursor = cursor_of(base);
    cursor->points = count > 0 ? sqlite3_value_pointer(values[0], points_pointer) : NULL;
    cursor->at = 0;
    return SQLITE_OK;
}

static int advance(sqlite3_vtab_cursor *base)
{
    cursor_of(base)->at++;
    return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
    const struct cursor *cursor = cursor_of(base);
    return !cursor->points || cursor->at >= cursor->points->count;
}

static int tell_column(sqlite3_vtab_cursor *base, sqlite3_context *ret, int column)
{
    const struct cursor *cursor = cursor_of(base);
    if (column == COLUMN_STEP)
        sqlite3_result_int64(ret, (sqlite3_int64)cursor->points->steps[cursor->at]);
    else if (column == COLUMN_VALUE)
        sqlite3_result_double(ret, cursor->points->values[cursor->at]);
    return SQLITE_OK;
}

static int tell_row(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)cursor_of(base)->at;
    return SQLITE_OK;
}

int points_open(struct sqlite3 *handle)
{
    static const sqlite3_module module = {.xConnect = connect, // without xCreate: there without being made
                                          .xDisconnect = disconnect,
                                          .xBestIndex = plan,
                                          .xOpen = open_cursor,
                                          .xClose = close_cursor,
                                          .xFilter = rewind_cursor,
                                          .xNext = advance,
                                          .xEof = is_at_end,
                                          .xColumn = tell_column,
                                          .xRowid = tell_row};
    return sqlite3_create_module(handle, "points", &module, NULL);
}
