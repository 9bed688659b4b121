// jansson's word on a text, for fuzz_json.c: 1 taken, 0 refused, -1 taken or refused for a number that is too
// large for it.
#include <jansson.h>

int fuzz_jansson_takes(const char *text, size_t size);

int fuzz_jansson_takes(const char *text, size_t size)
{
    json_error_t err;
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &err);
    if (!json && json_error_code(&err) == json_error_numeric_overflow)
        return -1;
    int taken = json != NULL;
    json_decref(json);
    return taken;
}
