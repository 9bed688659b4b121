#include "api/job_stream.h"

#include "api/identity.h"
#include "base/clock.h"
#include "store/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 15000, BLOCK_PLACES = 64, SHARED_MAX = 64 << 10 };

struct job_stream {
    const struct api *api; // outlives it
    struct store *store;
    char owner[TOKEN_ID_SIZE]; // of the token that it was asked for with; "" for none
    const struct stream_kind *kind;
    void *detail;
    char *query; // what else than the job tells streams of a kind apart
    char job[TOKEN_ID_SIZE];
    char place[STREAM_PLACE_SIZE];
    struct stream_block *block; // what is told at present, or NULL
    size_t told;                // bytes of it
    uint64_t revision;          // of the job, everything up to which was told
    bool more, over, failed;    // failed: the store, or memory, had nothing to give
    const char *note;           // of what is said between blocks, the rest
    int64_t ping_ms, again_ms;  // when silence is broken; when to ask again
};

// --- blocks

// One place a key: newer blocks put older ones out. A block that the job has outgrown is never given: whoever
// stands at its place would be told nothing, over and over.
struct stream_blocks {
    pthread_mutex_t lock; // of the places, and of every block's count of shares
    struct {
        char *key;
        struct stream_block *block;
    } places[BLOCK_PLACES];
};

struct stream_blocks *stream_blocks_new(void)
{
    struct stream_blocks *blocks = calloc(1, sizeof *blocks);
    if (blocks)
        pthread_mutex_init(&blocks->lock, NULL);
    return blocks;
}

static void block_free(struct stream_block *block)
{
    buffer_free(&block->text);
    free(block);
}

// The lock is held.
static void block_drop(struct stream_block *block)
{
    if (block && --block->shares == 0)
        block_free(block);
}

void stream_blocks_free(struct stream_blocks *blocks)
{
    if (!blocks)
        return;
    for (size_t i = 0; i < BLOCK_PLACES; i++) {
        block_drop(blocks->places[i].block);
        free(blocks->places[i].key);
    }
    pthread_mutex_destroy(&blocks->lock);
    free(blocks);
}

static void block_release(struct stream_blocks *blocks, struct stream_block *block)
{
    if (blocks)
        pthread_mutex_lock(&blocks->lock);
    block_drop(block);
    if (blocks)
        pthread_mutex_unlock(&blocks->lock);
}

