// Who did what: one JSON object a line in `audit.jsonl` of the data folder, for each request that changes
// something or would have, had its token allowed it. Beyond 64 MiB the file becomes `audit.jsonl.1`, and the
// one before that goes.
// Thread safety: any thread.
#ifndef NABLA_SERVER_AUDIT_H
#define NABLA_SERVER_AUDIT_H

#include "base/error.h"

#include <stdbool.h>

struct audit;

enum nabla_code audit_open(const char *folder, struct audit **ret, struct nabla_error *err);
void audit_close(struct audit *audit);

struct audit_entry {
    const char *token, *token_id; // "" where none was asked for
    const char *method, *route;   // "/v1/jobs/{id}/cancel"
    const char *target;           // as on the request line
    const char *request_id;
    int status;
};

// False: it could not be written, e.g. because the disk is full.
bool audit_write(struct audit *audit, const struct audit_entry *entry);

#endif
