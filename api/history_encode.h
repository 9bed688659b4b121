// Rows of a history, gathered in the order of writing and told in the order of steps, as JSON or CSV.
#ifndef NABLA_API_HISTORY_ENCODE_H
#define NABLA_API_HISTORY_ENCODE_H

#include "base/buffer.h"
#include "store/history.h"

#include <stdbool.h>

enum { CURSOR_TEXT_SIZE = 72 };

// One row; its values stand in the history's.
struct history_point {
    uint64_t step;
    unsigned layer;
    uint32_t recorded;
    size_t values;
};

struct history {
    const struct stat_info *stats;
    size_t stat_count;
    uint32_t columns; // which statistics to tell; 0: those that were recorded
    bool nonfinite_as_null;
    struct history_point *points;
    double *values;
    size_t count, capacity, limit;
    struct history_cursor last; // of the newest row taken
    bool more;                  // the limit cut the answer
    char **names;               // of the layers, borrowed
    size_t name_count;
};

void history_free(struct history *history);

// A history_visitor whose context is the history. Ask for one row more than the limit: it tells `more`.
enum nabla_code history_take(void *context, const struct history_row *row);
// To be called once, after the last row.
void history_sort(struct history *history);

// Where the next answer goes on: "12" when everything up to revision 12 was told, "12-3-400" within it.
void cursor_write(const struct history *history, uint64_t revision, char ret[CURSOR_TEXT_SIZE]);
bool cursor_read(const char *text, struct history_cursor *ret);

// ,"steps":[…],"columns":{…}
void history_encode_network(const struct history *history, struct buffer *ret);
// ,"layers":[{"index":…,"name":…,"steps":[…],"columns":{…}},…]
void history_encode_layers(const struct history *history, struct buffer *ret);
// `stated`: the statistics that the header names beside those recorded.
void history_encode_csv(const struct history *history, bool layers, uint32_t stated, struct buffer *ret);

#endif