static size_t place_of(const char *key)
{
    uint32_t hash = 2166136261;
    for (const char *c = key; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    return hash % BLOCK_PLACES;
}

static struct stream_block *block_find(struct stream_blocks *blocks, const char *key, uint64_t revision)
{
    struct stream_block *found = NULL;
    size_t place = place_of(key);
    pthread_mutex_lock(&blocks->lock);
    if (blocks->places[place].key && strcmp(blocks->places[place].key, key) == 0 &&
        blocks->places[place].block->revision >= revision) {
        found = blocks->places[place].block;
        found->shares++;
    }
    pthread_mutex_unlock(&blocks->lock);
    return found;
}

static void block_share(struct stream_blocks *blocks, const char *key, struct stream_block *block)
{
    char *copy = strdup(key);
    size_t place = place_of(key);
    if (!copy)
        return;
    pthread_mutex_lock(&blocks->lock);
    block_drop(blocks->places[place].block);
    free(blocks->places[place].key);
    blocks->places[place].key = copy;
    blocks->places[place].block = block;
    block->shares++;
    pthread_mutex_unlock(&blocks->lock);
}

// --- streams

static void stream_close(void *context)
{
    struct job_stream *stream = context;
    block_release(stream->api->blocks, stream->block);
    if (stream->kind->detail_free)
        stream->kind->detail_free(stream->detail);
    free(stream->query);
    free(stream);
}

static struct stream_block *block_make(const struct job_stream *stream)
{
    struct stream_block *block = malloc(sizeof *block);
    if (!block)
        return NULL;
    *block = (struct stream_block){.text = buffer_new(STREAM_BLOCK_MAX), .shares = 1};
    memcpy(block->place, stream->place, sizeof block->place);
    bool filled = stream->kind->fill(stream->store, stream->job, stream->detail, stream->place, block);
    if (filled && !block->text.failed)
        return block;
    block_free(block);
    return NULL;
}

// What follows the stream's place: shared where the same was made for another listener, and what waits for
// the clock rather than for the job is nobody else's.
static struct stream_block *block_take(const struct job_stream *stream, uint64_t revision)
{
    struct buffer key = buffer_new(16384);
    buffer_format(&key, "%s %s %s %s", stream->kind->name, stream->job, stream->place, stream->query);
    bool shared = stream->api->blocks && !key.failed;
    struct stream_block *block = shared ? block_find(stream->api->blocks, key.data, revision) : NULL;
    if (!block) {
        block = block_make(stream);
        if (block && shared && block->again_ms == 0 && block->text.size <= SHARED_MAX)
            block_share(stream->api->blocks, key.data, block);
    }
    buffer_free(&key);
    return block;
}

static bool is_due(const struct job_stream *stream, uint64_t revision)
{
    return stream->more || revision > stream->revision || clock_monotonic_ms() >= stream->again_ms;
}

// Takes the next block where there may be one. The revision is asked for first: what comes after that is
// found the next time.
static void stream_refill(struct job_stream *stream)
{
    uint64_t revision;
    if (store_job_revision(stream->store, stream->job, &revision, NULL) ||
        identity_stands(stream->api, stream->owner, NULL)) {
        stream->over = true; // deleted, or out of reach: the client comes back and is told
        return;
    }
    if (!is_due(stream, revision))
        return;
    block_release(stream->api->blocks, stream->block);
    struct stream_block *block = stream->block = block_take(stream, revision);
    stream->told = 0;
    if (!block) {
        stream->over = stream->failed = true;
        return;
    }
    memcpy(stream->place, block->place, sizeof stream->place);
    stream->revision = block->revision;
    stream->more = block->more;
    stream->over = block->over;
    stream->again_ms = block->again_ms ? clock_monotonic_ms() + block->again_ms : INT64_MAX;
}

static size_t stream_left(const struct job_stream *stream)
{
    return stream->block ? stream->block->text.size - stream->told : 0;
}

static ssize_t stream_take(struct job_stream *stream, char *bytes, size_t size)
{
    size_t left = stream_left(stream), count = left < size ? left : size;
    memcpy(bytes, stream->block->text.data + stream->told, count);
    stream->told += count;
    stream->ping_ms = clock_monotonic_ms() + PING_MS;
    if (count == left) { // a listener that waits holds nothing
        block_release(stream->api->blocks, stream->block);
        stream->block = NULL;
    }
    return (ssize_t)count;
}

// What is said between blocks.
static ssize_t stream_note(struct job_stream *stream, char *bytes, size_t size)
{
    size_t left = strlen(stream->note), count = left < size ? left : size;
    memcpy(bytes, stream->note, count);
    stream->note += count;
    stream->ping_ms = clock_monotonic_ms() + PING_MS;
    return (ssize_t)count;
}

static ssize_t stream_pull(void *context, char *bytes, size_t size, struct api_wait *ret_wait)
{
    struct job_stream *stream = context;
    if (*stream->note)
        return stream_note(stream, bytes, size);
    while (stream_left(stream) == 0 && !stream->over) {
        stream_refill(stream);
        if (!stream->more)
            break;
    }
    if (stream_left(stream) > 0)
        return stream_take(stream, bytes, size);
    if (stream->over)
        return API_STREAM_END;
    if (clock_monotonic_ms() >= stream->ping_ms) {
        stream->note = ": ping\n\n";
        return stream_note(stream, bytes, size);
    }
    snprintf(ret_wait->job, sizeof ret_wait->job, "%s", stream->job);
    ret_wait->revision = stream->revision;
    ret_wait->deadline_ms = stream->ping_ms < stream->again_ms ? stream->ping_ms : stream->again_ms;
    return API_STREAM_WAIT;
}

const char *job_stream_place(const struct api_call *call)
{
    const char *last = call_header(call, "Last-Event-ID"), *after = call_query(call, "after");
    return last ? last : after;
}

// What the query chose, but for the place.
static char *query_text(const struct api_call *call)
{
    struct buffer text = buffer_new(8192);
    buffer_text(&text, "?");
    for (size_t i = 0; i < call->query_count; i++)
        if (strcmp(call->query[i].name, "after") != 0)
            buffer_format(&text, "%s=%s&", call->query[i].name, call->query[i].value);
    char *ret = buffer_steal(&text, NULL);
    buffer_free(&text);
    return ret;
}

static struct job_stream *stream_new(const struct api_call *call, const struct stream_kind *kind,
                                     void *detail, const char *place)
{
    struct job_stream *stream = malloc(sizeof *stream);
    if (!stream)
        return NULL;
    *stream = (struct job_stream){.api = call->api,
                                  .store = call->api->options.store,
                                  .kind = kind,
                                  .detail = detail,
                                  .note = "retry: 2000\n\n",
                                  .ping_ms = clock_monotonic_ms() + PING_MS};
    stream->query = query_text(call);
    snprintf(stream->owner, sizeof stream->owner, "%s", identity_owner(call));
    snprintf(stream->job, sizeof stream->job, "%s", call->params[0]);
    snprintf(stream->place, sizeof stream->place, "%s", place ? place : "");
    if (stream->query)
        return stream;
    free(stream);
    return NULL;
}

void job_stream_answer(const struct api_call *call, const struct stream_kind *kind, void *detail,
                       const char *place, struct api_answer *ret)
{
    struct nabla_error err = {0};
    uint64_t revision;
    if (store_job_revision(call->api->options.store, call->params[0], &revision, &err)) {
        answer_error(ret, call, &err);
        if (kind->detail_free)
            kind->detail_free(detail);
        return;
    }
    struct job_stream *stream = stream_new(call, kind, detail, place);
    if (!stream) {
        answer_status(ret, call, 503, "cannot allocate a stream");
        if (kind->detail_free)
            kind->detail_free(detail);
        return;
    }
    stream_refill(stream);
    if (stream->over && stream_left(stream) == 0) {
        if (stream->failed)
            answer_status(ret, call, 503, "the store could not be read; come back");
        else
            answer_begin(ret, 204, NULL); // tells an EventSource not to come back
        stream_close(stream);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_EVENT_STREAM));
    answer_header(ret, "Cache-Control", "no-store");
    answer_header(ret, "X-Accel-Buffering", "no"); // proxies pass it on at once
    ret->kind = API_STREAM;
    ret->stream = (struct api_stream){.pull = stream_pull, .close = stream_close, .context = stream};
}
