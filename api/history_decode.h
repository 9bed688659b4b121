// Batches of a history as JSON or safetensors → records of the store. JSON takes one pass over the text:
// numbers never become nodes.
#ifndef NABLA_API_HISTORY_DECODE_H
#define NABLA_API_HISTORY_DECODE_H

#include "api/handler.h"
#include "api/histogram_decode.h"
#include "base/stats.h"
#include "store/history.h"

// A batch and the memory that its records point into.
struct history_input {
    struct history_batch batch;
    struct job_progress progress;
    struct step_record *records;
    struct layer_record *layers;
    char **names;
    size_t name_count;
    struct histogram_input histograms;
    struct history_named *named; // with the texts and numbers that they point to
    size_t named_count;
};
void history_input_free(struct history_input *input);

// Reads {"attempt", "metrics": table, "layers": [{"index", "name", …table}], "progress"}. What is wrong with
// a field is collected; an error is returned for what is not JSON at all. *ret is always to be freed.
enum nabla_code history_decode(const char *text, size_t size, struct problems *problems,
                               struct history_input *ret, struct nabla_error *err);

// The same of a batch as safetensors (history_batch_tensors.h).
enum nabla_code history_decode_tensors(const void *bytes, size_t size, struct problems *problems,
                                       struct history_input *ret, struct nabla_error *err);

#endif
