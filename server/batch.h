// Step records on their way: copies that outlive the trainer's call, and their JSON.
#ifndef NABLA_SERVER_BATCH_H
#define NABLA_SERVER_BATCH_H

#include "base/buffer.h"
#include "base/histogram.h"
#include "base/stats.h"
#include "train/trainer.h"

// One record with its layers, in one allocation; free() it. Layer names are copied with it.
struct queued_record {
    struct queued_record *next;
    struct step_record record;
    struct train_progress progress;
    const char *histograms; // of a record that is nothing else: their JSON, without the brackets; or NULL
    struct layer_record layers[];
};
enum nabla_code queued_record_new(const struct step_record *record, const struct train_progress *progress,
                                  struct queued_record **ret, struct nabla_error *err);

// The same of histograms, with the progress of the record before.
enum nabla_code queued_histograms_new(const struct histogram_record *record,
                                      const struct train_progress *progress, struct queued_record **ret,
                                      struct nabla_error *err);

// How many numbers it will be as text.
size_t queued_record_numbers(const struct queued_record *record);

// Appends {"attempt", "progress", "metrics": table, "layers": [table…], "histograms": […]} of a list of
// records, as POST /v1/jobs/{id}/metrics takes them. What a step did not record is null.
void batch_encode(unsigned attempt, const struct queued_record *first, struct buffer *ret);

// The same in two pieces, for batches that outlive their attempt: the beginning with its comma, and the rest,
// one line without it.
void batch_encode_attempt(unsigned attempt, struct buffer *ret);
void batch_encode_rest(const struct queued_record *first, struct buffer *ret);

// Appends a number as JSON; NaN and infinities as the texts "NaN", "Infinity", "-Infinity".
void encode_number(double value, struct buffer *ret);

#endif
