#include "base/json_texts.h"

#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void json_texts_write(struct buffer *buffer, char *const *texts, size_t count)
{
    buffer_char(buffer, '[');
    for (size_t i = 0; i < count; i++) {
        buffer_text(buffer, i ? "," : "");
        buffer_json_string(buffer, texts && texts[i] ? texts[i] : "");
    }
    buffer_char(buffer, ']');
}

void json_texts_free(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

static enum nabla_code fail_foreign(struct nabla_error *err)
{
    return nabla_fail(err, NABLA_MALFORMED, NULL, "expected a JSON list of texts");
}

// An empty string has no data.
static enum nabla_code take(const struct buffer *string, struct buffer *texts, struct nabla_error *err)
{
    const char *text = string->data ? string->data : "";
    if (strlen(text) != string->size)
        return fail_foreign(err);
    char *copy = strdup(text);
    if (copy && buffer_append(texts, &copy, sizeof copy))
        return NABLA_OK;
    free(copy);
    return nabla_fail_memory(err, "a list of texts");
}

static enum nabla_code take_all(struct json_reader *reader, struct buffer *texts, struct nabla_error *err)
{
    enum json_token token;
    enum nabla_code code = json_next(reader, &token, err);
    if (!code && token != JSON_ARRAY_BEGIN)
        return fail_foreign(err);
    while (!code && !(code = json_next(reader, &token, err)) && token == JSON_STRING)
        code = take(&reader->string, texts, err);
    if (!code && token != JSON_ARRAY_END)
        return fail_foreign(err);
    if (!code && !(code = json_next(reader, &token, err)) && token != JSON_END)
        return fail_foreign(err);
    return code;
}

enum nabla_code json_texts_read(const char *json, size_t limit, char ***ret, size_t *ret_count,
                                struct nabla_error *err)
{
    struct buffer texts = buffer_new(SIZE_MAX - 1);
    struct json_reader reader = json_open(json, strlen(json), limit);
    enum nabla_code code = take_all(&reader, &texts, err);
    json_close(&reader);
    char **list = (char **)(void *)texts.data; // the buffer's memory becomes the list
    const size_t count = texts.size / sizeof *list;
    if (!code && !list && !(list = calloc(1, sizeof *list)))
        code = nabla_fail_memory(err, "a list of texts");
    if (code) {
        json_texts_free(list, count);
        return code;
    }
    *ret = list;
    *ret_count = count;
    return NABLA_OK;
}
