/* Sockets and taps. */
#include "host.h"

#include <limits.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int close_failed(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Options that not every kernel knows are left out where they are not known. */
static int netlink_socket(int protocol, int seconds)
{
    const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}, on = 1;
    const struct timeval wait = {.tv_sec = seconds};
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd == -1 || seconds <= 0)
        return fd;
    for (size_t at = 0; at < sizeof options / sizeof *options; at++)
        setsockopt(fd, SOL_NETLINK, options[at], &on, sizeof on);
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == -1 ? close_failed(fd) : fd;
}

static JSValue socket_netlink(CALL)
{
    (void)self, (void)argc;
    return answer(js, netlink_socket(int_of(js, argv[0]), int_of(js, argv[1])));
}

static JSValue socket_link_index(CALL)
{
    (void)self, (void)argc;
    struct ifreq request = {0};
    const char *name = path_of(js, argv[1]);
    if (!name)
        return no_path(js);
    int result = -1;
    errno = ENODEV;
    if (strlen(name) < sizeof request.ifr_name) {
        strcpy(request.ifr_name, name);
        result = ioctl(int_of(js, argv[0]), SIOCGIFINDEX, &request);
    }
    JS_FreeCString(js, name);
    return answer(js, result == -1 ? result : request.ifr_ifindex);
}

static JSValue socket_socket(CALL)
{
    (void)self, (void)argc;
    int family = int_of(js, argv[0]), type = int_of(js, argv[1]), protocol = int_of(js, argv[2]);
    return answer(js, socket(family, type | SOCK_CLOEXEC, protocol));
}

static JSValue socket_set_option(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const uint8_t *value = bytes_of(js, argv[3], &length);
    if (!value)
        return JS_EXCEPTION;
    int fd = int_of(js, argv[0]), level = int_of(js, argv[1]), option = int_of(js, argv[2]);
    return answer(js, setsockopt(fd, level, option, value, (socklen_t)length));
}

static JSValue socket_get_option(CALL)
{
    (void)self, (void)argc;
    size_t size;
    uint8_t *value = bytes_of(js, argv[3], &size);
    if (!value)
        return JS_EXCEPTION;
    socklen_t length = (socklen_t)size;
    int fd = int_of(js, argv[0]), level = int_of(js, argv[1]), option = int_of(js, argv[2]);
    int result = getsockopt(fd, level, option, value, &length);
    return answer(js, result == -1 ? result : (int)length);
}

static JSValue socket_send(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const uint8_t *bytes = bytes_of(js, argv[1], &length);
    if (!bytes)
        return JS_EXCEPTION;
    ssize_t count;
    RETRY(count, send(int_of(js, argv[0]), bytes, length, MSG_NOSIGNAL));
    return answer(js, count);
}

static JSValue socket_receive(CALL)
{
    (void)self, (void)argc;
    size_t size;
    uint8_t *buffer = bytes_of(js, argv[1], &size);
    if (!buffer)
        return JS_EXCEPTION;
    for (;;) {
        struct sockaddr_nl sender = {0};
        socklen_t sender_size = sizeof sender;
        ssize_t length;
        RETRY(length, recvfrom(int_of(js, argv[0]), buffer, size, MSG_TRUNC, (struct sockaddr *)&sender, &sender_size));
        if (length != -1 && sender.nl_pid != 0)
            continue; /* a process's words, not the kernel's */
        if (length > (ssize_t)size)
            return JS_NewInt32(js, -EMSGSIZE);
        return answer(js, length);
    }
}

static JSValue socket_send_datagram(CALL)
{
    (void)self, (void)argc;
    size_t size, length;
    const void *address = bytes_of(js, argv[1], &size);
    const uint8_t *bytes = address ? bytes_of(js, argv[2], &length) : NULL;
    if (!bytes)
        return JS_EXCEPTION;
    ssize_t count;
    RETRY(count, sendto(int_of(js, argv[0]), bytes, length, MSG_NOSIGNAL, address, (socklen_t)size));
    return answer(js, count);
}

/* Opens a Unix socket that does not wait, and fills in the address of `path`. */
static int unix_socket(const char *path, int type, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, strlen(path));
    return socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address;
    int fd = unix_socket(path, SOCK_STREAM, &address);
    if (fd == -1)
        return -1;
    int result;
    RETRY(result, connect(fd, (struct sockaddr *)&address, sizeof address));
    return result == -1 ? close_failed(fd) : fd;
}

static JSValue socket_connect(CALL)
{
    (void)self, (void)argc;
    return of_path_alone(js, argv, connect_to);
}

static int send_to(const char *path, const uint8_t *bytes, size_t length)
{
    struct sockaddr_un address;
    int fd = unix_socket(path, SOCK_DGRAM, &address);
    if (fd == -1)
        return -1;
    ssize_t count;
    RETRY(count, sendto(fd, bytes, length, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address));
    if (count == -1)
        return close_failed(fd);
    close(fd);
    return (int)count;
}

static JSValue socket_send_to(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    size_t length;
    const uint8_t *bytes = bytes_of(js, argv[1], &length);
    JSValue result = bytes ? answer(js, send_to(path, bytes, length)) : JS_EXCEPTION;
    JS_FreeCString(js, path);
    return result;
}

