#include "store/schema.h"

#include "base/histogram.h"

#include <stdio.h>

enum { APPLICATION_ID = 0x4e61626c }; // "Nabl", in the file's header, for file(1)

// Jobs have a number for keys and order, and an opaque id for the outside. A number is never given twice.
// What changes with every batch stands in `jobs`, whose rows are small; the long spec stands beside it.
// States and the like are words, for people who read the file with sqlite3.
static const char version_1[] = "CREATE TABLE jobs (\n"
                                "    number INTEGER PRIMARY KEY AUTOINCREMENT,\n"
                                "    id TEXT NOT NULL UNIQUE,\n"
                                "    name TEXT NOT NULL,\n"
                                "    state TEXT NOT NULL,\n"
                                "    requested TEXT NOT NULL,\n"
                                "    executor TEXT NOT NULL,\n"
                                "    revision INTEGER NOT NULL,\n"
                                "    attempt INTEGER NOT NULL,\n"
                                "    retries INTEGER NOT NULL,\n"
                                "    dataset TEXT NOT NULL,\n"
                                "    step INTEGER NOT NULL DEFAULT 0,\n"
                                "    steps INTEGER NOT NULL,\n"
                                "    epoch INTEGER NOT NULL DEFAULT 0,\n"
                                "    epochs INTEGER NOT NULL,\n"
                                "    latest_step INTEGER,\n"
                                "    latest_validation_step INTEGER,\n"
                                "    loss REAL,\n"
                                "    accuracy REAL,\n"
                                "    validation_loss REAL,\n"
                                "    validation_accuracy REAL,\n"
                                "    network_stats INTEGER NOT NULL,\n"
                                "    layer_stats INTEGER NOT NULL,\n"
                                "    token_sha256 TEXT,\n"
                                "    result TEXT,\n"
                                "    error TEXT,\n"
                                "    created_ms INTEGER NOT NULL,\n"
                                "    started_ms INTEGER NOT NULL DEFAULT 0,\n"
                                "    finished_ms INTEGER NOT NULL DEFAULT 0\n"
                                ");\n"
                                "CREATE INDEX jobs_by_state ON jobs (state);\n"
                                "CREATE INDEX jobs_by_dataset ON jobs (dataset) WHERE dataset <> '';\n"

                                "CREATE TABLE job_specs (\n"
                                "    job INTEGER PRIMARY KEY,\n"
                                "    spec TEXT NOT NULL\n"
                                ");\n"

                                "CREATE TABLE layers (\n"
                                "    job INTEGER NOT NULL,\n"
                                "    layer INTEGER NOT NULL,\n"
                                "    name TEXT NOT NULL,\n"
                                "    PRIMARY KEY (job, layer)\n"
                                ") WITHOUT ROWID;\n"

                                "CREATE TABLE events (\n"
                                "    job INTEGER NOT NULL,\n"
                                "    revision INTEGER NOT NULL,\n"
                                "    at_ms INTEGER NOT NULL,\n"
                                "    event TEXT NOT NULL,\n"
                                "    detail TEXT NOT NULL,\n"
                                "    PRIMARY KEY (job, revision)\n"
                                ") WITHOUT ROWID;\n"

                                "CREATE TABLE idempotency_keys (\n"
                                "    scope TEXT NOT NULL,\n"
                                "    key TEXT NOT NULL,\n"
                                "    body_sha256 TEXT NOT NULL,\n"
                                "    resource TEXT NOT NULL,\n"
                                "    created_ms INTEGER NOT NULL,\n"
                                "    PRIMARY KEY (scope, key)\n"
                                ") WITHOUT ROWID;\n"
                                "CREATE INDEX idempotency_keys_by_resource ON idempotency_keys (resource);\n"

                                "CREATE TABLE datasets (\n"
                                "    number INTEGER PRIMARY KEY AUTOINCREMENT,\n"
                                "    id TEXT NOT NULL UNIQUE,\n"
                                "    sha256 TEXT NOT NULL UNIQUE,\n"
                                "    name TEXT NOT NULL,\n"
                                "    row_count INTEGER NOT NULL,\n"
                                "    features INTEGER NOT NULL,\n"
                                "    classes INTEGER NOT NULL,\n"
                                "    bytes INTEGER NOT NULL,\n"
                                "    description TEXT NOT NULL,\n"
                                "    created_ms INTEGER NOT NULL\n"
                                ");\n";

// A repeated creation is answered as the first one was, also where that found the resource there already.
static const char version_2[] =
    "ALTER TABLE idempotency_keys ADD COLUMN existed INTEGER NOT NULL DEFAULT 0;\n";

// Whose a job or data set is: the id of the token that made it, "" where none was asked for. The traceparent
// (W3C Trace Context) of the request that made a job goes to its workers.
static const char version_owner[] = "ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';\n"
                                    "ALTER TABLE jobs ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';\n"
                                    "ALTER TABLE datasets ADD COLUMN owner TEXT NOT NULL DEFAULT '';\n";

