#include "data/csv_cursor.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct csv_cursor csv_cursor_open(const char *text, size_t size)
{
    const char *end = text + size;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    return (struct csv_cursor){.at = text, .end = end};
}

bool csv_cursor_at_end(const struct csv_cursor *cursor)
{
    return cursor->at == cursor->end && cursor->column == 0;
}

// Behind the line that starts at `at`. A quote opens at the start of a cell, and again right behind a closing
// one: a doubled quote. Any other is left to be refused when its cell is read.
static const char *pass_line(const char *at, const char *end, size_t *ret_cells)
{
    bool may_open = true, quoted = false;
    size_t cells = 1;
    for (; at < end && (quoted || *at != '\n'); at++) {
        if (*at == '"' && (quoted || may_open)) {
            quoted = !quoted;
            may_open = true;
        } else if (!quoted) {
            may_open = *at == ',';
            cells += *at == ',';
        }
    }
    *ret_cells = cells;
    return at < end ? at + 1 : end;
}

enum nabla_code csv_cursor_measure(struct csv_cursor cursor, size_t *ret_rows, size_t *ret_columns,
                                   struct nabla_error *err)
{
    size_t columns, cells, rows = 0;
    const char *at = pass_line(cursor.at, cursor.end, &columns);
    for (; at < cursor.end; rows++) {
        at = pass_line(at, cursor.end, &cells);
        if (cells != columns)
            return nabla_fail(err, NABLA_MALFORMED, NULL, "row %zu: found %zu cells, the header has %zu",
                              rows + 1, cells, columns);
    }
    *ret_rows = rows;
    *ret_columns = columns;
    return NABLA_OK;
}

static enum nabla_code malformed(const struct csv_cursor *cursor, struct nabla_error *err, const char *what)
{
    if (cursor->row == 0)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "header, column %zu: %s", cursor->column + 1, what);
    return nabla_fail(err, NABLA_MALFORMED, NULL, "row %zu, column %zu: %s", cursor->row, cursor->column + 1,
                      what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static enum nabla_code read_plain(struct csv_cursor *cursor, struct csv_cell *ret, struct nabla_error *err)
{
    const char *at = cursor->at;
    while (at < cursor->end && *at != ',' && *at != '\n' && *at != '"')
        at++;
    if (at < cursor->end && *at == '"')
        return malformed(cursor, err, "a quote stands within a cell that does not start with one");
    const char *from = cursor->at, *to = at;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    *ret = (struct csv_cell){.text = from, .size = (size_t)(to - from)};
    cursor->at = at;
    return NABLA_OK;
}

// At the opening quote.
static enum nabla_code read_quoted(struct csv_cursor *cursor, struct csv_cell *ret, struct nabla_error *err)
{
    const char *from = cursor->at + 1, *at = from, *end = cursor->end;
    bool doubled = false;
    while (at < end && (*at != '"' || (at + 1 < end && at[1] == '"'))) {
        doubled |= *at == '"';
        at += *at == '"' ? 2 : 1;
    }
    if (at == end)
        return malformed(cursor, err, "the quote is never closed");
    *ret = (struct csv_cell){.text = from, .size = (size_t)(at - from), .doubled = doubled};
    at++;
    if (at < end && *at == '\r' && (at + 1 == end || at[1] == '\n'))
        at++;
    if (at < end && *at != ',' && *at != '\n')
        return malformed(cursor, err, "something follows the closing quote");
    cursor->at = at;
    return NABLA_OK;
}

enum nabla_code csv_cursor_next(struct csv_cursor *cursor, struct csv_cell *ret, struct nabla_error *err)
{
    bool quoted = cursor->at < cursor->end && *cursor->at == '"';
    enum nabla_code code = quoted ? read_quoted(cursor, ret, err) : read_plain(cursor, ret, err);
    if (code)
        return code;
    bool line_ends = cursor->at == cursor->end || *cursor->at == '\n';
    if (cursor->at < cursor->end)
        cursor->at++;
    cursor->row += line_ends;
    cursor->column = line_ends ? 0 : cursor->column + 1;
    return NABLA_OK;
}

char *csv_cell_copy(const struct csv_cell *cell)
{
    char *copy = malloc(cell->size + 1);
    if (!copy)
        return NULL;
    char *to = copy;
    for (size_t i = 0; i < cell->size; i++) {
        *to++ = cell->text[i];
        if (cell->doubled && cell->text[i] == '"')
            i++;
    }
    *to = '\0';
    return copy;
}

bool csv_cell_is_name(const struct csv_cell *cell, const char **ret_why)
{
    *ret_why = NULL;
    if (cell->size == 0)
        *ret_why = "the cell is empty";
    else if (!utf8_valid(cell->text, cell->size))
        *ret_why = "the text is not UTF-8";
    else if (memchr(cell->text, '\0', cell->size))
        *ret_why = "the text holds a NUL character";
    return *ret_why == NULL;
}
