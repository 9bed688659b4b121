// Gzip, both ways. Bodies are decompressed piece by piece into a sink that holds the limit: a bomb stops
// where an honest body of its size would. One or more members, nothing behind them. Answers are compressed at
// once. What stands in memory as a whole is decompressed as a whole, gzip or bare. The only user of zlib.
#ifndef NABLA_BASE_GZIP_H
#define NABLA_BASE_GZIP_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inflater;

typedef enum nabla_code inflate_sink(void *context, const void *bytes, size_t size, struct nabla_error *err);

struct inflater *inflater_new(void); // NULL when memory cannot be had
void inflater_free(struct inflater *inflater);

// Errors: NABLA_MALFORMED for bytes that are not gzip, or what the sink answers.
enum nabla_code inflater_feed(struct inflater *inflater, const void *bytes, size_t size, inflate_sink *sink,
                              void *context, struct nabla_error *err);

// True when the bytes so far are whole members.
bool inflater_is_whole(const struct inflater *inflater);

enum inflate_format { INFLATE_GZIP, INFLATE_BARE }; // bare: deflate without a frame, as archives have it

// Appends the decompressed bytes to *ret, whose limit holds (NABLA_LIMIT). NABLA_MALFORMED for bytes that are
// not of the format, that end too soon, or that go on behind their end.
enum nabla_code inflate_whole(enum inflate_format format, const void *bytes, size_t size, struct buffer *ret,
                              struct nabla_error *err);

// The checksum that archives keep of their content.
uint32_t gzip_crc32(const void *bytes, size_t size);

// The content compressed, fast rather than small. False, with nothing changed, where memory cannot be had.
bool gzip_pack(struct buffer *content);

#endif
