#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/database.h"
#include "store/datasets.h"
#include "store/history.h"
#include "store/schema.h"
#include "store/wide.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

// --- opening

static void test_opening_makes_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    static const char *const parts[] = {"nabla.db", "lock", "datasets", "jobs", "tmp"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_true(fixture_has(fixture, parts[i]));
    assert_true(store_folder(fixture->store)[0] == '/');
    assert_ok(store_ping(fixture->store, &err));
    assert_ok(store_check(fixture->store, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_false(fixture_has(fixture, "nabla.db-wal")); // closing moves the log into the file
    store_close(NULL);
}

static void test_a_second_opener_is_told_to_wait(void **state)
{
    struct fixture *fixture = *state;
    struct store *second = NULL;
    assert_fails(NABLA_BUSY, store_open(fixture->folder, &second, &err));
    assert_null(second);
    assert_ok(store_ping(fixture->store, &err)); // the first one is not disturbed
    fixture_reopen(fixture);
}

static void test_a_missing_parent_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    struct store *store;
    fixture_path(fixture, "no/such", path);
    assert_fails(NABLA_IO, store_open(path, &store, &err));
}

// Puts a big-endian number into the file's header (SQLite's file format, section 1.3).
static void patch_header(struct fixture *fixture, off_t offset, uint32_t value)
{
    char path[256];
    store_close(fixture->store);
    fixture->store = NULL;
    fixture_path(fixture, "nabla.db", path);
    const unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                    (unsigned char)(value >> 8), (unsigned char)value};
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, offset), sizeof bytes);
    close(fd);
}

enum { USER_VERSION_OFFSET = 60, APPLICATION_ID_OFFSET = 68 };

static void test_a_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    patch_header(fixture, USER_VERSION_OFFSET, 1000);
    struct nabla_error reason;
    assert_int_equal(store_open(fixture->folder, &fixture->store, &reason), NABLA_CONFLICT);
    assert_non_null(strstr(reason.text, "newer"));
    assert_non_null(strstr(reason.text, "1000"));
    patch_header(fixture, USER_VERSION_OFFSET, (uint32_t)schema_step_count); // left as it was: opens again
    assert_ok(store_open(fixture->folder, &fixture->store, &err));
}

static void test_a_foreign_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    patch_header(fixture, APPLICATION_ID_OFFSET, 42);
    assert_fails(NABLA_CONFLICT, store_open(fixture->folder, &fixture->store, &err));
}

static void test_a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char text[4096];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    fixture_write(fixture, "nabla.db", text);
    struct nabla_error reason;
    assert_int_equal(store_open(fixture->folder, &fixture->store, &reason), NABLA_IO);
    assert_non_null(strstr(reason.text, "not a database"));
}

static void test_leftovers_are_swept_and_the_rest_stays(void **state)
{
    struct fixture *fixture = *state;
    char job[TOKEN_ID_SIZE], kept_job[64], kept_file[128], path[256];
    fixture_job(fixture->store, JOB_LOCAL, job);
    struct dataset_row row = {.name = "", .description = ""};
    token_sha256(row.sha256, "x", 1);
    struct creation made;
    assert_ok(store_dataset_create(fixture->store, &row, PIECE("x"), NULL, &made, &err));
    snprintf(kept_file, sizeof kept_file, "datasets/%s.safetensors", row.sha256);
    snprintf(kept_job, sizeof kept_job, "jobs/%s", job);
    static const char *const folders[] = {"jobs/job_gone", "jobs/job_gone/deep", "tmp/folder"};
    fixture_path(fixture, kept_job, path);
    assert_ok(file_make_folder(path, &err));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        fixture_path(fixture, folders[i], path);
        assert_ok(file_make_folder(path, &err));
    }
    static const char *const leftovers[] = {
        "tmp/upload",
        "tmp/folder/file",
        "jobs/job_gone/deep/model",
        "datasets/0123456789012345678901234567890123456789012345678901234567890123.safetensors",
        "datasets/short.safetensors",
        "datasets/half.1.new"};
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        fixture_write(fixture, leftovers[i], "x");
    fixture_reopen(fixture);
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        assert_false(fixture_has(fixture, leftovers[i]));
    assert_false(fixture_has(fixture, "jobs/job_gone"));
    assert_true(fixture_has(fixture, kept_job));
    assert_true(fixture_has(fixture, kept_file));
}

// --- schema and wide tables, on a file of their own

