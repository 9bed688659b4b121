#include "server/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void address_url(const char *listen, char ret[ADDRESS_SIZE])
{
    static const struct {
        const char *all, *loopback;
    } wildcards[] = {{"0.0.0.0", "127.0.0.1"}, {"[::]", "[::1]"}, {"::", "[::1]"}};
    const char *port = strrchr(listen, ':');
    size_t length = port ? (size_t)(port - listen) : strlen(listen);
    for (size_t i = 0; port && i < sizeof wildcards / sizeof *wildcards; i++) {
        if (strlen(wildcards[i].all) == length && strncmp(listen, wildcards[i].all, length) == 0) {
            snprintf(ret, ADDRESS_SIZE, "http://%s%s", wildcards[i].loopback, port);
            return;
        }
    }
    snprintf(ret, ADDRESS_SIZE, "http://%s", listen);
}

void address_default(char ret[ADDRESS_SIZE])
{
    const char *url = getenv("NABLA_URL"), *listen = getenv("NABLA_LISTEN");
    if (url && *url)
        snprintf(ret, ADDRESS_SIZE, "%s", url);
    else
        address_url(listen && *listen ? listen : "127.0.0.1:8080", ret);
}
