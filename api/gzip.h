// Gzip, both ways. Bodies are decompressed piece by piece into a sink that holds the limit: a bomb stops
// where an honest body of its size would. One or more members, nothing behind them. Answers are compressed at
// once. The only user of zlib.
#ifndef NABLA_API_GZIP_H
#define NABLA_API_GZIP_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct inflater;

typedef enum nabla_code inflate_sink(void *context, const void *bytes, size_t size, struct nabla_error *err);

struct inflater *inflater_new(void); // NULL when memory cannot be had
void inflater_free(struct inflater *inflater);

// Errors: NABLA_MALFORMED for bytes that are not gzip, or what the sink answers.
enum nabla_code inflater_feed(struct inflater *inflater, const void *bytes, size_t size, inflate_sink *sink,
                              void *context, struct nabla_error *err);

// True when the bytes so far are whole members.
bool inflater_is_whole(const struct inflater *inflater);

// The content compressed, fast rather than small. False, with nothing changed, where memory cannot be had.
bool gzip_pack(struct buffer *content);

#endif
