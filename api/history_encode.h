// Rows of a history, gathered as the store hands them over, told in the order of layers and steps: as JSON
// columns, as an array of flat JSON objects, as CSV, as safetensors.
#ifndef NABLA_API_HISTORY_ENCODE_H
#define NABLA_API_HISTORY_ENCODE_H

#include "base/buffer.h"
#include "store/history.h"

#include <stdbool.h>

enum { CURSOR_TEXT_SIZE = 72 };

// One row; its values stand in the history's, as do its folds where it has any.
struct history_point {
    uint64_t step, steps;
    unsigned place; // index of the layer; number of the metric that a client named, where it is one
    bool is_named, has_folds;
    uint32_t recorded;
    size_t values, folds;
};

struct history {
    const struct stat_info *stats;
    size_t stat_count;
    uint32_t columns; // which statistics to tell; 0 and no `wanted`: those that were recorded
    char wanted[512]; // a comma list of the metrics with names of their own to tell
    bool nonfinite_as_null;
    struct history_point *points;
    double *values;
    struct history_fold *folds;
    size_t count, capacity, limit, value_count, value_capacity, fold_count, fold_capacity;
    uint64_t width;             // of the buckets, where there are buckets
    struct history_cursor last; // of the newest row taken
    bool more;                  // the limit cut the answer
    bool by_step;               // rows come in the order of steps:
    uint64_t from_revision;     // as they stood at this revision or later; 0: at that of the answer
    char **names;               // of the layers, or of the metrics by number; borrowed
    size_t name_count;
};

void history_free(struct history *history);

// A history_visitor whose context is the history. Ask for one row more than the limit: it tells `more`.
enum nabla_code history_take(void *context, const struct history_row *row);
// To be called once, after the last row.
void history_sort(struct history *history);

// Where the next answer goes on: "12" when everything up to revision 12 was told, "12-3-400" within it, in
// the order of writing; "12~3-400" in the order of steps, of what stood at revision 12.
void cursor_write(const struct history *history, uint64_t revision, char ret[CURSOR_TEXT_SIZE]);
bool cursor_read(const char *text, struct history_cursor *ret, bool *ret_by_step);

// A history as tables, one for the network or one for each layer.
struct frame_column {
    char *name; // borrowed
    double *values;
    struct history_fold *folds; // NULL unless the frame is folded
    bool *recorded;
};
struct frame {
    const char *job; // told beside each row, where frames of several jobs stand together; else NULL
    unsigned index;
    const char *name; // of the layer
    size_t rows, column_count;
    uint64_t *steps, *counts, width;
    bool is_folded; // a row stands for several steps
    struct frame_column *columns;
};
struct frames {
    struct frame *frames;
    size_t count;
    bool layers;
};
// `stated`: statistics that are told even where no row has them. NABLA_NO_MEMORY, or NABLA_OK; *ret is always
// to be freed, and borrows from the history.
enum nabla_code frames_build(const struct history *history, bool layers, uint32_t stated, struct frames *ret,
                             struct nabla_error *err);
void frames_free(struct frames *frames);

// NABLA_INVALID where a metric's name is also that of a part of another ("loss_min"), which rows and CSV
// cannot tell apart.
enum nabla_code frames_check_names(const struct frames *frames, struct nabla_error *err);

// ,"steps":[…],"columns":{…} or ,"layers":[{"index":…,"name":…,"steps":[…],"columns":{…}},…]
void frames_encode(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret);
// [{"step":…,"loss":…},…]; CSV and safetensors name the job too, where the frames do
void frames_encode_rows(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret);
void frames_encode_csv(const struct frames *frames, bool nonfinite_as_null, struct buffer *ret);
// `head` is the JSON that stands beside the tables.
enum nabla_code frames_encode_tensors(const struct frames *frames, const char *head, struct buffer *ret,
                                      struct nabla_error *err);

#endif
