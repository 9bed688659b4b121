// A store in a folder of its own, for the tests of lib/store. Include after cmocka.h.
#ifndef NABLA_TESTS_STORE_FIXTURE_H
#define NABLA_TESTS_STORE_FIXTURE_H

#include "base/file.h"
#include "store/database.h"
#include "store/datasets.h"
#include "store/jobs.h"
#include "store/sql.h"
#include "store/store.h"
#include "store/sweep.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    char folder[128];
    struct store *store;
};

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        struct nabla_error err = {.text = ""};                                                               \
        enum nabla_code code_ = (call);                                                                      \
        if (code_ != NABLA_OK)                                                                               \
            fail_msg("%s: %s", nabla_code_name(code_), err.text);                                            \
    } while (0)

// A text as the only piece of a file.
#define PIECE(text) (&(const struct iovec){(void *)(uintptr_t)(text), strlen(text)}), 1

// The call must fail with this code and must say why.
#define assert_fails(wanted, call)                                                                           \
    do {                                                                                                     \
        struct nabla_error err = {.text = ""};                                                               \
        assert_int_equal((call), (wanted));                                                                  \
        assert_int_equal(err.code, (wanted));                                                                \
        assert_true(strlen(err.text) > 10);                                                                  \
    } while (0)

static inline int fixture_make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *parent = getenv("TMPDIR");
    snprintf(fixture->folder, sizeof fixture->folder, "%s/nabla-test-XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(fixture->folder));
    *state = fixture;
    return 0;
}

static inline int fixture_open(void **state)
{
    fixture_make(state);
    struct fixture *fixture = *state;
    assert_ok(store_open(fixture->folder, &fixture->store, &err));
    return 0;
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    sweep_tree(fixture->folder, NULL);
    free(fixture);
    return 0;
}

static inline void fixture_reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    assert_ok(store_open(fixture->folder, &fixture->store, &err));
}

static inline void fixture_path(const struct fixture *fixture, const char *name, char ret[256])
{
    snprintf(ret, 256, "%s/%s", fixture->folder, name);
}

static inline void fixture_write(const struct fixture *fixture, const char *name, const char *text)
{
    char path[256];
    fixture_path(fixture, name, path);
    assert_ok(file_replace(path, text, strlen(text), &err));
}

static inline bool fixture_has(const struct fixture *fixture, const char *name)
{
    char path[256];
    fixture_path(fixture, name, path);
    return access(path, F_OK) == 0;
}

// A job without a data set.
static inline void fixture_job(struct store *store, enum job_executor executor, char ret_id[TOKEN_ID_SIZE])
{
    const struct job_new job = {.name = "test",
                                .spec = "{}",
                                .executor = executor,
                                .retries = 1,
                                .steps = 100,
                                .epochs = 10,
                                .network_stats = 7,
                                .layer_stats = 3};
    bool repeated = true;
    assert_ok(store_job_create(store, &job, ret_id, &repeated, &err));
    assert_false(repeated);
}

static inline void fixture_add_dataset(struct store *store, const char *content)
{
    struct creation made;
    struct dataset_row row = {.name = (char[]){"d"}, .rows = 1, .features = 1, .description = (char[]){"{}"}};
    token_sha256(row.sha256, content, strlen(content));
    row.bytes = strlen(content);
    assert_ok(store_dataset_create(store, &row, PIECE(content), NULL, &made, &err));
}

// What a query of one number finds in the database of a data folder.
static inline int64_t fixture_number(const char *folder, const char *sql)
{
    char path[512];
    struct database *db;
    int64_t number = -1;
    snprintf(path, sizeof path, "%s/nabla.db", folder);
    assert_ok(database_open(path, DATABASE_READER, sql_texts, &db, &err));
    assert_ok(database_number(db, sql, &number, &err));
    database_close(db);
    return number;
}

static inline void fixture_apply(struct store *store, const char *id, enum job_event event)
{
    assert_ok(store_job_apply(store, id, &(struct job_change){.event = event}, &err));
}

#endif
