// What is deleted while a backup or a check is under way: the copy is whole without it, and no fault is told.
// Files that are read first are pipes, so that the deletion has its moment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/backup.h"
#include "store/backup_copy.h"
#include "store/check.h"
#include "store/database.h"
#include "store/datasets.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

static const char *const contents[] = {"first", "second", "third"};
enum { DATASETS = sizeof contents / sizeof *contents };

// A store with data sets, and what happens to it once the first is read.
struct scene {
    struct fixture *fixture;
    char ids[DATASETS][TOKEN_ID_SIZE], files[DATASETS][400];
    void (*happen)(struct scene *scene);
    size_t pipes; // of the data sets, in their order
    pthread_t thread;
    atomic_bool is_over;
};

static void add_dataset(struct scene *scene, size_t at)
{
    struct creation made;
    const size_t size = strlen(contents[at]);
    struct dataset_row row = {.name = (char[]){"d"}, .rows = 1, .features = 1, .description = (char[]){"{}"}};
    struct creation_key key = {.text = contents[at]};
    token_sha256(row.sha256, contents[at], size);
    memcpy(key.sha256, row.sha256, sizeof key.sha256);
    row.bytes = size;
    assert_ok(store_dataset_create(scene->fixture->store, &row, PIECE(contents[at]), &key, &made, &err));
    snprintf(scene->ids[at], TOKEN_ID_SIZE, "%s", made.id);
    snprintf(scene->files[at], sizeof scene->files[at], "%s/datasets/%s.safetensors", scene->fixture->folder,
             row.sha256);
}

static void run_sql(const struct scene *scene, const char *sql)
{
    char path[256];
    struct database *db;
    fixture_path(scene->fixture, "nabla.db", path);
    assert_ok(database_open(path, DATABASE_PLAIN, sql_texts, &db, NULL));
    assert_ok(database_run(db, sql, NULL));
    database_close(db);
}

static void become_file(const struct scene *scene, size_t at)
{
    assert_int_equal(file_replace(scene->files[at], contents[at], strlen(contents[at]), NULL), NABLA_OK);
}

// A backup reads what is in the pipe: it waits there.
static void *feed(void *context)
{
    struct scene *scene = context;
    const int pipe = open(scene->files[0], O_WRONLY); // waits for the reader
    assert_true(pipe >= 0);
    scene->happen(scene);
    become_file(scene, 0);
    assert_int_equal(write(pipe, contents[0], strlen(contents[0])), strlen(contents[0]));
    close(pipe);
    return NULL;
}

// A check only opens a pipe: it has seen the rows when it is at the first, and waits at the second until what
// is to happen has happened. By then both are files again, and the second pipe has a name of its own.
static void *let_pass(void *context)
{
    struct scene *scene = context;
    char other[440];
    int second = -1;
    snprintf(other, sizeof other, "%s.pipe", scene->files[1]);
    const int first = open(scene->files[0], O_WRONLY); // waits for the reader
    assert_true(first >= 0);
    scene->happen(scene);
    assert_int_equal(link(scene->files[1], other), 0);
    become_file(scene, 0);
    become_file(scene, 1);
    while (second < 0 && !atomic_load(&scene->is_over)) // who comes now finds the file
        second = open(other, O_WRONLY | O_NONBLOCK);
    assert_int_equal(unlink(other), 0);
    close(first);
    close(second);
    return NULL;
}

static void scene_begin(struct scene *scene, struct fixture *fixture, size_t pipes,
                        void (*happen)(struct scene *))
{
    scene->fixture = fixture;
    scene->happen = happen;
    scene->pipes = pipes;
    for (size_t i = 0; i < DATASETS; i++)
        add_dataset(scene, i);
    for (size_t i = 0; i < pipes; i++) {
        assert_int_equal(unlink(scene->files[i]), 0);
        assert_int_equal(mkfifo(scene->files[i], 0600), 0);
    }
    assert_int_equal(pthread_create(&scene->thread, NULL, pipes > 1 ? let_pass : feed, scene), 0);
}

