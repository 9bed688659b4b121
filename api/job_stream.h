// Streams of what hangs on a job's revision, as Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): its events, its histories, its log.
//
// A listener keeps its place (the id of the last event that it was sent) and nothing else: what comes next is
// read from the store, so that a client that comes back with Last-Event-ID misses nothing, and a slow one
// costs no memory. What listeners at the same place of the same stream are told is written once and shared.
#ifndef NABLA_API_JOB_STREAM_H
#define NABLA_API_JOB_STREAM_H

#include "api/handler.h"

enum { STREAM_PLACE_SIZE = 72, STREAM_BLOCK_MAX = 1 << 20 };

// What comes after a place: whole events, and how to go on.
struct stream_block {
    struct buffer text;
    char place[STREAM_PLACE_SIZE]; // of the last event told
    uint64_t revision;             // of the job, everything up to which is told unless there is more
    bool more;                     // ask again at once
    bool over;                     // nothing will ever follow
    int64_t again_ms;              // ask again after so long, changed or not; 0: when the job has changed
    unsigned shares;               // for job_stream.c
};

// Fills *ret, an empty block, with what follows `place` ("" for the beginning) of the call's job. False when
// the job cannot be read: the stream ends.
typedef bool stream_fill(struct store *store, const char *job, const void *detail, const char *place,
                         struct stream_block *ret);

struct stream_kind {
    const char *name; // for sharing: two kinds differ in it
    stream_fill *fill;
    void (*detail_free)(void *detail); // may be NULL
};

// Answers with the stream that goes on from `place` (NULL: the beginning); takes `detail`, what the query
// chose. 204 when all was told and nothing will follow; 404 when there is no such job.
void job_stream_answer(const struct api_call *call, const struct stream_kind *kind, void *detail,
                       const char *place, struct api_answer *ret);

// The place to go on from: Last-Event-ID, else the query parameter "after", else NULL.
const char *job_stream_place(const struct api_call *call);

// The blocks shared of late; in struct api.
struct stream_blocks;
struct stream_blocks *stream_blocks_new(void); // NULL: no memory, and nothing is shared
void stream_blocks_free(struct stream_blocks *blocks);

#endif
