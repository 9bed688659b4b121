// Copies of a data folder: made while it is written to, checked, put back; and the copy that a migration
// keeps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/backup.h"
#include "store/check.h"
#include "store/checkpoints.h"
#include "store/database.h"
#include "store/datasets.h"
#include "store/history.h"
#include "store/schema.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

static void count_fault(void *context, const char *text)
{
    print_message("%s\n", text);
    ++*(size_t *)context;
}

static size_t faults_of(const char *folder, bool repair)
{
    size_t told = 0, faults = 99;
    const struct check_wish wish = {.repair = repair, .all = true};
    assert_ok(check_folder(folder, &wish, count_fault, &told, &faults, &err));
    assert_int_equal(told, faults);
    return faults;
}

struct busy_writer {
    struct store *store;
    char id[TOKEN_ID_SIZE];
    atomic_bool is_over;
};

static void append(struct store *store, const char *id, uint64_t step)
{
    struct history_ack ack;
    struct step_record record = {.step = step, .recorded = 1, .values = {1}};
    const struct history_batch batch = {.attempt = 1, .records = &record, .record_count = 1};
    assert_int_equal(store_history_append(store, id, &batch, &ack, NULL), NABLA_OK);
}

// Each one removes the file of the one before it.
static void keep_checkpoint(struct store *store, const char *id, uint64_t step)
{
    char path[256], content[32];
    struct checkpoint_row row = {.attempt = 1, .step = step};
    struct history_ack ack;
    row.bytes = (uint64_t)snprintf(content, sizeof content, "after step %llu", (unsigned long long)step);
    token_sha256(row.sha256, content, (size_t)row.bytes);
    snprintf(path, sizeof path, "%s/tmp/upload", store_folder(store));
    assert_int_equal(file_replace(path, content, (size_t)row.bytes, NULL), NABLA_OK);
    assert_int_equal(store_checkpoint_put(store, id, &row, path, &ack, NULL), NABLA_OK);
    unlink(path);
}

static void *write_on(void *context)
{
    struct busy_writer *writer = context;
    for (uint64_t step = 1; !atomic_load(&writer->is_over); step++) {
        append(writer->store, writer->id, step);
        keep_checkpoint(writer->store, writer->id, step);
    }
    return NULL;
}

static void test_a_copy_is_of_one_state_and_goes_back(void **state)
{
    struct fixture *fixture = *state;
    struct busy_writer writer = {.store = fixture->store};
    char copy[256], back[256], file[400];
    size_t files = 0;
    pthread_t thread;
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "back", back);
    fixture_add_dataset(fixture->store, "not really a tensor");
    fixture_job(fixture->store, JOB_CLIENT, writer.id);
    append(fixture->store, writer.id, 0);
    keep_checkpoint(fixture->store, writer.id, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    enum nabla_code made = backup_make(fixture->folder, copy, &files, NULL);
    atomic_store(&writer.is_over, true);
    pthread_join(thread, NULL);
    assert_int_equal(made, NABLA_OK);
    assert_int_equal(files, 3); // the database, the data set, the checkpoint that the row names
    // One state: every revision after the first wrote one row or one checkpoint.
    assert_int_equal(
        fixture_number(copy, "SELECT count(*) + (SELECT count(*) FROM events WHERE event = 'checkpoint')"
                             " + 1 - (SELECT revision FROM jobs) FROM metric_rows"),
        0);
    assert_fails(NABLA_CONFLICT, backup_make(fixture->folder, copy, &files, &err)); // not empty now
    assert_ok(backup_restore(copy, back, &files, &err));
    assert_int_equal(files, 3);
    assert_int_equal(faults_of(back, false), 0);
    assert_fails(NABLA_CONFLICT, backup_restore(copy, back, &files, &err)); // not empty now

    snprintf(file, sizeof file, "%s/MANIFEST", copy);
    char sha256[TOKEN_SHA256_SIZE];
    token_sha256(sha256, "not really a tensor", 19);
    snprintf(file, sizeof file, "%s/datasets/%s.safetensors", copy, sha256);
    assert_ok(file_replace(file, "altered", 7, &err));
    sweep_tree(back, NULL);
    assert_fails(NABLA_IO, backup_restore(copy, back, &files, &err));
    assert_int_not_equal(access(back, F_OK), 0); // nothing is left behind
    assert_int_equal(faults_of(copy, false), 1);
}