/* No signal interrupts these calls. */
static int make_tun(int fd, const char *name, int flags, int64_t owner, int64_t group)
{
    struct ifreq request = {.ifr_flags = (short)flags};
    if (strlen(name) >= sizeof request.ifr_name) {
        errno = EINVAL;
        return -1;
    }
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) == -1)
        return -1;
    if (owner >= 0 && ioctl(fd, TUNSETOWNER, (unsigned long)owner) == -1)
        return -1;
    if (group >= 0 && ioctl(fd, TUNSETGROUP, (unsigned long)group) == -1)
        return -1;
    return ioctl(fd, TUNSETPERSIST, 1UL);
}

static JSValue socket_make_tun(CALL)
{
    (void)self, (void)argc;
    const char *name = path_of(js, argv[1]);
    if (!name)
        return no_path(js);
    int fd = int_of(js, argv[0]), flags = int_of(js, argv[2]);
    JSValue result = answer(js, make_tun(fd, name, flags, integer_of(js, argv[3]), integer_of(js, argv[4])));
    JS_FreeCString(js, name);
    return result;
}

/* Says if the attribute of that number is there and begins with the byte `first`. Attributes follow a struct nfgenmsg. */
static bool attribute_begins(const uint8_t *message, size_t length, int number, int first)
{
    struct nlattr attribute;
    for (size_t at = NLMSG_HDRLEN + 4; at + sizeof attribute < length; at += (size_t)NLA_ALIGN(attribute.nla_len)) {
        memcpy(&attribute, message + at, sizeof attribute);
        if (attribute.nla_len < sizeof attribute)
            return false;
        if ((attribute.nla_type & NLA_TYPE_MASK) == number)
            return attribute.nla_len > sizeof attribute && message[at + sizeof attribute] == first;
    }
    return false;
}

struct sieve {
    const uint8_t *texts;
    size_t length, width;
    int attribute, mark;
};

/* Says if one of the texts, which are `width` bytes each, is in the message. */
static bool has_text(const uint8_t *message, size_t length, const struct sieve *sieve)
{
    for (size_t at = 0; at < sieve->length; at += sieve->width) {
        if (sieve->width > sieve->length - at)
            return false;
        if (memmem(message, length, sieve->texts + at, sieve->width))
            return true;
    }
    return false;
}

static size_t next_message(const uint8_t *bytes, size_t size, size_t at, const struct sieve *sieve)
{
    struct nlmsghdr header;
    /* A single text is looked for in all messages at once. */
    const bool single = sieve->width == sieve->length;
    const uint8_t *hit = single && at < size ? memmem(bytes + at, size - at, sieve->texts, sieve->width) : NULL;
    for (; at < size; at += NLMSG_ALIGN(header.nlmsg_len)) {
        if (size - at < sizeof header)
            return at;
        memcpy(&header, bytes + at, sizeof header);
        const size_t length = header.nlmsg_len;
        if (length < sizeof header || length > size - at)
            return at;
        if (header.nlmsg_type < NLMSG_MIN_TYPE || header.nlmsg_flags & NLM_F_DUMP_INTR)
            return at;
        if (hit && hit < bytes + at)
            hit = memmem(bytes + at, size - at, sieve->texts, sieve->width);
        if (single ? hit && hit + sieve->width <= bytes + at + length : has_text(bytes + at, length, sieve))
            return at;
        if (sieve->attribute && !attribute_begins(bytes + at, length, sieve->attribute, sieve->mark))
            return at;
    }
    return size;
}

static JSValue socket_next_message(CALL)
{
    (void)self, (void)argc;
    size_t size;
    struct sieve sieve = {.attribute = int_of(js, argv[4]), .mark = int_of(js, argv[5])};
    const int width = int_of(js, argv[3]);
    sieve.width = width > 0 ? (size_t)width : 1;
    const uint8_t *bytes = bytes_of(js, argv[0], &size);
    sieve.texts = bytes ? bytes_of(js, argv[2], &sieve.length) : NULL;
    if (!sieve.texts)
        return JS_EXCEPTION;
    const int at = int_of(js, argv[1]);
    return answer(js, (int64_t)next_message(bytes, size, at < 0 ? size : (size_t)at, &sieve));
}

const JSCFunctionListEntry socket_functions[] = {
    JS_CFUNC_DEF("netlink", 2, socket_netlink),
    JS_CFUNC_DEF("linkIndex", 2, socket_link_index),
    JS_CFUNC_DEF("socket", 3, socket_socket),
    JS_CFUNC_DEF("setOption", 4, socket_set_option),
    JS_CFUNC_DEF("getOption", 4, socket_get_option),
    JS_CFUNC_DEF("send", 2, socket_send),
    JS_CFUNC_DEF("receive", 2, socket_receive),
    JS_CFUNC_DEF("connect", 1, socket_connect),
    JS_CFUNC_DEF("sendDatagram", 3, socket_send_datagram),
    JS_CFUNC_DEF("sendTo", 2, socket_send_to),
    JS_CFUNC_DEF("makeTun", 5, socket_make_tun),
    JS_CFUNC_DEF("nextMessage", 6, socket_next_message),
};
const int socket_function_count = sizeof socket_functions / sizeof *socket_functions;
