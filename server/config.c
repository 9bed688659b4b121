// Every option is one row of the table below: adding one is adding a field to struct config and a row here.
// What an option's value is, how it is read and how it is shown follow from its type.
#include "server/config.h"

#include "base/buffer.h"
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum option_type {
    OPTION_TEXT,      // char[CONFIG_TEXT_SIZE]
    OPTION_FLAG,      // bool
    OPTION_CHOICE,    // an enum, by the names in `choices`
    OPTION_COUNT,     // unsigned
    OPTION_MANY,      // size_t
    OPTION_WIDE,      // uint64_t
    OPTION_WIDE_SIZE, // uint64_t, bytes
    OPTION_SIZE       // size_t, bytes; k, M, G mean 1024, 1024², 1024³
};

struct option {
    const char *name; // the flag without its dashes; with _ for - the file's key; in capitals the variable
    enum option_type type;
    size_t at;                   // of the field in struct config
    const char *standard;        // the default as it would be written; NULL: computed in config_defaults
    unsigned long long least;    // of numbers
    const char *const *choices;  // of OPTION_CHOICE, NULL-terminated
    const char *value, *meaning; // for the help text
};

static const char *const priority_names[] = {
    [WORKER_NORMAL] = "normal", [WORKER_LOW] = "low", [WORKER_IDLE] = "idle", NULL};

#define AT(field)    offsetof(struct config, field)
#define LIMIT(field) offsetof(struct config, limits.field)

