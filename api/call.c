#include "api/handler.h"

#include "base/number.h"

#include <string.h>
#include <strings.h>

const char *call_header(const struct api_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (((call->headers[i].name[0] ^ name[0]) & 0xdf) == 0 && // most differ in their first letter
            strcasecmp(call->headers[i].name, name) == 0)
            return call->headers[i].value;
    return NULL;
}

size_t call_limit_for_clients(const struct api_call *call, size_t limit)
{
    const size_t least = call->listener == API_WORKER ? API_WORKER_BODY_BYTES : 0;
    return limit > least ? limit : least;
}

const char *call_query(const struct api_call *call, const char *name)
{
    for (size_t i = 0; i < call->query_count; i++)
        if (strcmp(call->query[i].name, name) == 0)
            return call->query[i].value;
    return NULL;
}

static bool query_whole(const struct api_call *call, const char *name, uint64_t absent, uint64_t least,
                        uint64_t most, const char *why, uint64_t *ret, struct api_answer *ret_answer)
{
    const char *text = call_query(call, name);
    int64_t value;
    if (!text) {
        *ret = absent;
        return true;
    }
    if (!number_read_int(text, text + strlen(text), &value) || value < 0 || (uint64_t)value < least ||
        (uint64_t)value > most) {
        answer_status(ret_answer, call, 400,
                      "the query parameter %s must be a whole number from %llu to %llu%s, not \"%s\"", name,
                      (unsigned long long)least, (unsigned long long)most, why, text);
        return false;
    }
    *ret = (uint64_t)value;
    return true;
}

bool call_query_whole(const struct api_call *call, const char *name, uint64_t absent, uint64_t least,
                      uint64_t most, uint64_t *ret, struct api_answer *ret_answer)
{
    return query_whole(call, name, absent, least, most, "", ret, ret_answer);
}

bool call_query_rows(const struct api_call *call, const char *name, uint64_t absent, uint64_t *ret,
                     struct api_answer *ret_answer)
{
    return query_whole(call, name, absent, 1, call->api->options.limits.history_rows,
                       " (the limit max_history_rows)", ret, ret_answer);
}

bool call_query_nonfinite(const struct api_call *call, bool *ret_as_null, struct api_answer *ret_answer)
{
    const char *text = call_query(call, "nonfinite");
    if (text && strcmp(text, "null") != 0 && strcmp(text, "string") != 0) {
        answer_status(ret_answer, call, 400,
                      "the query parameter nonfinite must be \"string\" or \"null\", not \"%s\"", text);
        return false;
    }
    *ret_as_null = text && strcmp(text, "null") == 0;
    return true;
}
