// A job's document, as text and as a value: what POST /v1/jobs takes, what the store keeps (expanded, every
// default filled in) and what a worker or `nabla train spec.json` runs.
//
// Reading an expanded document gives the same value again. Ownership: a struct job_spec owns all that it
// points to; job_spec_free releases it. Thread safety: pure functions.
#ifndef NABLA_API_SPEC_H
#define NABLA_API_SPEC_H

#include "base/buffer.h"
#include "base/token.h"
#include "data/generator.h"
#include "store/jobs.h"
#include "train/spec.h"

enum { SPEC_SCHEMA_VERSION = 1, SPEC_LAYERS_MAX = 1000, NAME_MAX_BYTES = 200 };

// Where the rows come from: a stored data set, a generator's seed, or the document itself.
enum dataset_source_kind { SOURCE_NONE, SOURCE_ID, SOURCE_GENERATOR, SOURCE_INLINE };

struct dataset_source {
    enum dataset_source_kind kind;
    char id[TOKEN_ID_SIZE];     // SOURCE_ID
    struct generator generator; // SOURCE_GENERATOR
    struct dataset *rows;       // SOURCE_INLINE: owned, until dataset_source_make hands it over
};
void dataset_source_free(struct dataset_source *source);

// The data set of a generator or of the document; the caller frees it. Errors have pointers relative to the
// source's object. NABLA_INVALID for SOURCE_ID and SOURCE_NONE: their rows are elsewhere.
enum nabla_code dataset_source_make(struct dataset_source *source, const struct dataset_limits *limits,
                                    struct dataset **ret, struct nabla_error *err);

// Where the weights come from that a job starts with: its initialisers, another job's model, or a file that
// came with the document.
enum initial_kind { INITIAL_NONE, INITIAL_JOB, INITIAL_POSTED };
struct initial_weights {
    enum initial_kind kind;
    char job[TOKEN_ID_SIZE]; // INITIAL_JOB
};

// Parts of a document that may be absent for executor client; the others' defaults always stand.
enum spec_part {
    SPEC_DATASET = 1,
    SPEC_MODEL = 2,
    SPEC_LOSS = 4,
    SPEC_OPTIMIZER = 8,
    SPEC_TRAINING = 16,
    SPEC_ALL = 31
};

struct job_spec {
    char *name; // "" for none
    struct dataset_source source;
    enum job_executor executor;
    struct initial_weights initial;
    unsigned retries;
    unsigned parts; // enum spec_part bits: what was given; SPEC_ALL once spec_prepare has run
    struct train_spec train;
    uint16_t written_at[SPEC_LAYERS_MAX]; // for each expanded layer, the one of its list that it came from
};
void job_spec_free(struct job_spec *spec);

// Reads a document; the data set may be left out (SOURCE_NONE) for callers that have it from elsewhere. On
// failure *ret is empty and the error names every problem, the pointer being the
// first's.
enum nabla_code spec_from_json(const char *text, size_t size, const struct dataset_limits *limits,
                               struct job_spec *ret, struct nabla_error *err);

// spec_complete for this document: its errors point at the layers as they were written.
enum nabla_code spec_prepare(struct job_spec *spec, const struct dataset *dataset, struct nabla_error *err);

// Appends the expanded document, one line of JSON. The data set stands in it only as an id.
enum nabla_code spec_to_json(const struct job_spec *spec, struct buffer *ret, struct nabla_error *err);

#endif