// What long histories are read by: the runs of steps that each revision wrote (runs.h), rollups (rollup.h),
// and metrics that clients name themselves (named.h). What is left of deleted jobs goes by `doomed`.
static const char version_histories[] = "CREATE TABLE writes (\n"
                                        "    job INTEGER NOT NULL,\n"
                                        "    revision INTEGER NOT NULL,\n"
                                        "    series INTEGER NOT NULL,\n"
                                        "    first_step INTEGER NOT NULL,\n"
                                        "    last_step INTEGER NOT NULL,\n"
                                        "    PRIMARY KEY (job, revision, series, first_step)\n"
                                        ") WITHOUT ROWID;\n"

                                        "CREATE TABLE rollups (\n"
                                        "    job INTEGER NOT NULL,\n"
                                        "    series INTEGER NOT NULL,\n"
                                        "    level INTEGER NOT NULL,\n"
                                        "    bucket INTEGER NOT NULL,\n"
                                        "    data BLOB,\n"
                                        "    PRIMARY KEY (job, series, level, bucket)\n"
                                        ") WITHOUT ROWID;\n"
                                        "CREATE INDEX rollups_stale ON rollups (level, job, series, bucket)"
                                        " WHERE data IS NULL;\n"

                                        "CREATE TABLE metric_names (\n"
                                        "    job INTEGER NOT NULL,\n"
                                        "    metric INTEGER NOT NULL,\n"
                                        "    name TEXT NOT NULL,\n"
                                        "    PRIMARY KEY (job, metric),\n"
                                        "    UNIQUE (job, name)\n"
                                        ") WITHOUT ROWID;\n"

                                        "CREATE TABLE custom_rows (\n"
                                        "    job INTEGER NOT NULL,\n"
                                        "    metric INTEGER NOT NULL,\n"
                                        "    step INTEGER NOT NULL,\n"
                                        "    revision INTEGER NOT NULL,\n"
                                        "    value,\n"
                                        "    PRIMARY KEY (job, metric, step)\n"
                                        ") WITHOUT ROWID;\n"
                                        "CREATE VIEW custom_metrics AS SELECT jobs.id AS job,"
                                        " n.name AS metric, r.step AS step, r.value AS value"
                                        " FROM custom_rows AS r JOIN jobs ON jobs.number = r.job"
                                        " JOIN metric_names AS n ON n.job = r.job AND n.metric = r.metric;\n"

                                        "CREATE TABLE doomed (job INTEGER PRIMARY KEY);\n";

// The newest checkpoint of a client that trains by itself: jobs/ID/FILE.
static const char version_checkpoints[] = "CREATE TABLE checkpoints (\n"
                                          "    job INTEGER PRIMARY KEY,\n"
                                          "    attempt INTEGER NOT NULL,\n"
                                          "    step INTEGER NOT NULL,\n"
                                          "    bytes INTEGER NOT NULL,\n"
                                          "    sha256 TEXT NOT NULL,\n"
                                          "    file TEXT NOT NULL,\n"
                                          "    created_ms INTEGER NOT NULL\n"
                                          ");\n";

// Histograms over time (histograms.h): a place is layer · 3 + kind.
static const char version_histograms[] =
    "CREATE TABLE histogram_rows (\n"
    "    job INTEGER NOT NULL,\n"
    "    place INTEGER NOT NULL,\n"
    "    step INTEGER NOT NULL,\n"
    "    revision INTEGER NOT NULL,\n"
    "    nonfinite INTEGER NOT NULL,\n"
    "    counts BLOB NOT NULL,\n"
    "    PRIMARY KEY (job, place, step)\n"
    ") WITHOUT ROWID;\n"
    "CREATE INDEX histogram_rows_by_revision ON histogram_rows (job, revision, place, step);\n"
    "CREATE VIEW histograms AS SELECT jobs.id AS job, layers.name AS layer, layers.layer AS layer_index,"
    " CASE r.place % 3 WHEN 0 THEN 'gradients' WHEN 1 THEN 'weights' ELSE 'activations' END AS kind,"
    " r.step AS step, r.nonfinite AS nonfinite, r.counts AS counts FROM histogram_rows AS r"
    " JOIN jobs ON jobs.number = r.job JOIN layers ON layers.job = r.job AND layers.layer = r.place / 3;\n";
_Static_assert(HISTOGRAM_KIND_COUNT == 3, "the schema's places count three kinds");

// Where and when the newest attempt began: what is left is estimated by its own pace.
static const char version_attempts[] =
    "ALTER TABLE jobs ADD COLUMN attempt_step INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE jobs ADD COLUMN attempt_ms INTEGER NOT NULL DEFAULT 0;\n";

const char *const schema_steps[] = {version_1,         version_2,           version_owner,
                                    version_histories, version_checkpoints, version_histograms,
                                    version_attempts};
const size_t schema_step_count = sizeof schema_steps / sizeof *schema_steps;

// An empty file becomes ours; any other must carry our mark.
static enum nabla_code check_ours(struct database *db, int64_t version, struct nabla_error *err)
{
    int64_t id, tables;
    enum nabla_code code = database_number(db, "PRAGMA application_id", &id, err);
    if (code == NABLA_OK)
        code = database_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (code)
        return code;
    if (id == APPLICATION_ID || (id == 0 && version == 0 && tables == 0))
        return NABLA_OK;
    return nabla_fail(err, NABLA_CONFLICT, NULL, "nabla.db is a database, but not one of Nabla");
}

static enum nabla_code set_version(struct database *db, size_t version, struct nabla_error *err)
{
    char text[96];
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %zu", APPLICATION_ID,
             version);
    return database_run(db, text, err);
}

enum nabla_code schema_migrate(struct database *db, const char *const *steps, size_t count,
                               struct nabla_error *err)
{
    int64_t version;
    enum nabla_code code = database_number(db, "PRAGMA user_version", &version, err);
    if (code == NABLA_OK)
        code = check_ours(db, version, err);
    if (code)
        return code;
    if (version < 0 || (uint64_t)version > count)
        return nabla_fail(err, NABLA_CONFLICT, NULL,
                          "the store was written by a newer Nabla (its schema is version %lld, this program "
                          "knows up to %zu): use that one or a newer",
                          (long long)version, count);
    if ((size_t)version == count)
        return NABLA_OK;
    for (size_t at = (size_t)version; at < count && code == NABLA_OK; at++)
        code = database_run(db, steps[at], err);
    return code ? code : set_version(db, count, err);
}
