// A thread that keeps the store quick to read and within its limits: rollups are built, what is left of
// deleted jobs is removed, finished jobs go by the configured retention; all in small transactions.
#ifndef NABLA_SERVER_TIDIER_H
#define NABLA_SERVER_TIDIER_H

#include "server/log.h"
#include "store/retention.h"

struct tidier;

// Starts it. `store` and `log` are borrowed until tidier_stop, which waits for the thread and takes NULL.
enum nabla_code tidier_start(struct store *store, const struct retention *retention, const struct log *log,
                             struct tidier **ret, struct nabla_error *err);
void tidier_stop(struct tidier *tidier);

#endif
