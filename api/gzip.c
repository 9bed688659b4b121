#include "api/gzip.h"

#include <stdlib.h>
#include <zlib.h>

enum { PIECE = 32768, GZIP_ONLY = 16 + MAX_WBITS, MEMORY_LEVEL = 8 };
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
