// The schema: its versions as a table of steps, each of which leads from one version to the next.
// The wide tables of the histories are not part of it: they follow the table of statistics (wide.h).
#ifndef NABLA_STORE_SCHEMA_H
#define NABLA_STORE_SCHEMA_H

#include "store/database.h"

#include <stddef.h>

// schema_steps[v] leads from version v to v + 1; version 0 is the empty file.
extern const char *const schema_steps[];
extern const size_t schema_step_count;

// Brings the database to version `count` within the transaction that is open. NABLA_CONFLICT for a newer
// version and for a file that is not ours.
enum nabla_code schema_migrate(struct database *db, const char *const *steps, size_t count,
                               struct nabla_error *err);

#endif
