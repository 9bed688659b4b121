#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/datasets.h"
#include "store/usage.h"
#include "store_fixture.h"

#include <pthread.h>

static struct dataset_row row_of(const char *content)
{
    struct dataset_row row = {
        .name = "digits", .rows = 3, .features = 4, .classes = 2, .bytes = 5, .description = "{\"a\":1}"};
    token_sha256(row.sha256, content, strlen(content));
    return row;
}

static bool create(struct store *store, const char *content, char ret_id[TOKEN_ID_SIZE])
{
    struct dataset_row row = row_of(content);
    struct creation made;
    assert_ok(store_dataset_create(store, &row, PIECE(content), NULL, &made, &err));
    memcpy(ret_id, made.id, sizeof made.id);
    return made.existed;
}

static bool has_file(struct store *store, const char *content)
{
    struct dataset_row row = row_of(content);
    char *path = store_dataset_path(store, row.sha256);
    assert_non_null(path);
    bool has = access(path, R_OK) == 0;
    free(path);
    return has;
}

static void test_a_data_set_comes_back_as_it_was_made(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    assert_false(create(fixture->store, "hello", id));
    fixture_reopen(fixture);
    struct dataset_row *row, wanted = row_of("hello");
    assert_ok(store_dataset_get(fixture->store, id, &row, &err));
    assert_string_equal(row->id, id);
    assert_string_equal(row->sha256, wanted.sha256);
    assert_string_equal(row->name, "digits");
    assert_string_equal(row->description, "{\"a\":1}");
    assert_int_equal(row->rows, 3);
    assert_int_equal(row->features, 4);
    assert_int_equal(row->classes, 2);
    assert_int_equal(row->bytes, 5);
    assert_true(row->created_ms > 0);
    struct buffer content = buffer_new(100);
    char *path = store_dataset_path(fixture->store, row->sha256);
    assert_ok(file_read(path, &content, &err));
    assert_string_equal(content.data, "hello");
    free(path);
    buffer_free(&content);
    dataset_row_free(row);
}

static void test_no_more_bytes_are_kept_than_may_be(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    const uint64_t used = store_usage_bytes(store); // looked at just now: the next ones come on top
    const struct {
        const char *content, *owner;
        uint64_t owner_most, disk_most;
        enum nabla_code code;
    } steps[] = {
        {"a", "tok_a", 9, 0, NABLA_OK},
        {"b", "tok_a", 9, 0, NABLA_LIMIT},          // 10 bytes
        {"a", "tok_a", 9, 0, NABLA_OK},             // nothing is added
        {"b", "tok_b", 9, 0, NABLA_OK},             // another's are their own
        {"c", NULL, 0, used + 14, NABLA_DISK_FULL}, // 15 bytes came on top
        {"c", NULL, 0, used + 15, NABLA_OK},
        {"d", NULL, 0, used + 15, NABLA_DISK_FULL},
        {"d", NULL, 0, 1, NABLA_DISK_FULL},
        {"d", NULL, 0, 0, NABLA_OK},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct dataset_row row = row_of(steps[i].content);
        struct creation made;
        struct nabla_error why = {0};
        row.owner = steps[i].owner;
        row.owner_most = steps[i].owner_most;
        row.disk_most = steps[i].disk_most;
        if (store_dataset_create(store, &row, PIECE(steps[i].content), NULL, &made, &why) != steps[i].code)
            fail_msg("step %zu: %s", i, why.text);
        assert_true(steps[i].code == NABLA_OK || strstr(why.text, "the limit max_disk") ||
                    strstr(why.text, "its limit max_disk"));
        assert_int_equal(has_file(store, steps[i].content), steps[i].code == NABLA_OK);
    }
}

static void test_room_that_was_made_is_there_at_once(void **state)
{
    enum { MUCH = 1 << 20 }; // against what the removal itself adds to the database's log
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], *large = malloc(MUCH);
    struct creation made;
    assert_non_null(large);
    memset(large, 'a', MUCH - 1);
    large[MUCH - 1] = '\0';
    create(store, large, id);
    free(large);
    struct dataset_row row = row_of("small");
    row.disk_most = store_usage_bytes(store);
    assert_fails(NABLA_DISK_FULL, store_dataset_create(store, &row, PIECE("small"), NULL, &made, &err));
    assert_ok(store_dataset_delete(store, id, &err));
    assert_ok(store_dataset_create(store, &row, PIECE("small"), NULL, &made, &err));
}

