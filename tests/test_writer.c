// Writes that share a commit: two threads, the second of which waits for the lock while the first one ends.
// What each is told, what is kept, and that nothing is seen before both have ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/sql.h"
#include "store/sweep.h"
#include "store/writer.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tables[] =
    "PRAGMA foreign_keys = ON;"
    "CREATE TABLE kept (row INTEGER PRIMARY KEY);"
    "CREATE TABLE known (row INTEGER REFERENCES kept DEFERRABLE INITIALLY DEFERRED);";

// What the second write does, and what comes of it.
static const struct {
    const char *comment;
    bool first_durable, second_durable;
    const char *sql;
    enum nabla_code outcome; // that it ends with
    enum nabla_code first_told, second_told;
    int64_t seen_between, kept; // rows: while the second one is at work, and at the end
} cases[] = {
    {"both are kept, at once", true, true, "INSERT INTO kept VALUES (2)", NABLA_OK, NABLA_OK, NABLA_OK, 0, 2},
    {"one that needs no disk joins", true, false, "INSERT INTO kept VALUES (2)", NABLA_OK, NABLA_OK, NABLA_OK,
     0, 2},
    {"one that needs the disk does not join one without", false, true, "INSERT INTO kept VALUES (2)",
     NABLA_OK, NABLA_OK, NABLA_OK, 1, 2},
    {"what fails alone is undone alone", true, true, "INSERT INTO kept VALUES (2)", NABLA_CONFLICT, NABLA_OK,
     NABLA_CONFLICT, 0, 1},
    {"what takes the transaction with it is told to both", true, true, "ROLLBACK", NABLA_DISK_FULL,
     NABLA_DISK_FULL, NABLA_DISK_FULL, 0, 0},
    {"whose fault it was stays between them", true, true, "ROLLBACK", NABLA_CONFLICT, NABLA_IO,
     NABLA_CONFLICT, 0, 0},
    {"a commit that fails, fails for both", true, true, "INSERT INTO known VALUES (7)", NABLA_OK,
     NABLA_INTERNAL, NABLA_INTERNAL, 0, 0},
};

struct write {
    pthread_t thread;
    struct writer *writer;
    bool durable;
    const char *sql;
    enum nabla_code outcome, told;
    struct nabla_error err;
    sem_t is_inside, may_end;
};

static sem_t pauses; // posted as a thread begins to wait

static void note_pause(bool begins)
{
    if (begins)
        sem_post(&pauses);
}

static void *write_once(void *context)
{
    struct write *write = context;
    struct database *db;
    write->told = writer_begin(write->writer, write->durable, &db, &write->err);
    if (write->told)
        return NULL;
    const enum nabla_code ran = database_run(db, write->sql, &write->err);
    sem_post(&write->is_inside);
    sem_wait(&write->may_end);
    write->told = writer_end(write->writer, ran ? ran : write->outcome, &write->err);
    return NULL;
}

static void begin_write(struct write *write, struct writer *writer, bool durable, const char *sql,
                        enum nabla_code outcome)
{
    *write = (struct write){.writer = writer, .durable = durable, .sql = sql, .outcome = outcome};
    sem_init(&write->is_inside, 0, 0);
    sem_init(&write->may_end, 0, 0);
    assert_int_equal(pthread_create(&write->thread, NULL, write_once, write), 0);
}

static void end_write(struct write *write)
{
    pthread_join(write->thread, NULL);
    sem_destroy(&write->is_inside);
    sem_destroy(&write->may_end);
}

static int64_t count_rows(struct database *reader)
{
    int64_t rows = -1;
    assert_int_equal(database_number(reader, "SELECT count(*) FROM kept", &rows, NULL), NABLA_OK);
    return rows;
}

static void run_case(size_t at, struct writer *writer, struct database *reader)
{
    struct write first, second;
    sem_init(&pauses, 0, 0);
    begin_write(&first, writer, cases[at].first_durable, "INSERT INTO kept VALUES (1)", NABLA_OK);
    sem_wait(&first.is_inside);
    begin_write(&second, writer, cases[at].second_durable, cases[at].sql, cases[at].outcome);
    sem_wait(&pauses); // for the lock
    sem_post(&first.may_end);
    sem_wait(&second.is_inside);
    if (cases[at].seen_between == 0)
        sem_wait(&pauses); // the first one for the commit
    assert_int_equal(count_rows(reader), cases[at].seen_between);
    sem_post(&second.may_end);
    end_write(&first);
    end_write(&second);
    assert_int_equal(first.told, cases[at].first_told);
    assert_int_equal(second.told, cases[at].second_told);
    assert_int_equal(first.told ? first.err.code : NABLA_OK, first.told);
    assert_int_equal(count_rows(reader), cases[at].kept);
    sem_destroy(&pauses);
}

// Then another one, alone, is kept.
static void go_on(struct writer *writer, struct database *reader)
{
    struct database *db;
    const int64_t before = count_rows(reader);
    assert_int_equal(writer_begin(writer, true, &db, NULL), NABLA_OK);
    assert_int_equal(database_run(db, "INSERT INTO kept VALUES (9)", NULL), NABLA_OK);
    assert_int_equal(writer_end(writer, NABLA_OK, NULL), NABLA_OK);
    assert_int_equal(count_rows(reader), before + 1);
}

static void writes_that_come_together_share_a_commit(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        char folder[] = "/tmp/nabla-test-XXXXXX", path[64];
        struct writer writer;
        struct database *reader;
        print_message("%s\n", cases[at].comment);
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/db", folder);
        fclose(fopen(path, "wb"));
        writer_open(&writer);
        writer.pause = note_pause;
        assert_int_equal(database_open(path, DATABASE_WRITER, sql_texts, &writer.db, NULL), NABLA_OK);
        assert_int_equal(database_run(writer.db, tables, NULL), NABLA_OK);
        assert_int_equal(database_open(path, DATABASE_READER, sql_texts, &reader, NULL), NABLA_OK);
        run_case(at, &writer, reader);
        go_on(&writer, reader);
        database_close(reader);
        writer_close(&writer);
        sweep_tree(folder, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_that_come_together_share_a_commit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