static struct database *open_lone(struct fixture *fixture)
{
    char path[256];
    struct database *db;
    fixture_write(fixture, "lone.db", "");
    fixture_path(fixture, "lone.db", path);
    assert_ok(database_open(path, DATABASE_WRITER, sql_texts, &db, &err));
    return db;
}

static int64_t number_of(struct database *db, const char *sql)
{
    int64_t number = -1;
    assert_ok(database_number(db, sql, &number, &err));
    return number;
}

static void test_migrations_run_once_and_in_order(void **state)
{
    static const char *const steps[] = {"CREATE TABLE t (a); INSERT INTO t VALUES (1)",
                                        "ALTER TABLE t ADD COLUMN b DEFAULT 5", "UPDATE t SET a = a + b"};
    struct database *db = open_lone(*state);
    assert_ok(schema_migrate(db, steps, 1, &err));
    assert_int_equal(number_of(db, "PRAGMA user_version"), 1);
    assert_ok(schema_migrate(db, steps, 3, &err));
    assert_ok(schema_migrate(db, steps, 3, &err)); // nothing left to do
    assert_int_equal(number_of(db, "PRAGMA user_version"), 3);
    assert_int_equal(number_of(db, "SELECT a FROM t"), 6);
    assert_fails(NABLA_CONFLICT, schema_migrate(db, steps, 2, &err));
    database_close(db);
}

static void test_a_failed_migration_changes_nothing(void **state)
{
    static const char *const steps[] = {"CREATE TABLE t (a)", "INSERT INTO nowhere VALUES (1)"};
    struct database *db = open_lone(*state);
    assert_ok(database_begin(db, true, &err));
    assert_fails(NABLA_INTERNAL, schema_migrate(db, steps, 2, &err));
    database_rollback(db);
    assert_int_equal(number_of(db, "PRAGMA user_version"), 0);
    assert_int_equal(number_of(db, "SELECT count(*) FROM sqlite_schema"), 0);
    database_close(db);
}

static void test_a_new_statistic_becomes_a_column(void **state)
{
    static const struct stat_info old_stats[] = {{"a", "", ""}, {"c", "", ""}};
    static const struct stat_info new_stats[] = {{"a", "", ""}, {"b", "", ""}, {"c", "", ""}};
    const struct wide_table old_table = {"rows", "seen", "folds", false, old_stats, 2};
    const struct wide_table new_table = {"rows", "seen", "folds", false, new_stats, 3};
    struct database *db = open_lone(*state);
    struct wide wide;
    assert_ok(database_run(db, "CREATE TABLE jobs (number, id); INSERT INTO jobs VALUES (1, 'job_x')", &err));
    assert_ok(wide_open(db, &old_table, &wide, &err));
    wide_free(&wide);
    assert_ok(database_run(db, "INSERT INTO rows VALUES (1, 1, 1, 3, 10, 30)", &err));

    assert_ok(wide_open(db, &new_table, &wide, &err));
    assert_int_equal(number_of(db, "SELECT a + c FROM rows"), 40);       // the old row stands
    assert_int_equal(number_of(db, "SELECT b IS NULL FROM rows"), 1);    // without the new statistic
    assert_int_equal(wide_mask_out(&wide, 3), 1 | 4);                    // a and c, in the program's order
    assert_int_equal(wide_mask_in(&wide, 1 | 2), 1 | 4);                 // b is the file's third column
    assert_int_equal(number_of(db, "SELECT count(b) + 1 FROM seen"), 1); // and the view has it
    wide_free(&wide);

    assert_ok(wide_open(db, &old_table, &wide, &err)); // an older program: it knows less, and harms nothing
    assert_int_equal(wide_mask_out(&wide, 7), 3);
    assert_int_equal(number_of(db, "SELECT count(*) FROM seen WHERE b IS NULL"), 1);
    wide_free(&wide);
    database_close(db);
}