// Deletes a job once the database has been copied: while the backup reads a data set that is a pipe.
struct deletion {
    struct store *store;
    char pipe[400], id[TOKEN_ID_SIZE];
};

static void *delete_amid(void *context)
{
    const struct deletion *deletion = context;
    const int fd = open(deletion->pipe, O_WRONLY); // waits for the reader
    assert_true(fd >= 0);
    assert_int_equal(store_job_delete(deletion->store, deletion->id, NULL), NABLA_OK);
    assert_int_equal(write(fd, "piped", 5), 5);
    close(fd);
    return NULL;
}

static void finish_with_files(struct fixture *fixture, char id[TOKEN_ID_SIZE])
{
    char model[400];
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    fixture_job(fixture->store, JOB_CLIENT, id);
    append(fixture->store, id, 1);
    keep_checkpoint(fixture->store, id, 1);
    snprintf(model, sizeof model, "%s/jobs/%s/model", fixture->folder, id);
    assert_ok(file_replace(model, "weights", 7, &err));
    assert_ok(store_job_apply(fixture->store, id, &end, &err));
}

static void test_a_job_that_is_deleted_meanwhile_is_not_in_the_copy(void **state)
{
    struct fixture *fixture = *state;
    struct deletion deletion = {.store = fixture->store};
    char copy[256], back[256], path[500], kept[TOKEN_ID_SIZE], sha256[TOKEN_SHA256_SIZE];
    size_t files = 0;
    pthread_t thread;
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "back", back);
    finish_with_files(fixture, deletion.id);
    finish_with_files(fixture, kept);
    fixture_add_dataset(fixture->store, "piped");
    token_sha256(sha256, "piped", 5);
    snprintf(deletion.pipe, sizeof deletion.pipe, "%s/datasets/%s.safetensors", fixture->folder, sha256);
    unlink(deletion.pipe);
    assert_int_equal(mkfifo(deletion.pipe, 0600), 0);
    assert_int_equal(pthread_create(&thread, NULL, delete_amid, &deletion), 0);
    assert_ok(backup_make(fixture->folder, copy, &files, &err));
    pthread_join(thread, NULL);
    assert_int_equal(files, 4); // the database, the data set, the kept job's model and checkpoint
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM jobs"), 1);
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM checkpoints"), 1);
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM doomed"), 1);
    snprintf(path, sizeof path, "%s/jobs/%s", copy, deletion.id);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/jobs/%s/model", copy, kept);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(backup_restore(copy, back, &files, &err));
    assert_int_equal(faults_of(back, false), 0);
}

static void test_an_interrupted_restore_is_begun_anew(void **state)
{
    struct fixture *fixture = *state;
    static const char *const left[] = {"back", "back/restoring", "back/jobs", "back/restoring/datasets"};
    char copy[256], back[256], path[256];
    size_t files = 0;
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "back", back);
    fixture_add_dataset(fixture->store, "not really a tensor");
    assert_ok(backup_make(fixture->folder, copy, &files, &err));
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        fixture_path(fixture, left[i], path);
        assert_ok(file_make_folder(path, &err));
    }
    assert_ok(backup_restore(copy, back, &files, &err));
    assert_int_equal(files, 2);
    assert_int_equal(faults_of(back, false), 0);
    assert_false(fixture_has(fixture, "back/restoring"));
}