static void test_the_same_content_is_the_same_data_set(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char first[TOKEN_ID_SIZE], second[TOKEN_ID_SIZE], other[TOKEN_ID_SIZE];
    assert_false(create(store, "a", first));
    assert_true(create(store, "a", second));
    assert_string_equal(first, second);
    assert_false(create(store, "b", other));
    assert_string_not_equal(first, other);
}

static struct creation create_keyed(struct store *store, const char *content, const struct creation_key *key)
{
    struct dataset_row row = row_of(content);
    struct creation made;
    assert_ok(store_dataset_create(store, &row, PIECE(content), key, &made, &err));
    return made;
}

static void test_a_key_repeats_what_it_made_first(void **state)
{
    struct fixture *fixture = *state;
    const struct creation_key key = {"k", "request 1"}, other = {"k", "request 2"}, found = {"f", ""};
    struct creation first = create_keyed(fixture->store, "a", &key);
    assert_false(first.existed);
    struct creation second = create_keyed(fixture->store, "a", &found); // known content, a new key
    assert_string_equal(second.id, first.id);
    assert_true(second.existed);

    fixture_reopen(fixture);
    struct creation again = create_keyed(fixture->store, "a", &key);
    assert_string_equal(again.id, first.id);
    assert_false(again.existed); // as the first time
    assert_true(create_keyed(fixture->store, "a", &found).existed);
    assert_true(create_keyed(fixture->store, "a", NULL).existed);

    struct dataset_row row = row_of("b");
    assert_fails(NABLA_INVALID, store_dataset_create(fixture->store, &row, PIECE("b"), &other, &again, &err));
    assert_false(has_file(fixture->store, "b"));

    assert_ok(store_dataset_delete(fixture->store, first.id, &err)); // frees both keys
    assert_int_equal(store_key_find(fixture->store, KEY_DATASETS, &found, &again, NULL), NABLA_NOT_FOUND);
    assert_false(create_keyed(fixture->store, "b", &other).existed);
}

static void test_keys_of_jobs_and_data_sets_are_apart(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    const struct creation_key key = {"k", "request"};
    const struct job_new job = {.name = "", .spec = "{}", .key = &key};
    char id[TOKEN_ID_SIZE];
    bool repeated;
    struct creation made = create_keyed(store, "a", &key);
    assert_ok(store_job_create(store, &job, id, &repeated, &err));
    assert_false(repeated);
    assert_ok(store_key_find(store, KEY_JOBS, &key, &made, &err));
    assert_string_equal(made.id, id);
}

static void test_only_hashes_name_files(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    static const char *const hashes[] = {"", "../../etc/passwd",
                                         "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789"};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        struct dataset_row row = row_of("x");
        snprintf(row.sha256, sizeof row.sha256, "%s", hashes[i]);
        struct creation made;
        assert_fails(NABLA_INVALID, store_dataset_create(store, &row, PIECE("x"), NULL, &made, &err));
    }
}

static void test_pages_give_every_data_set_once(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    static const char *const contents[] = {"a", "b", "c", "d", "e"};
    char ids[5][TOKEN_ID_SIZE], cursor[TOKEN_ID_SIZE] = "";
    for (size_t i = 0; i < 5; i++)
        create(store, contents[i], ids[i]);
    for (size_t seen = 0; seen < 5;) {
        struct dataset_row **rows;
        size_t count;
        assert_ok(store_dataset_list(store, cursor, 2, &rows, &count, cursor, &err));
        assert_int_equal(count, seen < 4 ? 2 : 1);
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(rows[i]->id, ids[4 - seen++]);
            dataset_row_free(rows[i]);
        }
        free(rows);
        assert_int_equal(cursor[0] == '\0', seen == 5);
    }
    struct dataset_row **rows;
    size_t count;
    assert_fails(NABLA_INVALID, store_dataset_list(store, "ds_a", 2, &rows, &count, cursor, &err));
}

