// A data folder held against what it should be.
#ifndef NABLA_STORE_CHECK_H
#define NABLA_STORE_CHECK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct check_wish {
    bool repair; // mend what can be
    bool all;    // hold every rollup against its rows, not some thousand
};

// Tells each fault found; *ret_faults counts them. Without `repair` nothing is written, and a server may be
// working. With it the store must be free (NABLA_BUSY): rows of no job and files without a row are removed,
// and every rollup is to be built anew; what is damaged otherwise stays as it is.
enum nabla_code check_folder(const char *folder, const struct check_wish *wish,
                             void (*tell)(void *context, const char *text), void *context, size_t *ret_faults,
                             struct nabla_error *err);

#endif