// clang-format off
static const struct option options[] = {
    {"listen", OPTION_TEXT, AT(listen), "127.0.0.1:8080", 0, NULL, "ADDRESS:PORT",
     "where to listen; port 0 takes a free one"},
    {"auth", OPTION_FLAG, AT(auth), "false", 0, NULL, "BOOL",
     "ask for access tokens (nabla token) also on loopback; elsewhere they are asked for in any case"},
    {"host-names", OPTION_TEXT, AT(host_names), "", 0, NULL, "NAMES",
     "separated by commas: names with a dot by which it may be called where no tokens are asked for"},
    {"tls-cert", OPTION_TEXT, AT(tls_certificate), "", 0, NULL, "FILE",
     "certificate chain as PEM: serve HTTPS; read again on SIGHUP"},
    {"tls-key", OPTION_TEXT, AT(tls_key), "", 0, NULL, "FILE", "the certificate's key as PEM"},
    {"data", OPTION_TEXT, AT(data), "./data", 0, NULL, "FOLDER",
     "where the SQLite file, data sets and jobs' files are kept"},
    {"config", OPTION_TEXT, AT(file), "", 0, NULL, "FILE", "configuration file: lines of name = value"},
    {"port-file", OPTION_TEXT, AT(port_file), "", 0, NULL, "FILE",
     "write the port there once the server listens"},
    {"workers", OPTION_COUNT, AT(workers), NULL, 1, NULL, "N",
     "training jobs at a time; the default is the number of cores less one"},
    {"worker-priority", OPTION_CHOICE, AT(worker_priority), "low", 0, priority_names, "PRIORITY",
     "of workers against the server, when all cores are taken: normal, low or idle"},
    {"confine-workers", OPTION_FLAG, AT(confine_workers), "true", 0, NULL, "BOOL",
     "take from workers what they do not need: files, programs, the network"},
    {"max-job-cpu", OPTION_WIDE, AT(job_cpu), "2592000", 0, NULL, "SECONDS",
     "CPU time of one attempt at a job; 0 for no limit"},
    {"client-lease", OPTION_COUNT, AT(client_lease), "60", 1, NULL, "SECONDS",
     "how long a job that a client trains may be silent before it has failed"},
    {"http-threads", OPTION_COUNT, AT(http_threads), "2", 1, NULL, "N", "threads that read and write sockets"},
    {"compute-threads", OPTION_COUNT, AT(compute_threads), "2", 1, NULL, "N",
     "threads for requests that take long"},
    {"compute-queue", OPTION_COUNT, AT(compute_queue), "64", 1, NULL, "N",
     "long requests that may wait for a thread; more are answered 503"},
    {"max-connections", OPTION_COUNT, AT(connections), "8192", 10, NULL, "N",
     "open connections; above 80 % of them new ones are answered 503"},
    {"max-streams", OPTION_COUNT, AT(streams), "1000", 1, NULL, "N",
     "event streams at a time, and as many waiting requests"},
    {"head-timeout", OPTION_COUNT, AT(deadlines.head), "10", 1, NULL, "SECONDS",
     "by when a request's head must be there"},
    {"body-timeout", OPTION_COUNT, AT(deadlines.body), "10", 1, NULL, "SECONDS",
     "how long a body may be slower than least-rate"},
    {"answer-timeout", OPTION_COUNT, AT(deadlines.answer), "30", 1, NULL, "SECONDS",
     "how long an answer may be read more slowly than least-rate"},
    {"idle-timeout", OPTION_COUNT, AT(deadlines.idle), "40", 1, NULL, "SECONDS",
     "how long a connection may bring no request"},
    {"least-rate", OPTION_COUNT, AT(deadlines.least_rate), "4000", 1, NULL, "BYTES",
     "a second, of bodies and of whoever reads answers"},
    {"log-level", OPTION_CHOICE, AT(log_level), "info", 0, log_level_names, "LEVEL",
     "error, warning, info or debug (each request)"},
    {"log-format", OPTION_CHOICE, AT(log_format), "text", 0, log_format_names, "FORMAT", "text or json"},
    {"max-body", OPTION_SIZE, LIMIT(body_bytes), NULL, 1024, NULL, "SIZE", "request body kept in memory"},
    {"max-bodies", OPTION_SIZE, LIMIT(bodies_bytes), NULL, 0, NULL, "SIZE",
     "request bodies kept in memory, together; 0 for no limit"},
    {"max-upload", OPTION_SIZE, LIMIT(upload_bytes), NULL, 1024, NULL, "SIZE", "data set upload"},
    {"max-document", OPTION_SIZE, LIMIT(document_bytes), NULL, 1024, NULL, "SIZE",
     "JSON document without its bulk arrays"},
    {"max-dataset-rows", OPTION_MANY, LIMIT(dataset_rows), NULL, 1, NULL, "N", "rows of a data set"},
    {"max-dataset-columns", OPTION_MANY, LIMIT(dataset_columns), NULL, 1, NULL, "N", "columns of a data set"},
    {"max-dataset-classes", OPTION_MANY, LIMIT(dataset_classes), NULL, 1, NULL, "N", "classes of a data set"},
    {"max-dataset-bytes", OPTION_SIZE, LIMIT(dataset_bytes), NULL, 1, NULL, "SIZE",
     "a data set's features, four bytes each"},
    {"max-parameters", OPTION_MANY, LIMIT(parameters), NULL, 1, NULL, "N", "parameters of a job's network"},
    {"max-work", OPTION_WIDE, LIMIT(work), NULL, 1, NULL, "N", "parameters times rows times epochs of a job"},
    {"max-job-memory", OPTION_SIZE, LIMIT(job_bytes), NULL, 1, NULL, "SIZE", "memory that a job needs"},
    {"max-job-threads", OPTION_COUNT, LIMIT(job_threads), NULL, 1, NULL, "N", 
     "threads that a job trains with; the default is the number of cores"},
    {"max-queued-jobs", OPTION_MANY, LIMIT(queued_jobs), NULL, 1, NULL, "N", "jobs waiting for a worker"},
    {"keep-days", OPTION_WIDE, AT(retention.days), "0", 0, NULL, "DAYS",
     "how long a finished job is kept; 0: until it is deleted"},
    {"keep-history-days", OPTION_WIDE, AT(retention.history_days), "0", 0, NULL, "DAYS",
     "how long a finished job's history is kept, where that is shorter"},
    {"keep-jobs", OPTION_WIDE, AT(retention.jobs), "0", 0, NULL, "N", "finished jobs that are kept; 0: all"},
    {"keep-bytes", OPTION_WIDE_SIZE, AT(retention.bytes), "0", 0, NULL, "SIZE",
     "size of the data folder beyond which the jobs that finished first go; 0: no limit"},
    {"max-history-rows", OPTION_MANY, LIMIT(history_rows), NULL, 1, NULL, "N", "history rows in one answer"},
    {"max-metric-names", OPTION_COUNT, LIMIT(metric_names), NULL, 1, NULL, "N",
     "metrics of one job that its client names itself"},
    {"max-disk", OPTION_WIDE_SIZE, LIMIT(disk_bytes), NULL, 0, NULL, "SIZE",
     "the data folder: above it data sets and jobs are answered 507; 0 for the disk's own limit"},
    {"max-retries", OPTION_COUNT, LIMIT(retries), NULL, 0, NULL, "N", "retries that a job may ask for"},
    {"max-wait", OPTION_COUNT, LIMIT(wait_seconds), NULL, 1, NULL, "SECONDS", "longest Prefer: wait"},
};
// clang-format on
enum { OPTIONS = sizeof options / sizeof *options };
_Static_assert((int)OPTIONS <= (int)CONFIG_OPTIONS_MAX, "struct config has room for every option's source");

