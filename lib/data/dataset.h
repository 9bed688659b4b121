// A data set: a matrix of features and what is to be learned for each row.
//
// Shapes: `features` is rows × columns, row-major float32. Classification: `ids` holds one class id a row, in
// [0, classes). Regression and multi-label: `targets` is rows × outputs float32 and `classes` is 0.
// Ownership: a data set owns everything it points to; dataset_free releases it. The features may lie in a
// mapped file: read-only, and in no memory that the system could not take back. Thread safety: read by any
// number of threads, changed by one.
#ifndef NABLA_DATA_DATASET_H
#define NABLA_DATA_DATASET_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/mapped.h"

#include <stddef.h>
#include <stdint.h>

struct dataset {
    size_t rows, columns;
    float *features;      // rows × columns
    struct mapped file;   // where the features lie, or {0}
    size_t classes;       // number of classes, 0 where the labels are targets
    int32_t *ids;         // rows, NULL where the labels are targets
    size_t outputs;       // columns of targets, 0 for classification
    float *targets;       // rows × outputs, NULL for classification
    float *weights;       // rows, finite and at least 0: what each counts in a loss; NULL: all 1
    char **feature_names; // columns of them
    char **class_names;   // classes of them: text labels in byte order; numeric labels ascending, as text
    char *label_name;     // "" where the source named none; of targets
                          // the common name, or one for each with commas between
};

// Limits that every reader of foreign data holds; a breach is NABLA_LIMIT naming the limit.
struct dataset_limits {
    size_t rows, columns, classes, bytes; // bytes: of the features
};

// No limits: for what this machine wrote, or its user hands over himself.
extern const struct dataset_limits dataset_unlimited;

// Per feature, over all rows: what a description shows.
struct feature_summary {
    double mean, std, min, max; // std over n
    size_t missing;             // NaN cells
};

// Zeroed room for a data set; dataset_free on failure is not needed. All names are still NULL. With 0 classes
// there are no ids: the caller brings targets.
enum nabla_code dataset_new(size_t rows, size_t columns, size_t classes, struct dataset **ret,
                            struct nabla_error *err);
void dataset_free(struct dataset *dataset);

// The same with room for rows × outputs targets instead of ids.
enum nabla_code dataset_new_targets(size_t rows, size_t columns, size_t outputs, struct dataset **ret,
                                    struct nabla_error *err);

// The same for features that lie in `file`, with the rows, columns, classes and outputs of `sizes`. The file
// is taken over whatever becomes of it: *file is {0} afterwards.
enum nabla_code dataset_new_mapped(const struct dataset *sizes, const float *features, struct mapped *file,
                                   struct dataset **ret, struct nabla_error *err);

// Gives the data set a zeroed weight for each row, if it has none yet.
enum nabla_code dataset_add_weights(struct dataset *dataset, struct nabla_error *err);

// Holds the sizes of a data set that is about to be made to the limits (0 classes for targets).
enum nabla_code dataset_check_size(size_t rows, size_t columns, size_t classes,
                                   const struct dataset_limits *limits, struct nabla_error *err);

// Makes up what names are still NULL: features "x0", "x1", …, classes "0", "1", …, the label "label".
enum nabla_code dataset_fill_names(struct dataset *dataset, struct nabla_error *err);

// For loops over the rows as they lie: called with the number of rows that are done, it lets go of them now
// and then where they come from a file, so that a pass takes no more memory than a piece of it.
void dataset_passed(const struct dataset *dataset, size_t rows);

// Fills `summaries` (columns of them).
void dataset_summarize(const struct dataset *dataset, struct feature_summary *summaries);

// Fills `counts` (classes of them) with the rows of each class.
void dataset_class_counts(const struct dataset *dataset, size_t *counts);

#endif
