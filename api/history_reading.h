// One reading of a job's history on its way: what the query asks for, what the store gives, how it is told.
#ifndef NABLA_API_HISTORY_READING_H
#define NABLA_API_HISTORY_READING_H

#include "api/handler.h"
#include "api/history_encode.h"
#include "store/jobs.h"

enum history_format { FORMAT_JSON, FORMAT_ROWS, FORMAT_CSV, FORMAT_TENSORS, FORMAT_EVENTS, FORMAT_COUNT };

struct reading {
    struct api_call *call; // NULL for a stream's
    struct store *store;
    bool layers; // of the layers, not of the network
    enum history_format format;
    struct history_query query;
    struct history history;
    struct job *job;
    uint64_t revision; // of the job, in the rows' own snapshot
    char **names;
};
struct reading reading_new(struct api_call *call, bool layers);
void reading_free(struct reading *reading);

// Reads the query's parameters but `after`; false: *ret is the 400.
bool reading_query(struct reading *reading, struct api_answer *ret);
bool reading_query_format(struct reading *reading, struct api_answer *ret);

// "" for JSON, else the format's name: a variant of the entity tag.
const char *reading_variant(const struct reading *reading);

// Reads the job's rows. NABLA_INVALID, with a text, for a column that neither the program nor the job knows.
enum nabla_code reading_rows(struct reading *reading, struct nabla_error *err);

// The answer's body, in the reading's format.
enum nabla_code reading_encode(const struct reading *reading, struct buffer *ret, struct nabla_error *err);
// For several readings in one body: the tables, always to be freed, and the JSON that stands beside them, an
// object without its end.
enum nabla_code reading_frames(const struct reading *reading, struct frames *ret, struct nabla_error *err);
void reading_encode_head(const struct reading *reading, const struct frames *frames, struct buffer *ret);
enum route_media reading_media(const struct reading *reading);

#endif