static const struct option *option_find(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strlen(options[i].name) != length)
            continue;
        size_t same = 0;
        while (same < length && (name[same] == '_' ? '-' : name[same]) == options[i].name[same])
            same++;
        if (same == length)
            return &options[i];
    }
    return NULL;
}

// What the text behind a size's number multiplies it by; 0 for what is no suffix.
static unsigned long long read_suffix(const char *text)
{
    static const char suffixes[] = "kMG";
    const char *suffix = *text ? strchr(suffixes, *text) : NULL;
    if (!*text)
        return 1;
    return suffix && !text[1] ? 1ULL << (10 * (suffix - suffixes + 1)) : 0;
}

bool config_number(const char *text, bool is_size, unsigned long long least, unsigned long long most,
                   unsigned long long *ret)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    unsigned long long factor = is_size ? read_suffix(end) : *end == '\0';
    if (errno || factor == 0 || __builtin_mul_overflow(number, factor, &number))
        return false;
    if (number < least || number > most)
        return false;
    *ret = number;
    return true;
}

static bool read_flag(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool read_choice(const char *text, const char *const *choices, void *field)
{
    for (unsigned i = 0; choices[i]; i++) {
        if (strcmp(text, choices[i]) == 0) {
            memcpy(field, &i, sizeof i); // an enum without negative members
            return true;
        }
    }
    return false;
}

static bool option_read(const struct option *option, const char *text, struct config *config)
{
    void *field = (char *)config + option->at;
    unsigned long long number;
    switch (option->type) {
    case OPTION_TEXT:
        return (size_t)snprintf(field, CONFIG_TEXT_SIZE, "%s", text) < CONFIG_TEXT_SIZE;
    case OPTION_FLAG:
        return read_flag(text, field);
    case OPTION_CHOICE:
        return read_choice(text, option->choices, field);
    case OPTION_COUNT:
        if (!config_number(text, false, option->least, 1U << 30, &number))
            return false;
        *(unsigned *)field = (unsigned)number;
        return true;
    case OPTION_MANY:
    case OPTION_SIZE:
        if (!config_number(text, option->type == OPTION_SIZE, option->least, SIZE_MAX, &number))
            return false;
        *(size_t *)field = (size_t)number;
        return true;
    case OPTION_WIDE:
    case OPTION_WIDE_SIZE:
        if (!config_number(text, option->type == OPTION_WIDE_SIZE, option->least, UINT64_MAX, &number))
            return false;
        *(uint64_t *)field = number;
        return true;
    }
    return false;
}

static void print_size(unsigned long long number, FILE *out)
{
    static const char suffixes[] = "kMG";
    size_t power = 0;
    while (number > 0 && power < 3 && number % 1024 == 0) {
        number /= 1024;
        power++;
    }
    fprintf(out, "%llu", number);
    if (power > 0)
        fputc(suffixes[power - 1], out);
}

static void option_print(const struct option *option, const struct config *config, FILE *out)
{
    const void *field = (const char *)config + option->at;
    switch (option->type) {
    case OPTION_TEXT:
        fputs(field, out);
        break;
    case OPTION_FLAG:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case OPTION_CHOICE:
        fputs(option->choices[*(const unsigned *)field], out);
        break;
    case OPTION_COUNT:
        fprintf(out, "%u", *(const unsigned *)field);
        break;
    case OPTION_MANY:
        fprintf(out, "%zu", *(const size_t *)field);
        break;
    case OPTION_WIDE:
        fprintf(out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case OPTION_WIDE_SIZE:
        print_size(*(const uint64_t *)field, out);
        break;
    case OPTION_SIZE:
        print_size(*(const size_t *)field, out);
        break;
    }
}

static enum nabla_code option_set(const struct option *option, const char *text, enum config_source source,
                                  struct config *config, struct nabla_error *err)
{
    static const char *const places[] = {[CONFIG_DEFAULT] = "the default",
                                         [CONFIG_FILE] = "the configuration file",
                                         [CONFIG_ENVIRONMENT] = "the environment",
                                         [CONFIG_FLAG] = "the command line"};
    _Static_assert(sizeof places / sizeof *places == CONFIG_SOURCE_COUNT, "a place for each source");
    if (!option_read(option, text, config))
        return nabla_fail(err, NABLA_INVALID, NULL, "%s: \"%s\" is no value for %s (%s: %s)", places[source],
                          text, option->name, option->value, option->meaning);
    config->sources[option - options] = source;
    return NABLA_OK;
}

static enum nabla_code config_defaults(struct config *ret, struct nabla_error *err)
{
    *ret = (struct config){.limits = api_limits_defaults()};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    ret->workers = cores > 2 ? (unsigned)cores - 1 : 1;
    ret->limits.job_threads = cores > 1 ? (unsigned)cores : 1;
    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].standard && option_set(&options[i], options[i].standard, CONFIG_DEFAULT, ret, err))
            return err ? err->code : NABLA_INTERNAL;
    return NABLA_OK;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static enum nabla_code read_line(char *line, size_t number, struct config *config, struct nabla_error *err)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return NABLA_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return nabla_fail(err, NABLA_INVALID, NULL, "%s, line %zu: expected name = value", config->file,
                          number);
    *equals = '\0';
    const char *name = trim(line);
    const struct option *option = option_find(name, strlen(name));
    if (!option || option->at == AT(file))
        return nabla_fail(err, NABLA_INVALID, NULL, "%s, line %zu: there is no option \"%s\"", config->file,
                          number, name);
    struct nabla_error why = {0};
    enum nabla_code code = option_set(option, trim(equals + 1), CONFIG_FILE, config, &why);
    return code ? nabla_fail(err, code, NULL, "%.200s, line %zu: %.280s", config->file, number, why.text)
                : NABLA_OK;
}

