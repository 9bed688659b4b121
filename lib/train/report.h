// How good a network's answers are: counts that are gathered row by row, and the figures made of them.
//
// Definitions, as scikit-learn 1.x has them where it has them: precision, recall and F1 with 0 for 0/0; the
// area under the ROC curve of each class or output against the rest, ties counting half, and its mean over
// those that have both kinds of rows; R² per output and their mean. The calibration error is the expected one
// of Guo et al. (ICML 2017) with 15 bins of equal width: of the most probable class's probability, or of each
// output's. All rows count the same, whatever they weigh in the loss.
// Ownership: a report owns its tables. Thread safety: one report, one thread.
#ifndef NABLA_TRAIN_REPORT_H
#define NABLA_TRAIN_REPORT_H

#include "train/task.h"

#define REPORT_SCORES_MOST ((size_t)256 << 20)
enum { REPORT_TOP = 5, REPORT_BINS = 15 };

// Of a class against the rest, or of an output.
struct report_class {
    size_t support;   // rows that have it
    size_t predicted; // rows said to have it
    size_t right;     // both
    double precision, recall, f1;
    double auc; // NaN where it is not defined or the scores were not kept
};

// Of a regression's output.
struct report_output {
    double mean, square_deviation;       // of the targets: Σ (t − mean)², as the rows come
    double square_error, absolute_error; // sums
    double r2, mae, rmse;
};

struct report {
    enum task task;
    size_t rows, count;     // classes or outputs
    double accuracy;        // share of rows, or of entries, that are right; NaN in regression
    double exact_match;     // multi-label: share of rows of which every entry is
    double top[REPORT_TOP]; // share of rows whose class is among the k most probable, from k = 1 on
    double macro_precision, macro_recall, macro_f1;          // means over classes or outputs
    double weighted_precision, weighted_recall, weighted_f1; // by support
    double auc, calibration_error;                           // NaN where they are not defined
    double r2, mae, rmse;                                    // regression: over all outputs
    struct report_class *classes;                            // count, or NULL in regression
    size_t *confusion; // TASK_CLASSES and the like: count × count, rows what is, columns what is said
    struct report_output *outputs; // count, or NULL
};

struct report_builder;

// For up to `rows` rows. The scores are kept, for the areas under curves, where `wants_areas` and what they
// take, report_score_bytes, is not above REPORT_SCORES_MOST.
enum nabla_code report_begin(const struct train_spec *spec, const struct dataset *dataset, size_t rows,
                             bool wants_areas, struct report_builder **ret, struct nabla_error *err);
size_t report_score_bytes(enum task task, size_t rows, size_t outputs);
// The network's outputs for some rows, rows × outputs: what the loss sees, or the logits of its
// probabilities. `ids` or `targets` as the task has them.
void report_add(struct report_builder *builder, const float *scores, const int64_t *ids, const float *targets,
                size_t rows);
// The figures; valid until the builder is freed.
const struct report *report_end(struct report_builder *builder);
void report_free(struct report_builder *builder);

#endif
