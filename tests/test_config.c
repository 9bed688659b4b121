#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 8 };

// Loads with these flags (NULL-terminated); the program's name is put before them.
static enum nabla_code load(char *const *flags, struct config *ret, enum config_wish *ret_wish,
                            struct nabla_error *err)
{
    char *argv[ARGUMENTS_MAX + 2] = {"serve"};
    int argc = 1;
    for (; flags && *flags; flags++)
        argv[argc++] = *flags;
    return config_load(argc, argv, ret, ret_wish, err);
}

static char *write_file(const char *text)
{
    static char path[] = "/tmp/nabla-config-XXXXXX";
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct config config;
    enum config_wish wish;
    assert_int_equal(load(NULL, &config, &wish, NULL), NABLA_OK);
    const struct api_limits limits = api_limits_defaults();
    assert_string_equal(config.listen, "127.0.0.1:8080");
    assert_string_equal(config.data, "./data");
    assert_false(config.auth);
    assert_true(config.workers >= 1);
    assert_int_equal(config.limits.body_bytes, limits.body_bytes);
    assert_int_equal(config.limits.work, limits.work);
    assert_int_equal(wish, CONFIG_RUN);
}

static void a_flag_beats_the_environment_which_beats_the_file(void **state)
{
    (void)state;
    char *path = write_file("# three that the file names\nmax_body = 1M\n  workers=3  \nmax-upload = 7k\n");
    struct config config;
    enum config_wish wish;
    setenv("NABLA_MAX_BODY", "2M", 1);
    setenv("NABLA_WORKERS", "4", 1);
    char *const flags[] = {"--config", path, "--workers", "5", NULL};
    enum nabla_code code = load(flags, &config, &wish, NULL);
    unsetenv("NABLA_MAX_BODY");
    unsetenv("NABLA_WORKERS");
    unlink(path);
    assert_int_equal(code, NABLA_OK);
    assert_int_equal(config.workers, 5);
    assert_int_equal(config.limits.body_bytes, 2 << 20);
    assert_int_equal(config.limits.upload_bytes, 7 << 10);
}

