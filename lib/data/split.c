#include "data/split.h"

#include "base/size.h"
#include "math/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SPLIT_STREAM = 0x73706c6974; // "split": no other draw may share it

// The rows of each class (or all rows as one), class by class, and how many of each go to validation.
struct groups {
    size_t count;
    size_t *rows;  // ordered by group, ascending within it
    size_t *sizes; // of each group
    size_t *taken; // of each group, for validation
};

static void groups_free(struct groups *groups)
{
    free(groups->rows);
    free(groups->sizes);
    free(groups->taken);
}

static enum nabla_code groups_new(const struct dataset *dataset, struct groups *ret, struct nabla_error *err)
{
    struct groups groups = {.count = dataset->classes ? dataset->classes : 1};
    groups.rows = size_alloc(dataset->rows, 1, sizeof *groups.rows);
    groups.sizes = size_alloc(groups.count, 1, sizeof *groups.sizes);
    groups.taken = size_alloc(groups.count, 1, sizeof *groups.taken);
    if (groups.rows && groups.sizes && groups.taken) {
        *ret = groups;
        return NABLA_OK;
    }
    groups_free(&groups);
    return nabla_fail_memory(err, "the split");
}

static size_t group_of(const struct dataset *dataset, size_t row)
{
    return dataset->classes ? (size_t)dataset->ids[row] : 0;
}

// A counting sort. `taken` serves as the place where the next row of a group goes.
static void collect_rows(struct groups *groups, const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->rows; i++)
        groups->sizes[group_of(dataset, i)]++;
    for (size_t g = 1; g < groups->count; g++)
        groups->taken[g] = groups->taken[g - 1] + groups->sizes[g - 1];
    for (size_t i = 0; i < dataset->rows; i++)
        groups->rows[groups->taken[group_of(dataset, i)]++] = i;
}

struct remainder {
    double value;
    size_t group;
};

// Largest first; among equals the lower group.
static int compare_remainders(const void *a, const void *b)
{
    const struct remainder *x = a, *y = b;
    int order = (x->value < y->value) - (x->value > y->value);
    return order ? order : (x->group > y->group) - (x->group < y->group);
}

// Every group gives the whole part of its share; what is still wanting comes from the largest remainders, one
// row from each group that has one and keeps a row for training.
static void take_shares(struct groups *groups, struct remainder *remainders, double fraction, size_t total)
{
    for (size_t g = 0; g < groups->count; g++) {
        double share = (double)groups->sizes[g] * fraction;
        groups->taken[g] = (size_t)share;
        remainders[g] = (struct remainder){share - floor(share), g};
        total -= groups->taken[g] < total ? groups->taken[g] : total;
    }
    qsort(remainders, groups->count, sizeof *remainders, compare_remainders);
    for (size_t i = 0; i < groups->count && total > 0 && remainders[i].value > 0; i++) {
        size_t g = remainders[i].group;
        if (groups->taken[g] + 1 < groups->sizes[g]) {
            groups->taken[g]++;
            total--;
        }
    }
}

static enum nabla_code share_out(struct groups *groups, double fraction, size_t total,
                                 struct nabla_error *err)
{
    struct remainder *remainders = size_alloc(groups->count, 1, sizeof *remainders);
    if (!remainders)
        return nabla_fail_memory(err, "the split");
    take_shares(groups, remainders, fraction, total);
    free(remainders);
    return NABLA_OK;
}

// Draws each group's share: the first rows of a shuffle.
static void mark_validation(struct groups *groups, uint64_t seed, bool *in_validation)
{
    struct random random = random_new(seed, SPLIT_STREAM);
    size_t *rows = groups->rows;
    for (size_t g = 0; g < groups->count; rows += groups->sizes[g++]) {
        random_shuffle(&random, rows, groups->sizes[g]);
        for (size_t i = 0; i < groups->taken[g]; i++)
            in_validation[rows[i]] = true;
    }
}

static enum nabla_code mark_stratified(const struct dataset *dataset, double fraction, uint64_t seed,
                                       bool *in_validation, struct nabla_error *err)
{
    struct groups groups = {0};
    enum nabla_code code = groups_new(dataset, &groups, err);
    if (code)
        return code;
    collect_rows(&groups, dataset);
    code = share_out(&groups, fraction, (size_t)(fraction * (double)dataset->rows + 0.5), err);
    if (!code)
        mark_validation(&groups, seed, in_validation);
    groups_free(&groups);
    return code;
}

// As Keras cuts: training keeps floor(rows · (1 − fraction)).
static void mark_last(const struct dataset *dataset, double fraction, bool *in_validation)
{
    size_t train = (size_t)floor((double)dataset->rows * (1.0 - fraction));
    for (size_t i = train; i < dataset->rows; i++)
        in_validation[i] = true;
}

static enum nabla_code collect(const bool *in_validation, size_t rows, struct split *ret,
                               struct nabla_error *err)
{
    struct split split = {.train = size_alloc(rows, 1, sizeof *split.train),
                          .validation = size_alloc(rows, 1, sizeof *split.validation)};
    if (!split.train || !split.validation) {
        split_free(&split);
        return nabla_fail_memory(err, "the split");
    }
    for (size_t i = 0; i < rows; i++)
        if (in_validation[i])
            split.validation[split.validation_count++] = i;
        else
            split.train[split.train_count++] = i;
    *ret = split;
    return NABLA_OK;
}

static enum nabla_code refuse_empty_part(const struct split *split, double fraction, struct nabla_error *err)
{
    const char *empty = split->train_count == 0 ? "training" : "validation";
    if (split->train_count > 0 && (split->validation_count > 0 || fraction == 0))
        return NABLA_OK;
    return nabla_fail(
        err, NABLA_INVALID, NULL,
        "a validation split of %g leaves no row for %s (%zu rows; each class keeps one for training)",
        fraction, empty, split->train_count + split->validation_count);
}

enum nabla_code split_make(const struct dataset *dataset, enum split_kind kind, double fraction,
                           uint64_t seed, struct split *ret, struct nabla_error *err)
{
    if (!(fraction >= 0 && fraction < 1))
        return nabla_fail(err, NABLA_INVALID, NULL, "a validation split must be in [0, 1), not %g", fraction);
    bool *in_validation = size_alloc(dataset->rows, 1, sizeof *in_validation);
    if (!in_validation)
        return nabla_fail_memory(err, "the split");
    enum nabla_code code = NABLA_OK;
    struct split split = {0};
    if (kind == SPLIT_LAST)
        mark_last(dataset, fraction, in_validation);
    else
        code = mark_stratified(dataset, fraction, seed, in_validation, err);
    if (!code)
        code = collect(in_validation, dataset->rows, &split, err);
    if (!code)
        code = refuse_empty_part(&split, fraction, err);
    if (!code)
        *ret = split;
    else
        split_free(&split);
    free(in_validation);
    return code;
}

void split_free(struct split *split)
{
    if (!split)
        return;
    free(split->train);
    free(split->validation);
    *split = (struct split){0};
}