static void test_a_check_finds_orphans_and_repairs_them(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE], path[256];
    struct database *db;
    fixture_job(fixture->store, JOB_CLIENT, id);
    append(fixture->store, id, 1);
    assert_int_equal(faults_of(fixture->folder, false), 0);
    fixture_path(fixture, "nabla.db", path);
    assert_ok(database_open(path, DATABASE_PLAIN, sql_texts, &db, &err));
    assert_ok(database_run(db, "INSERT INTO events VALUES (77, 1, 0, 'created', '')", &err));
    database_close(db);
    assert_int_equal(faults_of(fixture->folder, false), 1);
    size_t faults;
    assert_fails(NABLA_BUSY, check_folder(fixture->folder, &(struct check_wish){.repair = true}, count_fault,
                                          &faults, &faults, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(faults_of(fixture->folder, true), 1);
    assert_int_equal(faults_of(fixture->folder, false), 0);
}

// 100 rows of each kind of series, two rollups each.
static void make_rollups(struct store *store, const char *id)
{
    static struct step_record records[100];
    static struct layer_record layers[100];
    static uint64_t steps[100];
    static double values[100];
    const struct history_named named = {.name = "mine", .count = 100, .steps = steps, .values = values};
    const struct history_batch batch = {
        .attempt = 1, .records = records, .record_count = 100, .named = &named, .named_count = 1};
    struct history_ack ack;
    bool more = true;
    for (size_t i = 0; i < 100; i++) {
        const double value =
            i % 10 == 7 ? (i % 20 == 7 ? (double)NAN : (double)INFINITY) : 1e9 / (double)(i + 1);
        layers[i] = (struct layer_record){.name = "a", .recorded = 3, .values = {value, -value}};
        records[i] = (struct step_record){.step = i, .recorded = 5, .layers = &layers[i], .layer_count = 1};
        records[i].values[0] = value;
        records[i].values[2] = 0.1;
        steps[i] = i;
        values[i] = value;
    }
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
    while (more)
        assert_ok(store_tidy(store, &more, &err));
}

static void test_a_check_holds_rollups_and_files_against_rows(void **state)
{
    struct fixture *fixture = *state;
    static const char *const spoils[] = {
        "UPDATE gradient_rows SET gradient_norm = 3 WHERE step = 5",
        "UPDATE metric_rows SET recorded = 4 WHERE step = 9",
        "DELETE FROM custom_rows WHERE step = 70",
        "UPDATE checkpoints SET sha256 = 'another'",
    };
    char id[TOKEN_ID_SIZE], path[256], name[128];
    struct database *db;
    fixture_job(fixture->store, JOB_CLIENT, id);
    make_rollups(fixture->store, id);
    keep_checkpoint(fixture->store, id, 4);
    assert_true(fixture_number(fixture->folder, "SELECT count(*) FROM rollups WHERE data IS NOT NULL") >= 6);
    assert_int_equal(faults_of(fixture->folder, false), 0);
    fixture_path(fixture, "nabla.db", path);
    size_t before = 0;
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        assert_ok(database_open(path, DATABASE_PLAIN, sql_texts, &db, &err));
        assert_ok(database_run(db, spoils[i], &err));
        database_close(db);
        const size_t faults = faults_of(fixture->folder, false);
        assert_true(faults > before);
        before = faults;
    }
    store_close(fixture->store);
    fixture->store = NULL;
    snprintf(name, sizeof name, "jobs/%s/kept_by_nobody", id);
    fixture_write(fixture, name, "x");
    fixture_write(fixture, "datasets/stray", "x");
    assert_int_equal(faults_of(fixture->folder, false), before + 2);
    faults_of(fixture->folder, true);
    assert_ok(store_open(fixture->folder, &fixture->store, &err));
    for (bool more = true; more;)
        assert_ok(store_tidy(fixture->store, &more, &err));
    assert_int_equal(faults_of(fixture->folder, false), 1); // only the checkpoint that is damaged
}

// A wide table as every version before `writes` made it.
#define OLD_WIDE                                                                                             \
    "CREATE TABLE metric_rows (job INTEGER NOT NULL, step INTEGER NOT NULL, revision INTEGER NOT NULL,"      \
    " recorded INTEGER NOT NULL, loss, accuracy, PRIMARY KEY (job, step)) WITHOUT ROWID;"                    \
    "CREATE INDEX metric_rows_by_revision ON metric_rows (job, revision, step);"                             \
    "INSERT INTO metric_rows VALUES (1, 1, 2, 1, 0.5, NULL), (1, 2, 2, 1, NULL, NULL), (1, 3, 3, 3, 0.25, "  \
    "1);"
#define OLD_JOB                                                                                              \
    "INSERT INTO jobs (id, name, state, requested, executor, revision, attempt, retries, dataset, steps,"    \
    " epochs, network_stats, layer_stats, created_ms)"                                                       \
    " VALUES ('job_old', '', 'running', 'none', 'client', 3, 1, 0, '', 3, 1, 3, 0, 5);"                      \
    "INSERT INTO job_specs VALUES (1, '{}');"