static void tell(void *context, const char *text)
{
    (void)context;
    print_message("%s\n", text);
}

static size_t faults_of(const char *folder)
{
    size_t faults = 99;
    const struct check_wish wish = {.all = true};
    assert_ok(check_folder(folder, &wish, tell, NULL, &faults, &err));
    return faults;
}

static void delete_third(struct scene *scene)
{
    assert_int_equal(store_dataset_delete(scene->fixture->store, scene->ids[2], NULL), NABLA_OK);
}

static void a_data_set_that_is_deleted_is_not_in_the_copy(void **state)
{
    struct fixture *fixture = *state;
    struct scene scene = {.is_over = false};
    char copy[256], back[256];
    size_t files = 0;
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "back", back);
    scene_begin(&scene, fixture, 1, delete_third);
    assert_ok(backup_make(fixture->folder, copy, &files, &err));
    pthread_join(scene.thread, NULL);
    assert_int_equal(files, 3); // the database and two data sets
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM datasets"), 2);
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM idempotency_keys"), 2);
    assert_ok(backup_restore(copy, back, &files, &err));
    assert_int_equal(faults_of(back), 0);
}

static void lose_third(struct scene *scene)
{
    assert_int_equal(unlink(scene->files[2]), 0);
}

static void a_data_set_that_is_lost_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct scene scene = {.is_over = false};
    char copy[256];
    size_t files = 0;
    fixture_path(fixture, "copy", copy);
    scene_begin(&scene, fixture, 1, lose_third);
    struct nabla_error lost = {.text = ""};
    assert_int_equal(backup_make(fixture->folder, copy, &files, &lost), NABLA_IO);
    pthread_join(scene.thread, NULL);
    assert_non_null(strstr(lost.text, "is missing"));
    assert_int_equal(faults_of(fixture->folder), 1);
}

static void a_file_that_has_gone_is_told_from_one_that_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    char to[256], sha256[TOKEN_SHA256_SIZE];
    fixture_path(fixture, "copy", to);
    struct backup backup = {.from = fixture->folder, .to = to};
    assert_ok(file_make_folder(to, &err));
    assert_fails(NABLA_NOT_FOUND, backup_copy(&backup, "checkpoint", sha256, &err));
    assert_fails(NABLA_IO, backup_copy(&backup, "datasets", sha256, &err)); // a folder
}

// A new server has brought the file up to date and deleted the job since.
static void delete_job(struct scene *scene)
{
    run_sql(scene, "DELETE FROM jobs");
}

static void a_job_goes_from_the_copy_of_an_older_version(void **state)
{
    struct fixture *fixture = *state;
    struct scene scene = {.is_over = false};
    char copy[256], id[TOKEN_ID_SIZE];
    size_t files = 0;
    fixture_path(fixture, "copy", copy);
    fixture_job(fixture->store, JOB_CLIENT, id);
    scene.fixture = fixture;
    run_sql(&scene, "DROP TABLE checkpoints; DROP TABLE doomed");
    scene_begin(&scene, fixture, 1, delete_job);
    assert_ok(backup_make(fixture->folder, copy, &files, &err));
    pthread_join(scene.thread, NULL);
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM jobs"), 0);
    assert_int_equal(fixture_number(copy, "SELECT count(*) FROM job_specs"), 0);
}

static void a_check_tells_no_fault_of_what_is_deleted_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct scene scene = {.is_over = false};
    scene_begin(&scene, fixture, 2, delete_third); // the second pipe is read after the deletion
    const size_t faults = faults_of(fixture->folder);
    atomic_store(&scene.is_over, true);
    pthread_join(scene.thread, NULL);
    assert_int_equal(faults, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        TEST(a_data_set_that_is_deleted_is_not_in_the_copy),
        TEST(a_data_set_that_is_lost_is_told),
        TEST(a_file_that_has_gone_is_told_from_one_that_cannot_be_read),
        TEST(a_job_goes_from_the_copy_of_an_older_version),
        TEST(a_check_tells_no_fault_of_what_is_deleted_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