static void values_are_read_by_type(void **state)
{
    (void)state;
    static const struct {
        const char *comment;
        char *flag;
        enum nabla_code code;
    } cases[] = {
        {"a size in bytes", "--max-body=65536", NABLA_OK},
        {"a size with a suffix", "--max-body=64M", NABLA_OK},
        {"below the least", "--max-body=1", NABLA_INVALID},
        {"an unknown suffix", "--max-body=1T", NABLA_INVALID},
        {"two suffixes", "--max-body=1kk", NABLA_INVALID},
        {"beyond 64 bits", "--max-body=99999999999999999999", NABLA_INVALID},
        {"beyond 64 bits by its suffix", "--max-body=18446744073709551615G", NABLA_INVALID},
        {"a sign", "--max-body=-1", NABLA_INVALID},
        {"nothing", "--max-body=", NABLA_INVALID},
        {"no workers", "--workers=0", NABLA_INVALID},
        {"a number", "--max-dataset-rows=1024", NABLA_OK},
        {"a number with the suffix of sizes", "--max-dataset-rows=1k", NABLA_INVALID},
        {"a wide number", "--max-work=1000000000000000000", NABLA_OK},
        {"a wide number with a suffix", "--max-work=1G", NABLA_INVALID},
        {"a choice", "--log-level=debug", NABLA_OK},
        {"no choice", "--log-level=loud", NABLA_INVALID},
        {"a flag alone", "--auth", NABLA_OK},
        {"a flag with a value", "--auth=false", NABLA_OK},
        {"a flag with nonsense", "--auth=maybe", NABLA_INVALID},
        {"an option that does not exist", "--max-fun=1", NABLA_INVALID},
        {"an option without its value", "--workers", NABLA_INVALID},
        {"no option at all", "workers", NABLA_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        enum config_wish wish;
        struct nabla_error err = {0};
        char *const flags[] = {cases[i].flag, NULL};
        enum nabla_code code = load(flags, &config, &wish, &err);
        if (code != cases[i].code)
            fail_msg("%s (%s): %s", cases[i].comment, cases[i].flag, err.text);
        if (code)
            assert_true(err.text[0]);
    }
}

// "--auth true", as the help spells every option, and "--auth" with another flag behind it.
static void a_yes_or_no_flag_may_have_its_value_beside_it(void **state)
{
    (void)state;
    static const struct {
        char *flags[4];
        enum nabla_code code;
        bool is_asked;
    } cases[] = {
        {{"--auth", "true"}, NABLA_OK, true},
        {{"--auth", "false"}, NABLA_OK, false},
        {{"--auth", "--workers", "2"}, NABLA_OK, true},
        {{"--auth", "maybe"}, NABLA_INVALID, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        enum config_wish wish;
        assert_int_equal(load(cases[i].flags, &config, &wish, NULL), cases[i].code);
        if (!cases[i].code)
            assert_int_equal(config.auth, cases[i].is_asked);
    }
}

static void a_wrong_line_of_the_file_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *what;
    } cases[] = {
        {"workers = 2\nbogus = 1\n", "line 2", "bogus"},
        {"workers 2\n", "line 1", "name = value"},
        {"# sizes\n\nmax_body = 3x\n", "line 3", "\"3x\" is no value for max-body"},
        {"config = other\n", "line 1", "config"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = write_file(cases[i].text);
        struct config config;
        enum config_wish wish;
        struct nabla_error err;
        char *const flags[] = {"--config", path, NULL};
        assert_int_equal(load(flags, &config, &wish, &err), NABLA_INVALID);
        unlink(path);
        if (!strstr(err.text, cases[i].line) || !strstr(err.text, cases[i].what))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void a_file_that_is_missing_is_an_error(void **state)
{
    (void)state;
    struct config config;
    enum config_wish wish;
    char *const flags[] = {"--config=/nonexistent/nabla.conf", NULL};
    assert_int_equal(load(flags, &config, &wish, NULL), NABLA_NOT_FOUND);
}

static void sizes_are_printed_with_suffixes_and_numbers_without(void **state)
{
    (void)state;
    static const char *const lines[] = {"max_body = 3M\n", "max_dataset_rows = 2048\n",
                                        "max_work = 1000000000000000000\n", "max_streams = 1024\n"};
    struct config config;
    enum config_wish wish;
    char *const flags[] = {"--max-body=3145728", "--max-dataset-rows=2048", "--max-streams=1024", NULL};
    assert_int_equal(load(flags, &config, &wish, NULL), NABLA_OK);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(&config, out);
    fclose(out);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("no %s in %s", lines[i], text);
    free(text);
}

static void what_is_printed_reads_back_to_the_same(void **state)
{
    (void)state;
    struct config config, again;
    enum config_wish wish;
    char *const flags[] = {"--max-body=3M", "--listen=[::1]:99", "--log-format=json", "--print-config", NULL};
    assert_int_equal(load(flags, &config, &wish, NULL), NABLA_OK);
    assert_int_equal(wish, CONFIG_PRINT);

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(&config, out);
    fclose(out);
    char *path = write_file(text);
    free(text);
    char *const file[] = {"--config", path, NULL};
    assert_int_equal(load(file, &again, &wish, NULL), NABLA_OK);
    unlink(path);
    assert_string_equal(again.listen, config.listen);
    assert_int_equal(again.log_format, LOG_JSON);
    assert_memory_equal(&again.limits, &config.limits, sizeof config.limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(a_flag_beats_the_environment_which_beats_the_file),
        cmocka_unit_test(values_are_read_by_type),
        cmocka_unit_test(a_yes_or_no_flag_may_have_its_value_beside_it),
        cmocka_unit_test(a_wrong_line_of_the_file_is_named),
        cmocka_unit_test(a_file_that_is_missing_is_an_error),
        cmocka_unit_test(sizes_are_printed_with_suffixes_and_numbers_without),
        cmocka_unit_test(what_is_printed_reads_back_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
