// One walk over the text: objects on the way to a bulk field are copied key by key, bulk fields become
// doubles and leave "null" behind, every other value is copied as it stands. What is left is small, and
// jansson makes a tree of it (document.c).
#include "api/bulk.h"

#include "base/json.h"
#include "base/number.h"
#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct json_reader reader;
    struct buffer *rest; // the document without its bulk
    struct bulk *bulks;
    size_t bulk_count;
    bool has_lifted, has_kept; // fields of the one and of the other kind
    struct nabla_error *err;
};

// The pointer of the value at hand, cut off silently where it does not fit: no bulk field is that deep.
enum { POINTER_SIZE = 128 };

// ---- bulk values ----

struct growing {
    double *values;
    size_t count, capacity;
};

static bool grow(struct growing *list)
{
    size_t capacity = list->capacity ? list->capacity : 64, bytes;
    if (list->capacity && !size_mul(capacity, 2, &capacity))
        return false;
    if (!size_mul(capacity, sizeof(double), &bytes))
        return false;
    double *values = realloc(list->values, bytes);
    if (!values)
        return false;
    list->values = values;
    list->capacity = capacity;
    return true;
}

static enum nabla_code push(struct walk *walk, struct growing *list, double value)
{
    if (list->count == list->capacity && !grow(list))
        return nabla_fail_memory(walk->err, "the numbers of the request");
    list->values[list->count++] = value;
    return NABLA_OK;
}

// Puts the place in front of what the reader said about one element. Unreadable text keeps its line.
static enum nabla_code element_failed(struct walk *walk, enum nabla_code code, const struct bulk *bulk,
                                      size_t row, size_t column, bool in_row)
{
    char text[sizeof walk->err->text];
    if (code != NABLA_INVALID)
        return code;
    memcpy(text, walk->err->text, sizeof text);
    if (!in_row) {
        nabla_fail(walk->err, code, NULL, "entry %zu: %s", column, text);
        snprintf(walk->err->pointer, sizeof walk->err->pointer, "%s/%zu", bulk->pointer, column);
    } else {
        nabla_fail(walk->err, code, NULL, "row %zu, entry %zu: %s", row, column, text);
        snprintf(walk->err->pointer, sizeof walk->err->pointer, "%s/%zu/%zu", bulk->pointer, row, column);
    }
    return code;
}

// A lone token as a number: a JSON number or one of the three words.
static enum nabla_code token_number(struct walk *walk, enum json_token token, double *ret)
{
    const struct json_reader *reader = &walk->reader;
    bool overflow = false;
    if (token == JSON_STRING && reader->string.data &&
        number_read_word(reader->string.data, reader->string.data + reader->string.size, ret))
        return NABLA_OK;
    if (token == JSON_NULL && reader->nulls) {
        *ret = NAN;
        return NABLA_OK;
    }
    if (token != JSON_NUMBER)
        return nabla_fail(walk->err, NABLA_INVALID, NULL,
                          "expected a number, or one of \"NaN\", \"Infinity\", \"-Infinity\"");
    number_read_double(reader->token, reader->at, ret, &overflow);
    if (overflow)
        return nabla_fail(walk->err, NABLA_INVALID, NULL, "the number is too large for a double");
    return NABLA_OK;
}

// The rest of an open array of numbers; *ret_count counts what stands before it already, too.
static enum nabla_code read_entries(struct walk *walk, const struct bulk *bulk, size_t row, bool in_row,
                                    struct growing *list, size_t *ret_count)
{
    for (bool end = false; !end;) {
        size_t count;
        if (list->count == list->capacity && !grow(list))
            return nabla_fail_memory(walk->err, "the numbers of the request");
        enum nabla_code code = json_next_doubles(&walk->reader, list->values + list->count,
                                                 list->capacity - list->count, &count, &end, walk->err);
        list->count += count;
        *ret_count += count;
        if (code)
            return element_failed(walk, code, bulk, row, *ret_count, in_row);
    }
    return NABLA_OK;
}

// Puts the newest row's place into the error.
static enum nabla_code row_failed(struct walk *walk, enum nabla_code code, const struct bulk *bulk)
{
    snprintf(walk->err->pointer, sizeof walk->err->pointer, "%s/%zu", bulk->pointer, bulk->rows);
    return code;
}

// From the opening bracket of the first row on.
static enum nabla_code read_rows(struct walk *walk, struct bulk *bulk, struct growing *list)
{
    enum json_token token = JSON_ARRAY_BEGIN;
    for (; token != JSON_ARRAY_END; bulk->rows++) {
        size_t columns = 0;
        if (token != JSON_ARRAY_BEGIN)
            return row_failed(walk,
                              nabla_fail(walk->err, NABLA_INVALID, NULL,
                                         "row %zu must be a list of numbers like row 0", bulk->rows),
                              bulk);
        enum nabla_code code = read_entries(walk, bulk, bulk->rows, true, list, &columns);
        if (code)
            return code;
        if (bulk->rows == 0)
            bulk->columns = columns;
        if (columns != bulk->columns)
            return row_failed(walk,
                              nabla_fail(walk->err, NABLA_INVALID, NULL,
                                         "row %zu has %zu numbers where row 0 has %zu", bulk->rows, columns,
                                         bulk->columns),
                              bulk);
        code = json_next(&walk->reader, &token, walk->err);
        if (code)
            return code;
    }
    bulk->shape = BULK_ROWS;
    return NABLA_OK;
}

