#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, PORT_MAX = 65535 };

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

// "host:port" → its parts; brackets around an IPv6 address are taken off.
static bool split(const char *text, char host[64], char port[8])
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
        return false;
    // getaddrinfo would take 65536 for 0.
    if (strspn(colon + 1, "0123456789") != strlen(colon + 1) || strtol(colon + 1, NULL, 10) > PORT_MAX)
        return false;
    size_t length = (size_t)(colon - text);
    if (text[0] == '[') {
        if (length < 3 || text[length - 1] != ']')
            return false;
        text++;
        length -= 2;
    }
    if (length >= 64)
        return false;
    snprintf(host, 64, "%.*s", (int)length, text);
    snprintf(port, 8, "%s", colon + 1);
    return true;
}

static int bind_first(const struct addrinfo *found)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void describe(int fd, struct listener *ret)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[48] = "", port[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&bound, &size) == 0)
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    ret->fd = fd;
    ret->port = 0;
    sscanf(port, "%u", &ret->port);
    snprintf(ret->host, sizeof ret->host, bound.ss_family == AF_INET6 ? "[%s]" : "%s", host);
}

enum nabla_code listener_tcp(const char *address, struct listener *ret, struct nabla_error *err)
{
    char host[64], port[8];
    if (!split(address, host, port))
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "--listen %s: expected address:port, the port from 0 to 65535", address);
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed)
        return nabla_fail(err, NABLA_INVALID, NULL, "--listen %s: %s", address, gai_strerror(failed));
    enum nabla_code code = NABLA_OK;
    int fd = bind_first(found);
    if (fd < 0) {
        code = nabla_fail_errno(err, "listen on", address);
    } else {
        describe(fd, ret);
        ret->is_loopback = is_loopback(found->ai_addr);
    }
    freeaddrinfo(found);
    return code;
}
