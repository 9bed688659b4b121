#include "api/encoding.h"

#include "api/media.h"
#include "base/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Smaller answers fit into a packet or two as they are. Larger ones are numbers, of whose digits about half
// remain: packing them takes longer than a local network takes to carry them, and binary forms are at hand.
static const size_t least_bytes = 1024, most_bytes = (size_t)4 << 20;

static char **header_find(struct api_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, name) == 0)
            return &answer->headers[i].value;
    return NULL;
}

static bool is_text(struct api_answer *answer)
{
    static const char *const types[] = {"application/json", "application/problem+json", "text/csv"};
    char **type = header_find(answer, "Content-Type");
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (strncmp(*type, types[i], strlen(types[i])) == 0)
            return true;
    return false;
}

// The compressed bytes are others, so they are the same only in meaning (RFC 9110, section 8.8.1).
static bool etag_weaken(struct api_answer *answer)
{
    char *weak, **etag = header_find(answer, "ETag");
    if (!etag || (*etag)[0] != '"')
        return true;
    if (asprintf(&weak, "W/%s", *etag) < 0)
        return false;
    free(*etag);
    *etag = weak;
    return true;
}

void answer_encode(struct api_answer *answer, const struct api_call *call)
{
    if (answer->kind != API_COMPLETE || answer->body.failed || answer->body.size < least_bytes ||
        answer->body.size > most_bytes || !is_text(answer))
        return;
    answer_header(answer, "Vary", "Accept-Encoding");
    if (media_takes_gzip(call) && etag_weaken(answer) && gzip_pack(&answer->body))
        answer_header(answer, "Content-Encoding", "gzip");
}
