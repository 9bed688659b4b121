#include "server/message.h"

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRING_LIMIT = 64 << 10 };

bool message_field(struct message message, const char *name, struct message *ret)
{
    struct json_reader reader = json_open(message.text, message.size, STRING_LIMIT);
    enum json_token token;
    const char *begin, *end;
    bool found = false;
    if (!json_next(&reader, &token, NULL) && token == JSON_OBJECT_BEGIN) {
        while (!found && !json_next(&reader, &token, NULL) && token == JSON_KEY) {
            bool same = strcmp(reader.string.data, name) == 0;
            if (json_skip(&reader, &begin, &end, NULL))
                break;
            found = same;
        }
    }
    if (found)
        *ret = (struct message){begin, (size_t)(end - begin)};
    json_close(&reader);
    return found;
}

bool message_text(struct message message, const char *name, char *ret, size_t size)
{
    struct message value;
    if (!message_field(message, name, &value))
        return false;
    struct json_reader reader = json_open(value.text, value.size, STRING_LIMIT);
    enum json_token token;
    bool fits = !json_next(&reader, &token, NULL) && token == JSON_STRING && reader.string.size < size;
    if (fits)
        memcpy(ret, reader.string.data, reader.string.size + 1);
    json_close(&reader);
    return fits;
}

bool message_whole(struct message message, const char *name, uint64_t *ret)
{
    struct message value;
    char digits[24], *end;
    if (!message_field(message, name, &value) || value.size == 0 || value.size >= sizeof digits)
        return false;
    memcpy(digits, value.text, value.size);
    digits[value.size] = '\0';
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    if (errno || *end || digits[0] < '0' || digits[0] > '9')
        return false;
    *ret = number;
    return true;
}