static enum nabla_code read_file(struct config *config, struct nabla_error *err)
{
    enum { FILE_LIMIT = 1 << 20 };
    struct buffer text = buffer_new(FILE_LIMIT);
    enum nabla_code code = file_read(config->file, &text, err);
    size_t number = 1;
    char *rest = text.data;
    for (char *line; !code && (line = strsep(&rest, "\n")); number++)
        code = read_line(line, number, config, err);
    buffer_free(&text);
    return code;
}

static enum nabla_code read_environment(struct config *config, bool only_file, struct nabla_error *err)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        char name[64] = "NABLA_";
        size_t length = strlen(name);
        for (const char *c = options[i].name; *c && length < sizeof name - 1; c++)
            name[length++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        const char *value = getenv(name);
        if (!value || (only_file && options[i].at != AT(file)))
            continue;
        enum nabla_code code = option_set(&options[i], value, CONFIG_ENVIRONMENT, config, err);
        if (code)
            return code;
    }
    return NABLA_OK;
}

// Reads one flag of argv at *index, with its value, and moves *index behind it.
static enum nabla_code read_flag_of(int argc, char **argv, int *index, bool only_file, struct config *config,
                                    struct nabla_error *err)
{
    const char *argument = argv[(*index)++];
    if (strncmp(argument, "--", 2) != 0)
        return nabla_fail(err, NABLA_INVALID, NULL, "unexpected argument \"%s\"", argument);
    const char *name = argument + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *option = option_find(name, length);
    if (!option)
        return nabla_fail(err, NABLA_INVALID, NULL, "there is no option \"--%.*s\"", (int)length, name);
    const char *value = equals ? equals + 1 : "true";
    // There are no other arguments: what follows a yes-or-no flag and is no flag is its value.
    bool is_bare = option->type == OPTION_FLAG && (*index >= argc || strncmp(argv[*index], "--", 2) == 0);
    if (!equals && !is_bare) {
        if (*index >= argc)
            return nabla_fail(err, NABLA_INVALID, NULL, "--%s needs a value", option->name);
        value = argv[(*index)++];
    }
    if (only_file && option->at != AT(file))
        return NABLA_OK;
    return option_set(option, value, CONFIG_FLAG, config, err);
}

