// Inside the store: the statements of a wide table, made from the table of statistics.
#ifndef NABLA_STORE_WIDE_TEXT_H
#define NABLA_STORE_WIDE_TEXT_H

#include "store/wide.h"

enum { WIDE_TEXT_LIMIT = 1 << 16, WIDE_ROLLUP_LEVELS = 4, WIDE_ROLLUP_SHIFT = 6 };

// What is kept of a fold, as the ends of the names of its columns, in this order.
enum { WIDE_FOLD_PARTS = 3 };
extern const char *const wide_fold_parts[WIDE_FOLD_PARTS];

// False when memory cannot be had.
bool wide_write_texts(struct wide *wide);

#endif
