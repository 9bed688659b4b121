// The content coding of an answer (RFC 9110, sections 8.4 and 12.5.3): gzip for text, where the client takes
// it and it is worth the time.
#ifndef NABLA_API_ENCODING_H
#define NABLA_API_ENCODING_H

#include "api/handler.h"

// Compresses a complete answer, or leaves it as it is.
void answer_encode(struct api_answer *answer, const struct api_call *call);

#endif
