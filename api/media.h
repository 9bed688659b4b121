// Media types: which one a body has, and which one an answer takes (RFC 9110, sections 8.3 and 12.5.1).
#ifndef NABLA_API_MEDIA_H
#define NABLA_API_MEDIA_H

#include "api/handler.h"

// The bit of a Content-Type's value, MEDIA_NONE where it is none of ours. A charset must be UTF-8.
enum route_media media_parse(const char *content_type);

// The best of the `produces` bits for all Accept headers: highest quality, then the one of `prefers` (0:
// none), then the lowest bit. MEDIA_NONE where nothing is acceptable; without an Accept header everything is.
enum route_media media_choose(const struct api_call *call, unsigned produces, enum route_media prefers);

// Whether the Accept-Encoding headers ask for gzip, and not for the plain bytes rather.
bool media_takes_gzip(const struct api_call *call);

enum { MEDIA_LIST_SIZE = 128 };
// "application/json, text/csv": the names of some bits, for error texts and headers.
void media_list(char ret[MEDIA_LIST_SIZE], unsigned media);

#endif
