// The series of a job's history, as one number: the network's wide rows are one, each layer's are one, each
// metric that a client named is one. Their order is that of delivery within a revision.
#ifndef NABLA_STORE_SERIES_H
#define NABLA_STORE_SERIES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SERIES_NETWORK = 0,
    SERIES_LAYERS = 1,      // + index of the layer
    SERIES_NAMED = 1 << 20, // + number of the metric, from 1
    SERIES_MOST = INT32_MAX
};

static inline int64_t series_of_layer(unsigned layer)
{
    return SERIES_LAYERS + (int64_t)layer;
}

static inline bool series_is_layer(int64_t series)
{
    return series >= SERIES_LAYERS && series < SERIES_NAMED;
}

static inline bool series_is_named(int64_t series)
{
    return series >= SERIES_NAMED;
}

// The index of a layer, the number of a metric, 0 of the network.
static inline unsigned series_place(int64_t series)
{
    return (unsigned)(series_is_named(series)   ? series - SERIES_NAMED
                      : series_is_layer(series) ? series - SERIES_LAYERS
                                                : 0);
}

#endif