static void test_unfinished_jobs_keep_their_data_set(void **state)
{
    static const struct {
        enum job_event path[3];
        size_t length;
        enum nabla_code expected;
        const char *comment;
    } cases[] = {
        {.length = 0, .expected = NABLA_CONFLICT, .comment = "queued"},
        {.path = {JOB_EVENT_CLAIM}, .length = 1, .expected = NABLA_CONFLICT, .comment = "running"},
        {.path = {JOB_EVENT_PAUSE}, .length = 1, .expected = NABLA_CONFLICT, .comment = "paused"},
        {.path = {JOB_EVENT_CANCEL}, .length = 1, .expected = NABLA_OK, .comment = "cancelled"},
        {.path = {JOB_EVENT_CLAIM, JOB_EVENT_SUCCEED},
         .length = 2,
         .expected = NABLA_OK,
         .comment = "succeeded"},
    };
    struct store *store = ((struct fixture *)*state)->store;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dataset[TOKEN_ID_SIZE], id[TOKEN_ID_SIZE];
        bool repeated;
        print_message("%s\n", cases[i].comment);
        create(store, cases[i].comment, dataset);
        const struct job_new job = {.name = "", .spec = "{}", .dataset = dataset};
        assert_ok(store_job_create(store, &job, id, &repeated, &err));
        for (size_t event = 0; event < cases[i].length; event++)
            fixture_apply(store, id, cases[i].path[event]);
        struct nabla_error err;
        assert_int_equal(store_dataset_delete(store, dataset, &err), cases[i].expected);
        assert_int_equal(has_file(store, cases[i].comment), cases[i].expected != NABLA_OK);
        if (cases[i].expected != NABLA_OK) {
            assert_non_null(strstr(err.text, id)); // says who needs it
            fixture_apply(store, id, JOB_EVENT_CANCEL);
            if (i == 1)
                fixture_apply(store, id, JOB_EVENT_CANCELLED);
        }
    }
}

static void test_deleted_data_sets_are_gone(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], again[TOKEN_ID_SIZE];
    struct dataset_row *row;
    create(store, "a", id);
    assert_ok(store_dataset_delete(store, id, &err));
    assert_false(has_file(store, "a"));
    assert_fails(NABLA_NOT_FOUND, store_dataset_get(store, id, &row, &err));
    assert_fails(NABLA_NOT_FOUND, store_dataset_delete(store, id, &err));
    assert_false(create(store, "a", again)); // and may come again
    assert_true(has_file(store, "a"));
}

// --- threads: a row never lacks its file

enum { THREADS = 3, ROUNDS = 12 };

struct churner {
    struct store *store;
    int failures;
};

static void *churn(void *context)
{
    struct churner *churner = context;
    struct dataset_row row = row_of("shared");
    for (int i = 0; i < ROUNDS; i++) {
        struct creation made = {.id = ""};
        if (store_dataset_create(churner->store, &row, PIECE("shared"), NULL, &made, NULL) != NABLA_OK)
            churner->failures++;
        enum nabla_code code = store_dataset_delete(churner->store, made.id, NULL);
        churner->failures += code != NABLA_OK && code != NABLA_NOT_FOUND; // another one was faster
    }
    return NULL;
}

static void test_rows_and_files_agree_under_churn(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    pthread_t threads[THREADS];
    struct churner churners[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        churners[i] = (struct churner){.store = store};
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &churners[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(churners[i].failures, 0);
    }
    assert_false(has_file(store, "shared")); // every one that was made has been deleted
    char id[TOKEN_ID_SIZE];
    assert_false(create(store, "shared", id));
    assert_true(has_file(store, "shared"));
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_a_data_set_comes_back_as_it_was_made),
        with_store(test_no_more_bytes_are_kept_than_may_be),
        with_store(test_room_that_was_made_is_there_at_once),
        with_store(test_the_same_content_is_the_same_data_set),
        with_store(test_a_key_repeats_what_it_made_first),
        with_store(test_keys_of_jobs_and_data_sets_are_apart),
        with_store(test_only_hashes_name_files),
        with_store(test_pages_give_every_data_set_once),
        with_store(test_unfinished_jobs_keep_their_data_set),
        with_store(test_deleted_data_sets_are_gone),
        with_store(test_rows_and_files_agree_under_churn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