static void test_the_plans_use_the_indexes(void **state)
{
    struct fixture *fixture = *state;
    char path[256], sql[4096];
    struct database *db;
    fixture_path(fixture, "nabla.db", path);
    assert_ok(database_open(path, DATABASE_READER, sql_texts, &db, &err));
    struct wide wides[2];
    store_close(fixture->store);
    fixture->store = NULL;
    assert_ok(database_run(db, "PRAGMA query_only = OFF", &err));
    assert_ok(wide_open(db, &wide_metrics, &wides[0], &err));
    assert_ok(wide_open(db, &wide_gradients, &wides[1], &err));
    const char *const texts[] = {
        wides[0].texts[WIDE_BY_STEP],  wides[0].texts[WIDE_NEWEST],    wides[1].texts[WIDE_BY_STEP],
        wides[1].texts[WIDE_NEWEST],   wides[1].texts[WIDE_FOLD_READ], sql_texts[SQL_RUNS_FROM],
        sql_texts[SQL_ROLLUP_READ],    sql_texts[SQL_ROLLUP_STALE],    sql_texts[SQL_NAMED_BY_STEP],
        sql_texts[SQL_NAMED_NEWEST],   sql_texts[SQL_JOB_NEXT_QUEUED], sql_texts[SQL_JOB_COUNT],
        sql_texts[SQL_DATASET_NEEDED], sql_texts[SQL_DELETE_KEYS]};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct statement *plan;
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", texts[i]);
        assert_ok(database_prepare(db, sql, &plan, &err));
        size_t lines = 0;
        while (statement_row(plan, NULL) == NABLA_OK) {
            const char *line = statement_text(plan, 3);
            lines++;
            if (strncmp(line, "SCAN", 4) == 0 || strstr(line, "TEMP B-TREE"))
                fail_msg("%s: %s", texts[i], line);
        }
        assert_true(lines > 0);
        statement_free(plan);
    }
    wide_free(&wides[0]);
    wide_free(&wides[1]);
    database_close(db);
}

// --- a killed process

struct ack {
    char id[TOKEN_ID_SIZE];
    uint64_t step; // of the batch that stands
};

// Never returns: makes jobs and histories until it is killed, and tells of each that was acknowledged.
static void write_until_killed(const char *folder, int pipe_end)
{
    struct store *store;
    if (store_open(folder, &store, NULL) != NABLA_OK)
        _exit(1);
    for (uint64_t step = 0;; step++) {
        static struct ack ack;
        const struct job_new job = {.name = "", .spec = "{}", .executor = JOB_CLIENT};
        bool repeated;
        if (step % 8 == 0 && store_job_create(store, &job, ack.id, &repeated, NULL) != NABLA_OK)
            _exit(1);
        struct layer_record layer = {.index = 0, .name = "dense", .recorded = 1, .values = {(double)step}};
        const struct step_record record = {.step = step, .layers = &layer, .layer_count = 1};
        const struct history_batch batch = {.attempt = 1, .records = &record, .record_count = 1};
        struct history_ack written;
        if (store_history_append(store, ack.id, &batch, &written, NULL) != NABLA_OK)
            _exit(1);
        ack.step = step;
        if (write(pipe_end, &ack, sizeof ack) != sizeof ack)
            _exit(1);
    }
}

static enum nabla_code find_step(void *context, const struct history_row *row)
{
    struct ack *ack = context;
    return row->step == ack->step && row->values[0] == (double)ack->step ? NABLA_CANCELLED : NABLA_OK;
}

static void test_what_was_acknowledged_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    enum { ACKS = 60 };
    static struct ack acks[ACKS];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_until_killed(fixture->folder, ends[1]);
    close(ends[1]);
    for (size_t i = 0; i < ACKS; i++)
        assert_int_equal(read(ends[0], &acks[i], sizeof acks[i]), sizeof acks[i]);
    kill(child, SIGKILL); // in the midst of whatever it does
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ends[0]);

    assert_ok(store_open(fixture->folder, &fixture->store, &err));
    assert_ok(store_check(fixture->store, &err));
    const struct history_query all = {.until_step = UINT64_MAX, .limit = SIZE_MAX};
    for (size_t i = 0; i < ACKS; i++) {
        uint64_t revision;
        assert_int_equal(
            store_history_layers(fixture->store, acks[i].id, &all, find_step, &acks[i], &revision, NULL),
            NABLA_CANCELLED);
    }
}

#define with_store(test)  cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
#define with_folder(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_opening_makes_what_is_missing),
        with_store(test_a_second_opener_is_told_to_wait),
        with_folder(test_a_missing_parent_is_an_error),
        with_store(test_a_newer_schema_is_refused),
        with_store(test_a_foreign_database_is_refused),
        with_folder(test_a_file_that_is_no_database_is_refused),
        with_store(test_leftovers_are_swept_and_the_rest_stays),
        with_folder(test_migrations_run_once_and_in_order),
        with_folder(test_a_failed_migration_changes_nothing),
        with_folder(test_a_new_statistic_becomes_a_column),
        with_store(test_the_plans_use_the_indexes),
        with_folder(test_what_was_acknowledged_survives_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
