#include "train/train_state.h"

#include "data/tensor_dtype.h"

#include <assert.h>

void train_state_add(struct train_state *state, const char *name, enum tensor_dtype dtype, void *data,
                     size_t count)
{
    assert(state->count < TRAIN_STATE_ROWS_MAX);
    state->rows[state->count++] =
        (struct train_state_row){.name = name, .dtype = dtype, .data = data, .count = count};
}

size_t train_state_row_bytes(const struct train_state_row *row)
{
    return row->count * tensor_dtypes[row->dtype].size;
}
