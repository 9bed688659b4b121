// Inside the store: the series that a job has.
#ifndef NABLA_STORE_HISTORY_READ_H
#define NABLA_STORE_HISTORY_READ_H

#include "store/database.h"
#include "store/series.h"

// The layers, or the network with the metrics that a client named, in their order. A code other than NABLA_OK
// ends the walk and is returned, but NABLA_NOT_FOUND only ends it.
enum nabla_code history_each_series(struct database *db, int64_t job, bool layers,
                                    enum nabla_code (*visit)(void *context, int64_t series), void *context,
                                    struct nabla_error *err);

#endif
