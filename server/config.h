// The server's configuration: one table of options (config.c). Each option is a flag (--max-body 64M), an
// environment variable (NABLA_MAX_BODY) and a line of the configuration file (max_body = 64M). A flag beats
// the environment, which beats the file, which beats the default.
//
// Thread safety: filled once, then read by any number of threads. It owns nothing.
#ifndef NABLA_SERVER_CONFIG_H
#define NABLA_SERVER_CONFIG_H

#include "api/api.h"
#include "server/http_deadlines.h"
#include "server/launcher.h"
#include "server/log.h"
#include "store/retention.h"

#include <stdbool.h>
#include <stdio.h>

enum { CONFIG_TEXT_SIZE = 512, CONFIG_OPTIONS_MAX = 64 };

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG, CONFIG_SOURCE_COUNT };

struct config {
    char listen[CONFIG_TEXT_SIZE];     // address:port
    char host_names[CONFIG_TEXT_SIZE]; // by which browsers may call it where no tokens are asked for
    char data[CONFIG_TEXT_SIZE];       // the store's folder
    char file[CONFIG_TEXT_SIZE];       // the configuration file, "" for none
    char port_file[CONFIG_TEXT_SIZE];  // where the port is written once the server listens, "" for nowhere
    bool auth;                         // ask for tokens also where only this machine can connect
    char tls_certificate[CONFIG_TEXT_SIZE], tls_key[CONFIG_TEXT_SIZE]; // "" for plain HTTP
    unsigned workers;
    enum worker_priority worker_priority;
    bool confine_workers;
    uint64_t job_cpu;      // seconds
    unsigned client_lease; // seconds
    unsigned http_threads, compute_threads, compute_queue;
    unsigned connections, streams;
    struct http_deadlines deadlines;
    enum log_level log_level;
    enum log_format log_format;
    struct retention retention;
    struct api_limits limits;
    enum config_source sources[CONFIG_OPTIONS_MAX]; // where each option of the table came from
};

// What the command line asks for beyond running.
enum config_wish { CONFIG_RUN, CONFIG_HELP, CONFIG_PRINT };

// Defaults, then file, environment and flags. NABLA_INVALID names the option and where it stood.
enum nabla_code config_load(int argc, char **argv, struct config *ret, enum config_wish *ret_wish,
                            struct nabla_error *err);

// A number as options have it: digits, and for a size k, M or G behind them.
bool config_number(const char *text, bool is_size, unsigned long long least, unsigned long long most,
                   unsigned long long *ret);

void config_print(const struct config *config, FILE *out); // as lines of a configuration file
void config_help(FILE *out);

#endif
