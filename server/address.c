#include "server/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void address_url(const char *listen, bool is_tls, char ret[ADDRESS_SIZE])
{
    static const struct {
        const char *all, *loopback;
    } wildcards[] = {{"0.0.0.0", "127.0.0.1"}, {"[::]", "[::1]"}, {"::", "[::1]"}};
    const char *scheme = is_tls ? "https" : "http";
    const char *port = strrchr(listen, ':');
    size_t length = port ? (size_t)(port - listen) : strlen(listen);
    for (size_t i = 0; port && i < sizeof wildcards / sizeof *wildcards; i++) {
        if (strlen(wildcards[i].all) == length && strncmp(listen, wildcards[i].all, length) == 0) {
            snprintf(ret, ADDRESS_SIZE, "%s://%s%s", scheme, wildcards[i].loopback, port);
            return;
        }
    }
    snprintf(ret, ADDRESS_SIZE, "%s://%s", scheme, listen);
}

void address_default(char ret[ADDRESS_SIZE])
{
    const char *url = getenv("NABLA_URL"), *listen = getenv("NABLA_LISTEN");
    const char *certificate = getenv("NABLA_TLS_CERT");
    if (url && *url)
        snprintf(ret, ADDRESS_SIZE, "%s", url);
    else
        address_url(listen && *listen ? listen : "127.0.0.1:8080", certificate && *certificate, ret);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

struct client_options address_client(const char *url, char ret[ADDRESS_SIZE], size_t answer_limit)
{
    bool is_own = !url && !variable("NABLA_URL");
    address_default(ret);
    const char *ca_file = variable("NABLA_CA_FILE");
    return (struct client_options){.url = url ? url : ret,
                                   .token = variable("NABLA_TOKEN"),
                                   .ca_file = ca_file || !is_own ? ca_file : variable("NABLA_TLS_CERT"),
                                   .any_host = is_own && !ca_file,
                                   .answer_limit = answer_limit};
}
