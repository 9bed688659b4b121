// Inside the store: removing histories in small transactions, so that a long one holds nobody up.
//
// What is to go stands in the table `doomed`, by the job's number, from the same transaction on that took the
// job away, or that decided to keep the job without its history. So a sweep that was interrupted goes on.
#ifndef NABLA_STORE_DOOMED_H
#define NABLA_STORE_DOOMED_H

#include "store/access.h"

// Removes all that is doomed, a few thousand rows a transaction.
enum nabla_code doomed_sweep(struct store *store, struct nabla_error *err);

#endif