static enum nabla_code read_list(struct walk *walk, struct bulk *bulk, enum json_token first,
                                 struct growing *list)
{
    double value;
    bulk->shape = BULK_LIST;
    bulk->columns = 1;
    if (first == JSON_ARRAY_END)
        return NABLA_OK;
    enum nabla_code code = token_number(walk, first, &value);
    if (code)
        return element_failed(walk, code, bulk, 0, 0, false);
    code = push(walk, list, value);
    bulk->rows = 1;
    return code ? code : read_entries(walk, bulk, 0, false, list, &bulk->rows);
}

// ---- the walk ----

// Copies what began at `begin`, of which `open` brackets are open still.
static enum nabla_code copy_rest(struct walk *walk, const char *begin, unsigned open)
{
    while (open > 0) {
        enum json_token token;
        enum nabla_code code = json_next(&walk->reader, &token, walk->err);
        if (code)
            return code;
        if (token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN)
            open++;
        else if (token == JSON_OBJECT_END || token == JSON_ARRAY_END)
            open--;
    }
    buffer_append(walk->rest, begin, (size_t)(walk->reader.at - begin));
    walk->has_kept = true;
    return NABLA_OK;
}

// Copies the value that starts at the newest token.
static enum nabla_code copy_opened(struct walk *walk, enum json_token token)
{
    bool opens = token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN;
    return copy_rest(walk, walk->reader.token, opens ? 1 : 0);
}

static bool is_text(const struct walk *walk, enum json_token token)
{
    double value;
    const struct buffer *text = &walk->reader.string;
    return token == JSON_STRING &&
           !(text->data && number_read_word(text->data, text->data + text->size, &value));
}

static void leave_null(struct walk *walk)
{
    walk->has_lifted = true;
    buffer_text(walk->rest, "null");
}

// A list of texts is no bulk, nor one of objects where that is allowed: it stays in the document.
static enum nabla_code lift_array(struct walk *walk, struct bulk *bulk)
{
    struct growing list = {0};
    enum json_token token;
    const char *begin = walk->reader.token;
    enum nabla_code code = json_next(&walk->reader, &token, walk->err);
    if (code)
        return code;
    const bool is_records = bulk->tabular && token == JSON_OBJECT_BEGIN;
    if (is_records || is_text(walk, token)) {
        bulk->shape = BULK_OTHER;
        return copy_rest(walk, begin, is_records ? 2 : 1);
    }
    walk->reader.nulls = bulk->tabular;
    code = token == JSON_ARRAY_BEGIN ? read_rows(walk, bulk, &list) : read_list(walk, bulk, token, &list);
    walk->reader.nulls = false;
    bulk->values = list.values;
    leave_null(walk);
    return code;
}

static enum nabla_code lift_number(struct walk *walk, struct bulk *bulk, enum json_token token)
{
    struct growing one = {0};
    double value;
    enum nabla_code code = token_number(walk, token, &value);
    if (code) {
        snprintf(walk->err->pointer, sizeof walk->err->pointer, "%s", bulk->pointer);
        return code;
    }
    code = push(walk, &one, value);
    bulk->shape = BULK_SCALAR;
    bulk->rows = bulk->columns = 1;
    bulk->values = one.values;
    leave_null(walk);
    return code;
}

static enum nabla_code lift(struct walk *walk, struct bulk *bulk)
{
    enum json_token token;
    enum nabla_code code = json_next(&walk->reader, &token, walk->err);
    if (code)
        return code;
    if (token == JSON_ARRAY_BEGIN)
        return lift_array(walk, bulk);
    if (token == JSON_NUMBER || (token == JSON_STRING && !is_text(walk, token)))
        return lift_number(walk, bulk, token);
    if (token != JSON_NULL)
        bulk->shape = BULK_OTHER;
    return copy_opened(walk, token);
}

static struct bulk *bulk_at(const struct walk *walk, const char *pointer)
{
    for (size_t i = 0; i < walk->bulk_count; i++)
        if (strcmp(walk->bulks[i].pointer, pointer) == 0)
            return &walk->bulks[i];
    return NULL;
}

static bool leads_to_bulk(const struct walk *walk, const char *pointer)
{
    size_t length = strlen(pointer);
    for (size_t i = 0; i < walk->bulk_count; i++)
        if (strncmp(walk->bulks[i].pointer, pointer, length) == 0 && walk->bulks[i].pointer[length] == '/')
            return true;
    return false;
}

// The key's own text, quotes included. Escapes stay as they were written.
static void copy_key(struct walk *walk)
{
    const char *begin = walk->reader.token, *end = begin + 1;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    buffer_append(walk->rest, begin, (size_t)(end + 1 - begin));
    buffer_char(walk->rest, ':');
}

