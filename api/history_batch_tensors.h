// Batches of a history as safetensors: the tensors of what GET gives in that form, "steps" and a tensor for
// each column, of a layer behind "layers.INDEX.", with "counts", ".min", ".max", ".nonfinite" and ".recorded"
// where they are needed. What stands beside the tables in JSON is a document in the metadata's "request".
#ifndef NABLA_API_HISTORY_BATCH_TENSORS_H
#define NABLA_API_HISTORY_BATCH_TENSORS_H

#include "api/history_table.h"
#include "data/safetensors.h"

// The document, or "{}".
const char *batch_document(const struct safetensors *file);

// Fills the tables, which the document began, from the tensors, and checks them; problems are collected.
void batch_take_tensors(struct table_reader *reader, const struct safetensors *file, struct table *network,
                        struct table *layers, size_t layer_count);

#endif