static enum nabla_code read_flags(int argc, char **argv, bool only_file, struct config *config,
                                  enum config_wish *ret_wish, struct nabla_error *err)
{
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_wish = CONFIG_HELP;
            return NABLA_OK;
        }
        if (strcmp(argv[i], "--print-config") == 0) {
            *ret_wish = CONFIG_PRINT;
            i++;
            continue;
        }
        enum nabla_code code = read_flag_of(argc, argv, &i, only_file, config, err);
        if (code)
            return code;
    }
    return NABLA_OK;
}

enum nabla_code config_load(int argc, char **argv, struct config *ret, enum config_wish *ret_wish,
                            struct nabla_error *err)
{
    struct config config;
    enum config_wish wish = CONFIG_RUN;
    enum nabla_code code = config_defaults(&config, err);
    // Where the file is must be known before it is read, and it is read before what beats it.
    if (!code)
        code = read_environment(&config, true, err);
    if (!code)
        code = read_flags(argc, argv, true, &config, &wish, err);
    if (!code && wish != CONFIG_HELP && config.file[0])
        code = read_file(&config, err);
    if (!code)
        code = read_environment(&config, false, err);
    if (!code)
        code = read_flags(argc, argv, false, &config, &wish, err);
    if (code)
        return code;
    *ret = config;
    *ret_wish = wish;
    return NABLA_OK;
}

void config_print(const struct config *config, FILE *out)
{
    static const char *const comments[] = {[CONFIG_DEFAULT] = "",
                                           [CONFIG_FILE] = "from the configuration file",
                                           [CONFIG_ENVIRONMENT] = "from the environment",
                                           [CONFIG_FLAG] = "from the command line"};
    _Static_assert(sizeof comments / sizeof *comments == CONFIG_SOURCE_COUNT, "a comment for each source");
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *comment = comments[config->sources[i]];
        if (options[i].at == AT(file))
            continue;
        if (*comment)
            fprintf(out, "# %s\n", comment);
        for (const char *c = options[i].name; *c; c++)
            fputc(*c == '-' ? '_' : *c, out);
        fputs(" = ", out);
        option_print(&options[i], config, out);
        fputc('\n', out);
    }
}

void config_help(FILE *out)
{
    struct config standard;
    struct nabla_error err;
    if (config_defaults(&standard, &err))
        return;
    fprintf(out,
            "Usage: nabla serve [OPTIONS]\n\n"
            "Each option is a flag (--max-body 64M), an environment variable (NABLA_MAX_BODY=64M) and a\n"
            "line of the configuration file (max_body = 64M). A SIZE may end in k, M or G for powers of "
            "1024.\n\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", options[i].name, options[i].value);
        fprintf(out, "  %-28s %s", flag, options[i].meaning);
        fputs(" [", out);
        option_print(&options[i], &standard, out);
        fputs("]\n", out);
    }
    fprintf(out, "  %-28s %s\n", "--print-config",
            "print what would be used, as a configuration file, and exit");
    fprintf(out, "  %-28s %s\n", "--help", "print this");
}
