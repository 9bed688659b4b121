#include "base/clock.h"
#include "base/file.h"
#include "base/stats.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct place {
    char folder[64], file[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/nabla-test-file-XXXXXX");
    *state = place;
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->file, sizeof place->file, "%s/file", place->folder);
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    int result = rmdir(place->folder); // fails where a test left anything else behind
    free(place);
    return result;
}

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2; // but . and ..
}

static void what_is_written_reads_back(void **state)
{
    struct place *place = *state;
    struct buffer buffer = buffer_new(1 << 20);
    char *bytes = calloc(1, 200000);
    for (size_t i = 0; i < 200000; i++)
        bytes[i] = (char)(i * 7);
    static const size_t sizes[] = {200000, 65536, 65537, 1, 0};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        buffer_free(&buffer);
        assert_int_equal(file_replace(place->file, bytes, sizes[i], NULL), NABLA_OK);
        assert_int_equal(file_read(place->file, &buffer, NULL), NABLA_OK);
        assert_int_equal(buffer.size, sizes[i]);
        assert_memory_equal(buffer.data, bytes, sizes[i]);
        assert_int_equal(buffer.data[buffer.size], '\0');
    }
    assert_int_equal(count_entries(place->folder), 1);
    buffer_free(&buffer);
    free(bytes);
}

static void reading_holds_the_limit_exactly(void **state)
{
    struct place *place = *state;
    char bytes[100] = {1};
    assert_int_equal(file_replace(place->file, bytes, sizeof bytes, NULL), NABLA_OK);
    for (size_t limit = 98; limit <= 102; limit++) {
        struct buffer buffer = buffer_new(limit);
        struct nabla_error err;
        assert_int_equal(file_read(place->file, &buffer, &err), limit < 100 ? NABLA_LIMIT : NABLA_OK);
        assert_true(limit < 100 || buffer.size == 100);
        buffer_free(&buffer);
    }
}

static void reading_appends(void **state)
{
    struct place *place = *state;
    struct buffer buffer = buffer_new(100);
    buffer_text(&buffer, "before ");
    assert_int_equal(file_replace(place->file, "after", 5, NULL), NABLA_OK);
    assert_int_equal(file_read(place->file, &buffer, NULL), NABLA_OK);
    assert_string_equal(buffer.data, "before after");
    buffer_free(&buffer);
}

static void what_cannot_be_read_says_why(void **state)
{
    struct place *place = *state;
    struct buffer buffer = buffer_new(100);
    struct nabla_error err;
    assert_int_equal(file_read(place->file, &buffer, &err), NABLA_NOT_FOUND);
    assert_non_null(strstr(err.text, place->file));
    assert_int_equal(file_read(place->folder, &buffer, &err), NABLA_IO);
    assert_non_null(strstr(err.text, "Is a directory"));
    buffer_free(&buffer);
}

static void a_new_file_is_private(void **state)
{
    struct place *place = *state;
    struct stat info;
    assert_int_equal(file_replace(place->file, "x", 1, NULL), NABLA_OK);
    assert_int_equal(stat(place->file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_failed_replacement_leaves_everything_as_it_was(void **state)
{
    struct place *place = *state;
    char missing[200];
    struct nabla_error err;
    snprintf(missing, sizeof missing, "%s/none/file", place->folder);
    assert_int_equal(file_replace(missing, "x", 1, &err), NABLA_IO);
    assert_non_null(strstr(err.text, "No such file or directory"));
    assert_int_equal(file_make_folder(place->file, NULL), NABLA_OK);
    assert_int_equal(file_replace(place->file, "x", 1, &err), NABLA_IO); // a folder is not replaced
    assert_int_equal(count_entries(place->folder), 1);
    assert_int_equal(rmdir(place->file), 0);
    char long_path[5000];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(file_replace(long_path, "x", 1, &err), NABLA_IO);
}

enum { WRITERS = 4, WRITES = 25, CONTENT = 3000 };

struct writer {
    const char *path;
    char letter;
    bool failed;
};

static void *write_often(void *argument)
{
    struct writer *writer = argument;
    char content[CONTENT];
    memset(content, writer->letter, sizeof content);
    for (int i = 0; i < WRITES; i++)
        writer->failed |= file_replace(writer->path, content, sizeof content, NULL) != NABLA_OK;
    return NULL;
}

static void threads_that_replace_one_file_do_not_mix(void **state)
{
    struct place *place = *state;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.path = place->file, .letter = (char)('a' + i)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct buffer buffer = buffer_new(1 << 16);
    assert_int_equal(file_read(place->file, &buffer, NULL), NABLA_OK);
    assert_int_equal(buffer.size, CONTENT);
    for (size_t i = 0; i < CONTENT; i++)
        assert_int_equal(buffer.data[i], buffer.data[0]);
    for (int i = 0; i < WRITERS; i++)
        assert_false(writers[i].failed);
    assert_int_equal(count_entries(place->folder), 1);
    buffer_free(&buffer);
}

static void folders_and_removals_may_repeat(void **state)
{
    struct place *place = *state;
    char folder[200];
    struct nabla_error err;
    snprintf(folder, sizeof folder, "%s/sub", place->folder);
    assert_int_equal(file_make_folder(folder, NULL), NABLA_OK);
    assert_int_equal(file_make_folder(folder, NULL), NABLA_OK);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(file_replace(place->file, "x", 1, NULL), NABLA_OK);
    assert_int_equal(file_make_folder(place->file, &err), NABLA_IO);
    assert_int_equal(file_remove(place->file, NULL), NABLA_OK);
    assert_int_equal(file_remove(place->file, NULL), NABLA_OK);
    assert_int_equal(file_remove(place->folder, &err), NABLA_IO);
}

static const struct {
    int64_t wall_ms;
    const char *text;
} moments[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {951782399999, "2000-02-28T23:59:59.999Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {-86400000, "1969-12-31T00:00:00.000Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

static void times_are_written_in_utc(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < COUNT(moments); i++)
        assert_string_equal(clock_format(text, moments[i].wall_ms), moments[i].text);
    clock_format(text, INT64_MAX);
    assert_true(strlen(text) < CLOCK_TEXT_SIZE);
}

static void clocks_do_not_go_back(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_ns(), after = clock_monotonic_ns();
    assert_true(before > 0 && after >= before);
    assert_true(clock_monotonic_ms() >= after / 1000000);
    assert_true(clock_wall_ms() > 1700000000000);
}

static void statistics_are_found_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < LAYER_STAT_COUNT; i++)
        assert_int_equal(stat_find(layer_stats, LAYER_STAT_COUNT, layer_stats[i].name), i);
    for (size_t i = 0; i < NETWORK_STAT_COUNT; i++)
        assert_int_equal(stat_find(network_stats, NETWORK_STAT_COUNT, network_stats[i].name), i);
    assert_int_equal(stat_find(layer_stats, LAYER_STAT_COUNT, "weight_norm"), LAYER_WEIGHT_NORM);
    assert_int_equal(stat_find(layer_stats, LAYER_STAT_COUNT, "loss"), -1);
}

#define PLACE_TEST(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(what_is_written_reads_back),
        PLACE_TEST(reading_holds_the_limit_exactly),
        PLACE_TEST(reading_appends),
        PLACE_TEST(what_cannot_be_read_says_why),
        PLACE_TEST(a_new_file_is_private),
        PLACE_TEST(a_failed_replacement_leaves_everything_as_it_was),
        PLACE_TEST(threads_that_replace_one_file_do_not_mix),
        PLACE_TEST(folders_and_removals_may_repeat),
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(clocks_do_not_go_back),
        cmocka_unit_test(statistics_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
