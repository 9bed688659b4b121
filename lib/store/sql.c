// Parameters are plain `?` where they are bound once, in order, and numbered where a value is used twice.
// The order of columns in JOB_COLUMNS and DATASET_COLUMNS is that of the readers in job_row.c and datasets.c.
#include "store/sql.h"

#define JOB_COLUMNS                                                                                          \
    "SELECT number, id, name, state, requested, executor, revision, attempt, retries, dataset, spec, step,"  \
    " steps, epoch, epochs, latest_step, loss, accuracy, validation_loss, validation_accuracy,"              \
    " network_stats, layer_stats, result, error, created_ms, started_ms, finished_ms, attempt_step,"         \
    " attempt_ms"                                                                                            \
    " FROM jobs JOIN job_specs ON job = number "

#define DATASET_COLUMNS                                                                                      \
    "SELECT number, id, sha256, name, row_count, features, classes, bytes, description, created_ms"          \
    " FROM datasets "

#define ROLLUP_READ                                                                                          \
    "SELECT bucket, data FROM rollups WHERE job = ? AND series = ? AND level = ?"                            \
    " AND bucket BETWEEN ? AND ? AND data IS NOT NULL ORDER BY bucket"

const char *const sql_texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_SAVEPOINT] = "SAVEPOINT part",
    [SQL_RELEASE] = "RELEASE part",
    [SQL_ROLLBACK_PART] = "ROLLBACK TO part",
    [SQL_SNAPSHOT] = "BEGIN",
    [SQL_PING] = "SELECT count(*) FROM sqlite_schema",

    [SQL_JOB_INSERT] = "INSERT INTO jobs (id, name, state, requested, executor, revision, attempt, retries,"
                       " dataset, steps, epochs, network_stats, layer_stats, token_sha256, created_ms,"
                       " started_ms, attempt_ms, owner, traceparent)"
                       " VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
    [SQL_SPEC_INSERT] = "INSERT INTO job_specs (job, spec) VALUES (?, ?)",
    [SQL_JOB_BY_ID] = JOB_COLUMNS "WHERE id = ?",
    [SQL_JOB_NEXT_QUEUED] = "SELECT id FROM jobs WHERE state = ? AND executor = ? ORDER BY number LIMIT 1",
    [SQL_JOBS_BEFORE] = JOB_COLUMNS "WHERE number < ? ORDER BY number DESC LIMIT ?",
    [SQL_JOBS_OF_STATE_BEFORE] = JOB_COLUMNS "WHERE number < ? AND state = ?3 ORDER BY number DESC LIMIT ?2",
    [SQL_JOB_COUNT] = "SELECT count(*) FROM jobs WHERE state = ?",
    [SQL_JOB_COUNTS] = "SELECT state, count(*) FROM jobs GROUP BY state",
    [SQL_JOB_STEP] = "SELECT step FROM jobs WHERE number = ?",
    [SQL_JOB_TRACE] = "SELECT traceparent FROM jobs WHERE id = ?",
    [SQL_OWNER_JOBS] = "SELECT count(*) FROM jobs WHERE owner = ? AND state = ?",
    [SQL_OWNER_BYTES] = "SELECT coalesce(sum(bytes), 0) FROM datasets WHERE owner = ?",
    [SQL_JOB_TOKEN] = "SELECT token_sha256 FROM jobs WHERE id = ?",

    // What a guarded change must know: where the job stands.
    [SQL_JOB_STAND] = "SELECT number, state, requested, attempt, revision, latest_step,"
                      " latest_validation_step, executor FROM jobs WHERE id = ?",

    // A new attempt may go back to a checkpoint: its figures are the latest whatever their step.
    // A wall clock that was set back does not make a job end before it began.
    [SQL_JOB_TRANSITION] =
        "UPDATE jobs SET state = ?1, requested = ?2, result = ?3, error = ?4, revision = revision + 1,"
        " attempt = attempt + ?5,"
        " token_sha256 = iif(?5, ?6, token_sha256),"
        " started_ms = iif(?5 AND started_ms = 0, max(?7, created_ms), started_ms),"
        " attempt_step = iif(?5, step, attempt_step), attempt_ms = iif(?5, ?13, attempt_ms),"
        " latest_step = iif(?5 AND latest_step IS NOT NULL, 0, latest_step),"
        " latest_validation_step = iif(?5, 0, latest_validation_step),"
        " finished_ms = iif(?8, max(?7, created_ms, started_ms), 0)"
        " WHERE number = ?9 AND state = ?10 AND requested = ?11 AND attempt = ?12",

    // Where an attempt went back to a checkpoint, it began there.
    [SQL_JOB_ADVANCE] = "UPDATE jobs SET revision = revision + 1,"
                        " attempt_step = iif(?1, min(attempt_step, ?2), attempt_step),"
                        " step = iif(?1, ?2, step), steps = iif(?1, ?3, steps),"
                        " epoch = iif(?1, ?4, epoch), epochs = iif(?1, ?5, epochs),"
                        " latest_step = ?6, latest_validation_step = ?7,"
                        " loss = iif(?8, ?9, loss), accuracy = iif(?10, ?11, accuracy),"
                        " validation_loss = iif(?12, ?13, validation_loss),"
                        " validation_accuracy = iif(?14, ?15, validation_accuracy) WHERE number = ?16",

    [SQL_JOB_TOUCH] = "UPDATE jobs SET revision = revision + 1 WHERE number = ?",

    [SQL_CHECKPOINT_UPSERT] =
        "INSERT OR REPLACE INTO checkpoints (job, attempt, step, bytes, sha256, file, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
    [SQL_CHECKPOINT_OF_JOB] = "SELECT attempt, step, bytes, sha256, file FROM checkpoints WHERE job = ?",

    [SQL_EVENT_INSERT] = "INSERT INTO events (job, revision, at_ms, event, detail) VALUES (?, ?, ?, ?, ?)",
    [SQL_EVENTS_AFTER] = "SELECT revision, at_ms, event, detail FROM events"
                         " WHERE job = ? AND revision > ? ORDER BY revision",
    [SQL_HISTOGRAM_UPSERT] =
        "INSERT INTO histogram_rows (job, place, step, revision, nonfinite, counts)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision,"
        " nonfinite = excluded.nonfinite, counts = excluded.counts",
    // The plus signs keep the filters from choosing the key over the index by revision.
    [SQL_HISTOGRAMS_SIZE] = "SELECT count(*), total(length(counts)) FROM histogram_rows WHERE job = ?",
    [SQL_HISTOGRAMS_AFTER] = "SELECT revision, place, step, nonfinite, counts FROM histogram_rows"
                             " WHERE job = ?1 AND +place BETWEEN ?2 AND ?3 AND (?4 < 0 OR place % 3 = ?4)"
                             " AND +step BETWEEN ?5 AND ?6 AND (revision, place, step) > (?8, ?9, ?10)"
                             " ORDER BY revision, place, step LIMIT ?7",
    [SQL_KEY_FIND] = "SELECT body_sha256, resource, existed FROM idempotency_keys"
                     " WHERE scope = ? AND key = ?",
    [SQL_KEY_INSERT] = "INSERT INTO idempotency_keys (scope, key, body_sha256, resource, existed, created_ms)"
                       " VALUES (?, ?, ?, ?, ?, ?)",

    [SQL_DELETE_CHECKPOINT] = "DELETE FROM checkpoints WHERE job = ?",
    [SQL_DELETE_KEYS] =
        "DELETE FROM idempotency_keys WHERE resource = (SELECT id FROM jobs WHERE number = ?)",
    [SQL_DELETE_SPEC] = "DELETE FROM job_specs WHERE job = ?",
    // finished_ms is 0 until a job has finished.
    [SQL_JOB_FINISHED_BEFORE] = "SELECT id FROM jobs WHERE finished_ms > 0 AND finished_ms < ?"
                                " ORDER BY finished_ms LIMIT 1",
    [SQL_JOB_FINISHED_BEYOND] = "SELECT id FROM jobs WHERE finished_ms > 0"
                                " ORDER BY finished_ms DESC, number DESC LIMIT 1 OFFSET ?",
    [SQL_JOB_LONGEST_FINISHED] = "SELECT id FROM jobs WHERE finished_ms > ? ORDER BY finished_ms LIMIT 1",
    [SQL_JOB_WITH_HISTORY] = "SELECT id FROM jobs WHERE finished_ms > 0 AND finished_ms < ?"
                             " AND EXISTS (SELECT 1 FROM writes WHERE job = number)"
                             " AND number NOT IN (SELECT job FROM doomed) ORDER BY finished_ms LIMIT 1",
    [SQL_DOOM] = "INSERT OR IGNORE INTO doomed (job) VALUES (?)",
    [SQL_DOOMED] = "SELECT d.job, j.number IS NOT NULL FROM doomed AS d"
                   " LEFT JOIN jobs AS j ON j.number = d.job ORDER BY d.job LIMIT 1",
    [SQL_DOOM_DONE] = "DELETE FROM doomed WHERE job = ?",
    [SQL_DELETE_JOB] = "DELETE FROM jobs WHERE number = ?",

    [SQL_LAYER_NAME] = "INSERT INTO layers (job, layer, name) VALUES (?, ?, ?)"
                       " ON CONFLICT DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
    [SQL_LAYER_NAMES] = "SELECT layer, name FROM layers WHERE job = ? ORDER BY layer",
    [SQL_LAYER_FROM] = "SELECT layer FROM layers WHERE job = ? AND layer >= ? ORDER BY layer LIMIT 1",

    [SQL_DATASET_INSERT] = "INSERT INTO datasets (id, sha256, name, row_count, features, classes, bytes,"
                           " description, created_ms, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_DATASET_BY_ID] = DATASET_COLUMNS "WHERE id = ?",
    [SQL_DATASET_BY_SHA256] = DATASET_COLUMNS "WHERE sha256 = ?",
    [SQL_DATASETS_BEFORE] = DATASET_COLUMNS "WHERE number < ? ORDER BY number DESC LIMIT ?",
    [SQL_DATASET_NEEDED] = "SELECT id FROM jobs WHERE dataset = ?1 AND dataset <> ''"
                           " AND state IN (?2, ?3, ?4) LIMIT 1",
    [SQL_DATASET_DELETE] = "DELETE FROM datasets WHERE id = ?",
    [SQL_DATASET_DELETE_KEYS] = "DELETE FROM idempotency_keys WHERE resource = ?",

    [SQL_RUN_INSERT] = "INSERT INTO writes (job, revision, series, first_step, last_step)"
                       " VALUES (?, ?, ?, ?, ?)",
    // A run that starts before the position may reach over it.
    [SQL_RUNS_FROM] = "SELECT revision, series, first_step, last_step FROM writes"
                      " WHERE job = ?1 AND revision >= ?2"
                      " AND (revision > ?2 OR series > ?3 OR (series = ?3 AND last_step >= ?4))"
                      " ORDER BY revision, series, first_step",
    [SQL_ROLLUP_TOUCH] = "INSERT INTO rollups (job, series, level, bucket, data) VALUES (?, ?, ?, ?, NULL)"
                         " ON CONFLICT DO UPDATE SET data = NULL WHERE data IS NOT NULL RETURNING 1",
    [SQL_ROLLUP_READ] = ROLLUP_READ,
    [SQL_ROLLUP_READ_2] = ROLLUP_READ,
    [SQL_ROLLUP_READ_3] = ROLLUP_READ,
    [SQL_ROLLUP_READ_4] = ROLLUP_READ,
    [SQL_ROLLUP_STALE] = "SELECT job, series, level, bucket FROM rollups WHERE data IS NULL AND level >= 1"
                         " ORDER BY level, job, series, bucket LIMIT ?",
    [SQL_ROLLUP_SET] = "UPDATE rollups SET data = ?5 WHERE job = ?1 AND series = ?2 AND level = ?3"
                       " AND bucket = ?4",
    [SQL_ROLLUP_DROP] = "DELETE FROM rollups WHERE job = ? AND series = ? AND level = ? AND bucket = ?",
    [SQL_NAME_FIND] = "SELECT metric FROM metric_names WHERE job = ? AND name = ?",
    [SQL_NAME_COUNT] = "SELECT count(*) FROM metric_names WHERE job = ?",
    [SQL_NAME_INSERT] = "INSERT INTO metric_names (job, metric, name) VALUES (?, ?, ?)",
    [SQL_NAMES] = "SELECT metric, name FROM metric_names WHERE job = ? ORDER BY metric",
    [SQL_NAME_FROM] = "SELECT metric FROM metric_names WHERE job = ? AND metric >= ? ORDER BY metric LIMIT 1",
    [SQL_NAMED_UPSERT] = "INSERT INTO custom_rows (job, metric, step, revision, value)"
                         " SELECT ?1, ?2, step, ?3, value FROM points(?4) WHERE true" // else ON is of a join
                         " ON CONFLICT DO UPDATE SET revision = excluded.revision, value = excluded.value",
    [SQL_NAMED_BY_STEP] = "SELECT revision, step, value FROM custom_rows WHERE job = ?1 AND metric = ?2"
                          " AND step BETWEEN ?3 AND ?4 AND (?6 = 0 OR revision = ?6) ORDER BY step LIMIT ?5",
    [SQL_NAMED_NEWEST] = "SELECT revision, step, value FROM custom_rows WHERE job = ?1 AND metric = ?2"
                         " AND step BETWEEN ?3 AND ?4 AND (?6 = 0 OR revision = ?6)"
                         " ORDER BY step DESC LIMIT ?5",
};
