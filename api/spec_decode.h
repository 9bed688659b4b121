// JSON → struct job_spec, problem by problem. The parts stand in files of their own.
#ifndef NABLA_API_SPEC_DECODE_H
#define NABLA_API_SPEC_DECODE_H

#include "api/dataset_decode.h"
#include "api/document.h"
#include "api/fields.h"
#include "api/spec.h"

// Where a job's document has bulk arrays: pass to document_read, then to job_spec_decode.
void job_spec_bulks(struct bulk ret[DATASET_BULKS]);

// Reads the document. *ret is always to be freed; it is only meaningful when no problem was added.
void job_spec_decode(const json_t *root, struct bulk bulks[DATASET_BULKS],
                     const struct dataset_limits *limits, struct problems *problems, struct job_spec *ret);

void model_decode(const json_t *value, struct problems *problems, struct job_spec *ret);
void loss_decode(const json_t *value, struct problems *problems, struct train_spec *ret);
void optimizer_decode(const json_t *value, struct problems *problems, struct optimizer_spec *ret);

// The regularisers and constraints of a layer whose type is set.
void layer_rules_decode(struct fields *fields, struct layer_spec *ret);

// Numbers and truth values of an options table.
struct spec_options;
void options_decode(struct fields *fields, const struct spec_options *options, unsigned type, void *object);

// What a schedule calls the optimiser's learning_rate.
const char *schedule_rate_name(enum schedule_type type);

// A field that takes one of an enum's names.
struct choice {
    const char *(*name)(int value);
    int (*find)(const char *name);
    int count;
};
int choice_read(struct fields *fields, const char *name, int absent, const struct choice *choice);

// A number in [0, 1).
double fraction_read(struct fields *fields, const char *name, double absent);

// A part that is a type's name alone ("adam") or an object with a "type": begins its fields. *ret_type is the
// type's value, `absent` where the part is.
struct fields typed_begin(const json_t *value, const char *pointer, struct problems *problems, int absent,
                          const struct choice *types, int *ret_type);

// The loss's numeric options by type: one table for reading and writing.
struct loss_option {
    const char *name;
    size_t offset;      // in struct nabla_loss
    unsigned types;     // bits of enum nabla_loss_type that have it
    double least, most; // inclusive
};
extern const struct loss_option loss_options[];
extern const size_t loss_option_count;

extern const struct choice loss_type_choice, convention_choice;

// What a loss object has beside its type, input, convention and class weights: the table above, and
// ignore_index.
void loss_options_decode(struct fields *fields, struct nabla_loss *ret);

#endif
