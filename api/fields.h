// Reading the fields of a JSON object: each reader takes a field by name, checks its type and range, and
// collects a problem with its pointer when it is wrong; fields_end reports every field that nobody asked for.
// So one answer names all that is wrong. Readers return the default for a field that is absent or null.
#ifndef NABLA_API_FIELDS_H
#define NABLA_API_FIELDS_H

#include "api/handler.h"

#include <jansson.h>

enum { FIELDS_MAX = 40 };

struct fields {
    const json_t *object; // borrowed; NULL reads as empty
    char pointer[128];    // of the object: "/training", "" for the root
    struct problems *problems;
    const char *known[FIELDS_MAX]; // the names asked for
    size_t known_count;
};

// `value` must be an object (or NULL/null, which reads as empty): anything else is a problem at `pointer`.
struct fields fields_begin(const json_t *value, const char *pointer, struct problems *problems);
void fields_end(struct fields *fields);

bool fields_has(struct fields *fields, const char *name); // present and not null
const char *fields_text(struct fields *fields, const char *name, const char *absent);
bool fields_bool(struct fields *fields, const char *name, bool absent);
// A finite number in [least, most].
double fields_number(struct fields *fields, const char *name, double absent, double least, double most);
// A whole number in [least, most] (at most 2^53 − 1).
uint64_t fields_whole(struct fields *fields, const char *name, uint64_t absent, uint64_t least,
                      uint64_t most);
// One of a table's names: `find` returns its index or -1, `names` is listed in the problem ("a, b or c").
int fields_choice(struct fields *fields, const char *name, int absent, int (*find)(const char *),
                  const char *names);
// The raw value, or NULL when absent or null.
const json_t *fields_value(struct fields *fields, const char *name);
// A problem at a field of this object.
void fields_problem(struct fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// No memory to take a field: a failure of ours.
void fields_no_memory(struct fields *fields, const char *name);
// The pointer of a field ("/training/epochs", names escaped as RFC 6901 wants).
void fields_pointer(const struct fields *fields, const char *name, char ret[160]);

#endif
