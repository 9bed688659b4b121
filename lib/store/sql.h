// The statements of the store, all in one place: sql.c has their texts; those of the wide tables are made at
// opening from the table of statistics (wide.c).
#ifndef NABLA_STORE_SQL_H
#define NABLA_STORE_SQL_H

enum sql_id {
    SQL_BEGIN,
    SQL_COMMIT,
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
    SQL_EVENT_INSERT,
    SQL_EVENTS_AFTER,
    SQL_KEY_FIND,
    SQL_KEY_INSERT,

    SQL_DELETE_GRADIENTS,
    SQL_DELETE_METRICS,
    SQL_DELETE_LAYERS,
    SQL_DELETE_EVENTS,
    SQL_DELETE_KEYS,
    SQL_DELETE_SPEC,
    SQL_DELETE_JOB,

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

    SQL_METRIC_UPSERT, // from here on: made at opening
    SQL_METRICS_BY_STEP,
    SQL_METRICS_AFTER,
    SQL_GRADIENT_UPSERT,
    SQL_GRADIENTS_BY_STEP,
    SQL_GRADIENTS_AFTER,
    SQL_COUNT
};

// NULL for those made at opening.
extern const char *const sql_texts[SQL_COUNT];

#endif