// The pointer of the field whose key is at hand.
static void field_pointer(const struct walk *walk, const char *pointer, char ret[POINTER_SIZE])
{
    const char *key = walk->reader.string.data ? walk->reader.string.data : "";
    size_t above = strlen(pointer), length = strnlen(key, POINTER_SIZE - 2 - above);
    memcpy(ret, pointer, above);
    ret[above] = '/';
    memcpy(ret + above + 1, key, length);
    ret[above + 1 + length] = '\0';
}

static enum nabla_code walk_object(struct walk *walk, const char *pointer);

static enum nabla_code walk_field(struct walk *walk, const char *pointer)
{
    enum json_token token;
    struct bulk *bulk = bulk_at(walk, pointer);
    if (bulk && (bulk->values || bulk->shape != BULK_ABSENT))
        return nabla_fail(walk->err, NABLA_MALFORMED, pointer, "the field %s is given twice", pointer);
    if (bulk)
        return lift(walk, bulk);
    enum nabla_code code = json_next(&walk->reader, &token, walk->err);
    if (code)
        return code;
    walk->has_kept = true;
    if (token == JSON_OBJECT_BEGIN && leads_to_bulk(walk, pointer))
        return walk_object(walk, pointer);
    return copy_opened(walk, token);
}

// From behind the opening brace to behind the closing one. Recursion is as deep as the bulk pointers are.
static enum nabla_code walk_object(struct walk *walk, const char *pointer)
{
    bool first = true;
    buffer_char(walk->rest, '{');
    for (;; first = false) {
        enum json_token token;
        char field[POINTER_SIZE];
        enum nabla_code code = json_next(&walk->reader, &token, walk->err);
        if (code)
            return code;
        if (token == JSON_OBJECT_END)
            break;
        if (!first)
            buffer_char(walk->rest, ',');
        copy_key(walk);
        field_pointer(walk, pointer, field);
        code = walk_field(walk, field);
        if (code)
            return code;
    }
    buffer_char(walk->rest, '}');
    return NABLA_OK;
}

// The document's own size is what "max_document" limits, a text in it included.
static enum nabla_code fail_limit(const struct walk *walk)
{
    return nabla_fail(walk->err, NABLA_LIMIT, NULL,
                      "the document without its lists of numbers is larger than the limit max_document of "
                      "%zu bytes",
                      walk->rest->limit);
}

static enum nabla_code walk_document(struct walk *walk)
{
    enum json_token token;
    enum nabla_code code = json_next(&walk->reader, &token, walk->err);
    if (code)
        return code;
    bool is_object = token == JSON_OBJECT_BEGIN;
    code = is_object ? walk_object(walk, "") : copy_opened(walk, token);
    if (!code)
        code = json_next(&walk->reader, &token, walk->err);
    if (code)
        return code;
    if (!is_object)
        return nabla_fail(walk->err, NABLA_INVALID, NULL, "the document must be a JSON object");
    code = buffer_status(walk->rest, "the document", walk->err);
    if (walk->has_lifted && !walk->has_kept)
        buffer_free(walk->rest);
    return code;
}

// Words that other languages write for numbers that JSON lacks, where the reader stumbled.
static void name_the_fix(const struct walk *walk)
{
    static const struct {
        const char *written, *word;
    } words[] = {
        {"NaN", "NaN"},        {"nan", "NaN"},      {"Infinity", "Infinity"}, {"-Infinity", "-Infinity"},
        {"-inf", "-Infinity"}, {"inf", "Infinity"}, {"-NaN", "NaN"}};
    const struct json_reader *reader = &walk->reader;
    size_t line, column;
    if (!reader->token)
        return;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].written);
        if ((size_t)(reader->end - reader->token) < length ||
            memcmp(reader->token, words[i].written, length) != 0)
            continue;
        json_position(reader, &line, &column);
        nabla_fail(walk->err, NABLA_MALFORMED, NULL,
                   "line %zu, column %zu: %s is not JSON; write it as a string: \"%s\"", line, column,
                   words[i].written, words[i].word);
        return;
    }
}

void bulk_free(struct bulk *bulks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(bulks[i].values);
        bulks[i] = (struct bulk){.pointer = bulks[i].pointer, .tabular = bulks[i].tabular};
    }
}

enum nabla_code bulk_lift(const char *text, size_t size, struct bulk *bulks, size_t bulk_count,
                          struct buffer *rest, struct nabla_error *err)
{
    struct walk walk = {.reader = json_open(text, size, rest->limit),
                        .rest = rest,
                        .bulks = bulks,
                        .bulk_count = bulk_count,
                        .err = err};
    for (size_t i = 0; i < bulk_count; i++)
        bulks[i] = (struct bulk){.pointer = bulks[i].pointer, .tabular = bulks[i].tabular};
    enum nabla_code code = walk_document(&walk);
    if (code == NABLA_MALFORMED)
        name_the_fix(&walk);
    else if (code == NABLA_LIMIT)
        code = fail_limit(&walk);
    if (code)
        bulk_free(bulks, bulk_count);
    json_close(&walk.reader);
    return code;
}