// The last versions without runs of steps and named metrics, and without clients' checkpoints.
enum { BEFORE_WRITES = 3, BEFORE_CHECKPOINTS = 4 };

static const char since_writes[] =
    "DROP INDEX metric_rows_by_revision;"
    "INSERT INTO writes VALUES (1, 2, 0, 1, 2), (1, 3, 0, 3, 3), (1, 3, 1048577, 3, 3);"
    "INSERT INTO rollups VALUES (1, 0, 1, 0, NULL), (1, 0, 2, 0, NULL), (1, 0, 3, 0, NULL), (1, 0, 4, 0, "
    "NULL);"
    "INSERT INTO metric_names VALUES (1, 1, 'mine');"
    "INSERT INTO custom_rows VALUES (1, 1, 3, 3, 0.5);";

static void make_old(const char *path, size_t version)
{
    struct database *db;
    fclose(fopen(path, "w"));
    assert_ok(database_open(path, DATABASE_WRITER, sql_texts, &db, &err));
    assert_ok(schema_migrate(db, schema_steps, version, &err));
    assert_ok(database_run(db, OLD_JOB OLD_WIDE, &err));
    if (version > BEFORE_WRITES)
        assert_ok(database_run(db, since_writes, &err));
    if (version > BEFORE_CHECKPOINTS)
        assert_ok(
            database_run(db, "INSERT INTO checkpoints VALUES (1, 1, 3, 9, 'sha256', 'kept_old', 0)", &err));
    database_close(db);
}

struct seen {
    size_t count;
    uint64_t steps[8], revisions[8];
};

static enum nabla_code see(void *context, const struct history_row *row)
{
    struct seen *seen = context;
    seen->steps[seen->count] = row->step;
    seen->revisions[seen->count++] = row->revision;
    return NABLA_OK;
}

static void test_old_files_are_copied_and_brought_up_to_date(void **state)
{
    (void)state;
    for (size_t version = 1; version < schema_step_count; version++) {
        const size_t named = version > BEFORE_WRITES;
        void *place;
        fixture_make(&place);
        struct fixture *fixture = place;
        char path[256], name[64], sql[64];
        fixture_path(fixture, "nabla.db", path);
        make_old(path, version);
        assert_ok(store_open(fixture->folder, &fixture->store, &err));
        snprintf(name, sizeof name, "nabla.db.v%zu-backup", version);
        assert_true(fixture_has(fixture, name));

        struct seen seen = {.count = 0};
        uint64_t revision;
        struct history_query query = {.has_after = true, .until_step = UINT64_MAX, .limit = 10};
        assert_ok(store_history_metrics(fixture->store, "job_old", &query, see, &seen, &revision, &err));
        assert_int_equal(seen.count, 3 + named);
        assert_int_equal(seen.revisions[2], 3);
        query.after = (struct history_cursor){.revision = 2, .layer = UINT32_MAX, .step = UINT64_MAX};
        seen.count = 0;
        assert_ok(store_history_metrics(fixture->store, "job_old", &query, see, &seen, &revision, &err));
        assert_int_equal(seen.count, 1 + named);
        append(fixture->store, "job_old", 4);
        struct checkpoint_row row;
        char *file = NULL;
        const bool has_checkpoint =
            store_checkpoint_get(fixture->store, "job_old", &row, &file, NULL) == NABLA_OK;
        assert_true(has_checkpoint == (version > BEFORE_CHECKPOINTS));
        free(file);
        assert_ok(store_check(fixture->store, &err));
        fixture_reopen(fixture);

        struct database *db; // the copy is as it was
        int64_t number;
        fixture_path(fixture, name, path);
        assert_ok(database_open(path, DATABASE_READER, sql_texts, &db, &err));
        assert_ok(database_number(db, "PRAGMA user_version", &number, &err));
        assert_int_equal(number, version);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM metric_rows");
        assert_ok(database_number(db, sql, &number, &err));
        assert_int_equal(number, 3);
        database_close(db);
        fixture_close(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_copy_is_of_one_state_and_goes_back, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_job_that_is_deleted_meanwhile_is_not_in_the_copy, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_an_interrupted_restore_is_begun_anew, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_check_finds_orphans_and_repairs_them, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_check_holds_rollups_and_files_against_rows, fixture_open,
                                        fixture_close),
        cmocka_unit_test(test_old_files_are_copied_and_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
