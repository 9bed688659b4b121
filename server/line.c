#include "server/line.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ANSWER_MS = 5000, // for the server to answer
    LOOK_MS = 100,    // between looks at whether the caller wants to stop
};

static const char ASK = '?', CONNECTED = '+', NONE_NOW = '-';

enum nabla_code line_make(int *ret_server, int *ret_worker, struct nabla_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return nabla_fail_errno(err, "make", "a worker's line");
    *ret_server = ends[0];
    *ret_worker = ends[1];
    return NABLA_OK;
}

// A message of one byte, with room for one descriptor.
struct parcel {
    char byte;
    struct iovec bytes;
    _Alignas(struct cmsghdr) char rights[CMSG_SPACE(sizeof(int))];
    struct msghdr message;
};

static void parcel_init(struct parcel *parcel)
{
    memset(parcel, 0, sizeof *parcel);
    parcel->bytes = (struct iovec){&parcel->byte, 1};
    parcel->message = (struct msghdr){.msg_iov = &parcel->bytes, .msg_iovlen = 1};
}

static void parcel_add(struct parcel *parcel, int fd)
{
    parcel->message.msg_control = parcel->rights;
    parcel->message.msg_controllen = sizeof parcel->rights;
    struct cmsghdr *header = CMSG_FIRSTHDR(&parcel->message);
    *header =
        (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

static int parcel_descriptor(struct parcel *parcel)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(&parcel->message);
    int fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static enum nabla_code hung_up(struct nabla_error *err)
{
    return nabla_fail(err, NABLA_CANCELLED, NULL, "the server has hung up");
}

// Until there is an answer.
static enum nabla_code await_answer(const struct line *line, const atomic_bool *stopped,
                                    struct nabla_error *err)
{
    struct pollfd answer = {.fd = line->fd, .events = POLLIN};
    int64_t until = clock_monotonic_ms() + ANSWER_MS;
    do {
        if (atomic_load(stopped))
            return nabla_fail(err, NABLA_CANCELLED, NULL, "the exchange was stopped");
        if (poll(&answer, 1, LOOK_MS) > 0)
            return NABLA_OK;
    } while (clock_monotonic_ms() < until);
    return nabla_fail(err, NABLA_BUSY, NULL, "the server gave no connection in %d ms", ANSWER_MS);
}

static enum nabla_code take_answer(struct line *line, int *ret_fd, struct nabla_error *err)
{
    struct parcel parcel;
    parcel_init(&parcel);
    parcel.message.msg_control = parcel.rights;
    parcel.message.msg_controllen = sizeof parcel.rights;
    ssize_t size = recvmsg(line->fd, &parcel.message, MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR)
        return nabla_fail(err, NABLA_BUSY, NULL, "interrupted");
    if (size != 1)
        return hung_up(err);
    line->is_waiting = false;
    int fd = parcel.byte == CONNECTED ? parcel_descriptor(&parcel) : -1;
    if (fd < 0)
        return nabla_fail(err, NABLA_BUSY, NULL, "the server has no connection to give");
    *ret_fd = fd;
    return NABLA_OK;
}

enum nabla_code line_connect(struct line *line, const atomic_bool *stopped, int *ret_fd,
                             struct nabla_error *err)
{
    if (!line->is_waiting && send(line->fd, &ASK, 1, MSG_NOSIGNAL) != 1)
        return hung_up(err);
    line->is_waiting = true;
    enum nabla_code code = await_answer(line, stopped, err);
    return code ? code : take_answer(line, ret_fd, err);
}

enum line_event line_take_ask(int fd)
{
    char ask;
    ssize_t size = recv(fd, &ask, 1, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return LINE_QUIET;
    return size == 1 ? LINE_ASKED : LINE_HUNG_UP;
}

bool line_answer(int fd, int connection)
{
    struct parcel parcel;
    parcel_init(&parcel);
    parcel.byte = connection < 0 ? NONE_NOW : CONNECTED;
    if (connection >= 0)
        parcel_add(&parcel, connection);
    return sendmsg(fd, &parcel.message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}
