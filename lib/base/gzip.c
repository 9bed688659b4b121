#include "base/gzip.h"

#include <stdlib.h>
#include <zlib.h>

enum { PIECE = 32768, WHOLE_PIECE = 1 << 20, GZIP_ONLY = 16 + MAX_WBITS, MEMORY_LEVEL = 8 };
static const size_t input_most = (size_t)1 << 30; // zlib counts its input in an unsigned int

struct inflater {
    z_stream stream;
    bool is_whole;
    unsigned char piece[PIECE];
};

struct inflater *inflater_new(void)
{
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (inflater && inflateInit2(&inflater->stream, GZIP_ONLY) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (!inflater)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

bool inflater_is_whole(const struct inflater *inflater)
{
    return inflater->is_whole;
}

// One call of inflate: whatever it made goes to the sink.
static enum nabla_code inflate_piece(struct inflater *inflater, inflate_sink *sink, void *context,
                                     struct nabla_error *err)
{
    z_stream *stream = &inflater->stream;
    if (inflater->is_whole && inflateReset(stream) != Z_OK)
        return nabla_fail(err, NABLA_INTERNAL, NULL, "the gzip reader cannot be reset");
    inflater->is_whole = false;
    stream->next_out = inflater->piece;
    stream->avail_out = PIECE;
    int outcome = inflate(stream, Z_NO_FLUSH);
    if (outcome == Z_MEM_ERROR)
        return nabla_fail_memory(err, "the gzip reader's window");
    if (outcome != Z_OK && outcome != Z_STREAM_END && outcome != Z_BUF_ERROR)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "the body is not gzip, as its Content-Encoding says: %s",
                          stream->msg ? stream->msg : "unexpected bytes");
    inflater->is_whole = outcome == Z_STREAM_END;
    size_t made = PIECE - stream->avail_out;
    return made > 0 ? sink(context, inflater->piece, made, err) : NABLA_OK;
}

enum nabla_code inflater_feed(struct inflater *inflater, const void *bytes, size_t size, inflate_sink *sink,
                              void *context, struct nabla_error *err)
{
    z_stream *stream = &inflater->stream;
    const unsigned char *at = bytes;
    while (size > 0) {
        size_t part = size < input_most ? size : input_most;
        stream->next_in = (unsigned char *)at; // zlib only reads it
        stream->avail_in = (unsigned)part;
        do {
            enum nabla_code code = inflate_piece(inflater, sink, context, err);
            if (code)
                return code;
        } while (stream->avail_in > 0 || (stream->avail_out == 0 && !inflater->is_whole));
        at += part;
        size -= part;
    }
    return NABLA_OK;
}

// The next piece of the output. Bytes that are left once everything was made are another gzip member, or do
// not belong there.
static enum nabla_code inflate_step(enum inflate_format format, z_stream *stream, size_t *left,
                                    struct buffer *ret, bool *ret_done, struct nabla_error *err)
{
    const size_t room = ret->limit - ret->size;
    const size_t wanted = room < WHOLE_PIECE ? room : WHOLE_PIECE;
    unsigned char spare = 0; // shows whether more follows where the limit is met
    char *place = buffer_reserve(ret, wanted);
    if (!place)
        return buffer_status(ret, "the decompressed content", err);
    if (stream->avail_in == 0) {
        stream->avail_in = (unsigned)(*left < input_most ? *left : input_most);
        *left -= stream->avail_in;
    }
    stream->next_out = wanted ? (unsigned char *)place : &spare;
    stream->avail_out = wanted ? (unsigned)wanted : 1;
    int outcome = inflate(stream, Z_NO_FLUSH);
    if (outcome == Z_MEM_ERROR)
        return nabla_fail_memory(err, "the gzip reader's window");
    if (!wanted && stream->avail_out == 0)
        return nabla_fail(err, NABLA_LIMIT, NULL, "decompressed, it has more than %zu bytes", ret->limit);
    ret->size += wanted ? wanted - stream->avail_out : 0;
    const bool more = stream->avail_in > 0 || *left > 0;
    *ret_done = outcome == Z_STREAM_END && !more;
    if (outcome == Z_STREAM_END && more && format == INFLATE_GZIP)
        outcome = inflateReset(stream);
    if (outcome == Z_OK || *ret_done)
        return NABLA_OK;
    return nabla_fail(err, NABLA_MALFORMED, NULL, "the compressed bytes %s",
                      outcome == Z_STREAM_END  ? "go on behind their end"
                      : outcome == Z_BUF_ERROR ? "end before their time"
                      : stream->msg            ? stream->msg
                                               : "cannot be decompressed");
}

enum nabla_code inflate_whole(enum inflate_format format, const void *bytes, size_t size, struct buffer *ret,
                              struct nabla_error *err)
{
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)bytes}; // zlib only reads it
    bool done = false;
    if (inflateInit2(&stream, format == INFLATE_GZIP ? GZIP_ONLY : -MAX_WBITS) != Z_OK)
        return nabla_fail_memory(err, "the gzip reader");
    enum nabla_code code = NABLA_OK;
    while (!code && !done)
        code = inflate_step(format, &stream, &size, ret, &done, err);
    inflateEnd(&stream);
    if (!code)
        buffer_append(ret, "", 0); // ends in a NUL, as buffers do
    return code;
}

uint32_t gzip_crc32(const void *bytes, size_t size)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, size);
}

bool gzip_pack(struct buffer *content)
{
    z_stream stream = {.next_in = (unsigned char *)content->data, .avail_in = (unsigned)content->size};
    struct buffer packed = buffer_new(content->limit);
    bool done = false;
    if (content->size > input_most ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_ONLY, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&stream, content->size);
    stream.next_out = (unsigned char *)buffer_reserve(&packed, bound);
    stream.avail_out = (unsigned)bound;
    if (stream.next_out && deflate(&stream, Z_FINISH) == Z_STREAM_END) {
        packed.size = bound - stream.avail_out;
        packed.data[packed.size] = '\0';
        done = true;
    }
    deflateEnd(&stream);
    if (done) {
        buffer_free(content);
        *content = packed;
    } else {
        buffer_free(&packed);
    }
    return done;
}
