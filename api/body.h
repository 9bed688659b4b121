// A call's body on its way in: into memory, or into a file under the store's tmp folder; decompressed, and
// never beyond the limit of the route.
#ifndef NABLA_API_BODY_H
#define NABLA_API_BODY_H

#include "api/handler.h"

// Checks media type, encoding and declared length, and makes the place. False: *ret is the refusal.
bool body_open(struct api_call *call, struct api_answer *ret);
enum nabla_code body_take(struct api_call *call, const void *bytes, size_t size, struct nabla_error *err);
// The body is whole: a file is rewound. NABLA_MALFORMED for a gzip body that was cut off.
enum nabla_code body_end(struct api_call *call, struct nabla_error *err);
// Nobody reads the body any more: its memory is others'.
void body_let_go(struct api_call *call);
void body_close(struct api_call *call);

#endif
