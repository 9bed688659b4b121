#include "api/fields.h"

#include "base/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fields fields_begin(const json_t *value, const char *pointer, struct problems *problems)
{
    struct fields fields = {.problems = problems};
    size_t length = strnlen(pointer, sizeof fields.pointer - 1);
    memcpy(fields.pointer, pointer, length);
    fields.pointer[length] = '\0';
    if (json_is_object(value))
        fields.object = value;
    else if (value && !json_is_null(value))
        problems_add(problems, pointer, "must be an object");
    return fields;
}

// RFC 6901, section 3: "~" is written "~0" and "/" is written "~1".
void fields_pointer(const struct fields *fields, const char *name, char ret[160])
{
    size_t length = (size_t)snprintf(ret, 160, "%s/", fields->pointer);
    for (; *name && length + 3 < 160; name++) {
        if (*name == '~' || *name == '/') {
            ret[length++] = '~';
            ret[length++] = *name == '~' ? '0' : '1';
        } else {
            ret[length++] = *name;
        }
    }
    ret[length] = '\0';
}

void fields_problem(struct fields *fields, const char *name, const char *format, ...)
{
    char pointer[160], detail[256];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    fields_pointer(fields, name, pointer);
    problems_add(fields->problems, pointer, "%s", detail);
}

void fields_no_memory(struct fields *fields, const char *name)
{
    struct nabla_error err;
    nabla_fail_memory(&err, name);
    problems_add_error(fields->problems, "", &err);
}

static bool name_is_known(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->known_count; i++)
        if (strcmp(fields->known[i], name) == 0)
            return true;
    return false;
}

static void list_known(const struct fields *fields, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < fields->known_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", fields->known[i]);
}

static void refuse_field(struct fields *fields, const char *name)
{
    char known[200];
    list_known(fields, known, sizeof known);
    fields_problem(fields, name, "there is no such field here; there are %s", known);
}

void fields_end(struct fields *fields)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)fields->object, name, value)
    {
        if (!name_is_known(fields, name))
            refuse_field(fields, name);
    }
}

const json_t *fields_value(struct fields *fields, const char *name)
{
    if (!fields->object) // nothing can be unknown in what is not there
        return NULL;
    if (fields->known_count < FIELDS_MAX && !name_is_known(fields, name))
        fields->known[fields->known_count++] = name;
    const json_t *value = json_object_get(fields->object, name);
    return json_is_null(value) ? NULL : value;
}

bool fields_has(struct fields *fields, const char *name)
{
    return fields_value(fields, name) != NULL;
}

// A text with a NUL inside would be cut where C reads it: it is refused instead.
static const char *text_of(struct fields *fields, const char *name, const json_t *value, const char *wanted)
{
    const char *text = json_string_value(value);
    if (text && strlen(text) == json_string_length(value))
        return text;
    fields_problem(fields, name, "must be %s", wanted);
    return NULL;
}

const char *fields_text(struct fields *fields, const char *name, const char *absent)
{
    const json_t *value = fields_value(fields, name);
    const char *text = value ? text_of(fields, name, value, "a text without NUL") : NULL;
    return text ? text : absent;
}

bool fields_bool(struct fields *fields, const char *name, bool absent)
{
    const json_t *value = fields_value(fields, name);
    if (!value)
        return absent;
    if (!json_is_boolean(value))
        fields_problem(fields, name, "must be true or false");
    return json_is_boolean(value) ? json_is_true(value) : absent;
}

// A bound in words: what has no bound is not spelled out as 1.797…e308.
static void range_words(char text[128], double least, double most)
{
    char low[NUMBER_TEXT_SIZE], high[NUMBER_TEXT_SIZE];
    low[number_write_double(low, least)] = '\0';
    high[number_write_double(high, most)] = '\0';
    if (least <= -1e308 && most >= 1e308)
        snprintf(text, 128, "a finite number");
    else if (most >= 1e308)
        snprintf(text, 128, "a finite number, at least %s", low);
    else if (least <= -1e308)
        snprintf(text, 128, "a finite number, at most %s", high);
    else
        snprintf(text, 128, "a number from %s to %s", low, high);
}

double fields_number(struct fields *fields, const char *name, double absent, double least, double most)
{
    char range[128];
    const json_t *value = fields_value(fields, name);
    if (!value)
        return absent;
    double number = json_number_value(value);
    if (json_is_number(value) && isfinite(number) && number >= least && number <= most)
        return number + 0; // -0 is 0: an integer to JSON's readers, which have none below 0
    range_words(range, least, most);
    fields_problem(fields, name, "must be %s", range);
    return absent;
}

static const uint64_t whole_most = ((uint64_t)1 << 53) - 1;

// 3, 3.0 and 3e0 are the same number in JSON.
static bool whole_of(const json_t *value, uint64_t *ret)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || number > (double)whole_most || number != floor(number))
        return false;
    *ret = json_is_integer(value) ? (uint64_t)json_integer_value(value) : (uint64_t)number;
    return *ret <= whole_most;
}

uint64_t fields_whole(struct fields *fields, const char *name, uint64_t absent, uint64_t least, uint64_t most)
{
    uint64_t number;
    const json_t *value = fields_value(fields, name);
    if (!value)
        return absent;
    if (most > whole_most)
        most = whole_most;
    if (whole_of(value, &number) && number >= least && number <= most)
        return number;
    fields_problem(fields, name, "must be a whole number from %llu to %llu", (unsigned long long)least,
                   (unsigned long long)most);
    return absent;
}

int fields_choice(struct fields *fields, const char *name, int absent, int (*find)(const char *),
                  const char *names)
{
    const json_t *value = fields_value(fields, name);
    const char *text = value ? text_of(fields, name, value, names) : NULL;
    int found = text ? find(text) : absent;
    if (found >= 0)
        return found;
    fields_problem(fields, name, "must be %s, not \"%s\"", names, text);
    return absent;
}
