// Statistics of several steps folded into one record: mean, least and largest of what was finite, and how
// often it was not. All fields are doubles, so that a checkpoint keeps a fold as it is.
// Thread safety: one fold, one thread.
#ifndef NABLA_TRAIN_STAT_FOLD_H
#define NABLA_TRAIN_STAT_FOLD_H

#include <stddef.h>
#include <stdint.h>

enum { FOLD_STATS = 32 };
struct stat_fold {
    double sum[FOLD_STATS], minima[FOLD_STATS], maxima[FOLD_STATS]; // of finite values
    double finite[FOLD_STATS], nonfinite[FOLD_STATS];               // how many steps' values were
};

struct stat_fold stat_fold_new(void);
void stat_fold_add(struct stat_fold *fold, const double *values, size_t count);

// What a record covers: `values` are the newest, and become the means where any was finite. Those of the mask
// `alone` stay, as all three.
struct stat_extremes {
    double *minima, *maxima;
    uint32_t *nonfinite;
};
void stat_fold_take(const struct stat_fold *fold, double *values, const struct stat_extremes *ret,
                    size_t count, uint32_t alone);

#endif
