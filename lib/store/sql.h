// The statements of the store, all in one place: sql.c has their texts; those of the wide tables are made at
// opening from the table of statistics (wide.c).
#ifndef NABLA_STORE_SQL_H
#define NABLA_STORE_SQL_H

// Those of a wide table. Parameters: job, layer, then what is said.
enum wide_text {
    WIDE_UPSERT,     // step, revision, recorded, values
    WIDE_BY_STEP,    // first, last, limit, revision (0: any): revision, step, recorded, values, ascending
    WIDE_NEWEST,     // the same, descending
    WIDE_FOLD,       // step, recorded, steps, folds: keeps what a row stands for
    WIDE_FOLD_CLEAR, // step, recorded: those values are of a single step again
    WIDE_FOLD_DROP,  // step: the fold is gone where all of its values are of a single step
    WIDE_FOLD_READ,  // step: steps, folds
    WIDE_FOLDED,     // a row when the job has any fold
    WIDE_TEXT_COUNT
};

enum sql_id {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_ROLLBACK_PART,
    SQL_SNAPSHOT,
    SQL_PING,

    SQL_JOB_INSERT,
    SQL_SPEC_INSERT,
    SQL_JOB_BY_ID,
    SQL_JOB_NEXT_QUEUED,
    SQL_JOBS_BEFORE,
    SQL_JOBS_OF_STATE_BEFORE,
    SQL_JOB_COUNT,
    SQL_JOB_COUNTS,
    SQL_JOB_TRACE,
    SQL_JOB_STEP,
    SQL_OWNER_JOBS,
    SQL_OWNER_BYTES,
    SQL_JOB_TOKEN,
    SQL_JOB_STAND,
    SQL_JOB_TRANSITION,
    SQL_JOB_ADVANCE,
    SQL_JOB_TOUCH,
    SQL_CHECKPOINT_UPSERT,
    SQL_CHECKPOINT_OF_JOB,
    SQL_EVENT_INSERT,
    SQL_EVENTS_AFTER,
    SQL_HISTOGRAM_UPSERT,
    SQL_HISTOGRAMS_AFTER,
    SQL_HISTOGRAMS_SIZE,
    SQL_KEY_FIND,
    SQL_KEY_INSERT,

    SQL_DELETE_CHECKPOINT,
    SQL_DELETE_KEYS,
    SQL_DELETE_SPEC,
    SQL_DELETE_JOB,
    SQL_JOB_FINISHED_BEFORE,
    SQL_JOB_FINISHED_BEYOND,
    SQL_JOB_LONGEST_FINISHED,
    SQL_JOB_WITH_HISTORY,
    SQL_DOOM,
    SQL_DOOMED,
    SQL_DOOM_DONE,

    SQL_LAYER_NAME,
    SQL_LAYER_NAMES,
    SQL_LAYER_FROM,

    SQL_DATASET_INSERT,
    SQL_DATASET_BY_ID,
    SQL_DATASET_BY_SHA256,
    SQL_DATASETS_BEFORE,
    SQL_DATASET_NEEDED,
    SQL_DATASET_DELETE,
    SQL_DATASET_DELETE_KEYS,

    SQL_RUN_INSERT,
    SQL_RUNS_FROM,
    SQL_ROLLUP_TOUCH,
    SQL_ROLLUP_READ, // one for each level: they are open together
    SQL_ROLLUP_READ_2,
    SQL_ROLLUP_READ_3,
    SQL_ROLLUP_READ_4,
    SQL_ROLLUP_STALE,
    SQL_ROLLUP_SET,
    SQL_ROLLUP_DROP,
    SQL_NAME_FIND,
    SQL_NAME_COUNT,
    SQL_NAME_INSERT,
    SQL_NAMES,
    SQL_NAME_FROM,
    SQL_NAMED_UPSERT,
    SQL_NAMED_BY_STEP,
    SQL_NAMED_NEWEST,

    SQL_METRIC_WIDE, // from here on: made at opening, in the order of enum wide_text
    SQL_GRADIENT_WIDE = SQL_METRIC_WIDE + WIDE_TEXT_COUNT,
    SQL_COUNT = SQL_GRADIENT_WIDE + WIDE_TEXT_COUNT
};

// NULL for those made at opening.
extern const char *const sql_texts[SQL_COUNT];

#endif
