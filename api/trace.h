// W3C Trace Context, version 00: "00-<trace id>-<parent id>-<flags>" in lower-case hexadecimal.
#ifndef NABLA_API_TRACE_H
#define NABLA_API_TRACE_H

#include "store/jobs.h"

// Copies a traceparent that is sound; leaves "" otherwise, as the standard asks. `given` may be NULL.
void trace_parse(const char *given, char ret[TRACEPARENT_SIZE]);

#endif
