// Data sets that stand in a JSON document: a generator's options, or the rows themselves.
#ifndef NABLA_API_DATASET_DECODE_H
#define NABLA_API_DATASET_DECODE_H

#include "api/document.h"
#include "api/fields.h"
#include "api/spec.h"

// What was lifted out of the document beside the fields: "features", "labels" and "sample_weights".
enum { DATASET_FEATURES, DATASET_LABELS, DATASET_WEIGHTS, DATASET_BULKS };

// Reads generator, rows, features, classes, noise, imbalance, seed, or features, labels (one a row: classes;
// a row of numbers each: targets), sample_weights, classes, feature_names, class_names. Problems are
// collected; *ret is SOURCE_NONE when there are any.
void dataset_source_decode(struct fields *fields, struct bulk bulks[DATASET_BULKS],
                           const struct dataset_limits *limits, struct dataset_source *ret);

#endif
