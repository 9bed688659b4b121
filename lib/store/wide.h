// The two wide tables of the histories: metric_rows for networks, gradient_rows for layers. A row holds every
// statistic of base/stats.h in a column of its own; a column that is missing is added at opening, so that
// adding a statistic is one row there.
//
// `recorded` is a bit mask of the columns that the row has a value for: bit i is the i-th statistic's column
// of the table as it stands in this file. So NULL is NaN where the bit is set, and nothing where it is not.
// Columns only ever join at the end, in an order that the program's own table need not share: masks are
// translated on their way in and out.
//
// A row that stands for several steps has bit WIDE_FOLDED_BIT set and a row beside it in metric_folds or
// gradient_folds: how many steps, and for each statistic min, max and nonfinite (base/stats.h), NULL where
// the value is that of a single step. The bit may outlive the row beside it, which goes when all values are.
//
// The columns are declared without a type on purpose: with REAL, SQLite would store -0.0 as the integer 0.
#ifndef NABLA_STORE_WIDE_H
#define NABLA_STORE_WIDE_H

#include "base/stats.h"
#include "store/database.h"

#include <stddef.h>

enum { WIDE_STATS = 32, WIDE_FOLDED_BIT = 62 };

struct wide {
    const struct wide_table *table;
    unsigned bits[WIDE_STATS]; // the column of each statistic
    char *texts[WIDE_TEXT_COUNT];
};

// A table's fixed part. The network's table has no layer: what is bound for it is not looked at.
struct wide_table {
    const char *name, *view, *folds;
    bool layered;
    const struct stat_info *stats;
    size_t count;
};
extern const struct wide_table wide_metrics, wide_gradients;

// Makes the table and its view, or adds the columns that are missing, within the transaction that is open;
// then makes the texts. wide_free releases them.
enum nabla_code wide_open(struct database *db, const struct wide_table *table, struct wide *ret,
                          struct nabla_error *err);
void wide_free(struct wide *wide);

// Masks between the program's order and the file's.
int64_t wide_mask_in(const struct wide *wide, uint32_t mask);
uint32_t wide_mask_out(const struct wide *wide, int64_t mask);

#endif
