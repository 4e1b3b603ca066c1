/* Network namespaces, and whatever unshare(2) makes. */
#include "host.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The network namespace that this process is in, if it has been opened for nobody yet; -1 otherwise. */
static int own_network = -1;

/* Opens it by a socket, if this process has CAP_NET_ADMIN: for /proc/self the kernel would make all that there is on this process first. */
static int open_own_network(void)
{
    if (own_network != -1)
        return own_network;
    int any = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int fd = any == -1 ? -1 : ioctl(any, SIOCGSKNS);
    if (any != -1)
        close(any);
    return own_network = fd == -1 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : fd;
}

static void leave_own_network(void)
{
    if (own_network != -1)
        close(own_network);
    own_network = -1;
}

static JSValue namespace_open_own_network(CALL)
{
    (void)self, (void)argc, (void)argv;
    int fd = open_own_network();
    own_network = -1; /* it is the caller's */
    return answer(js, fd);
}

/* 1 if the path leads to the network namespace that this process is in, 0 if not, or -1. */
static int is_own_network(const char *path)
{
    struct stat named, own;
    if (stat(path, &named) == -1 || open_own_network() == -1 || fstat(own_network, &own) == -1)
        return -1;
    return named.st_dev == own.st_dev && named.st_ino == own.st_ino;
}

static JSValue namespace_is_own_network(CALL)
{
    (void)self, (void)argc;
    return of_path_alone(js, argv, is_own_network);
}

static JSValue namespace_enter_network(CALL)
{
    (void)self, (void)argc;
    leave_own_network();
    return answer(js, setns(int_of(js, argv[0]), CLONE_NEWNET));
}

static JSValue namespace_unshare(CALL)
{
    (void)self, (void)argc;
    leave_own_network();
    return answer(js, unshare(int_of(js, argv[0])));
}

const JSCFunctionListEntry namespace_functions[] = {
    JS_CFUNC_DEF("openOwnNetwork", 0, namespace_open_own_network),
    JS_CFUNC_DEF("isOwnNetwork", 1, namespace_is_own_network),
    JS_CFUNC_DEF("enterNetwork", 1, namespace_enter_network),
    JS_CFUNC_DEF("unshare", 1, namespace_unshare),
};
const int namespace_function_count = sizeof namespace_functions / sizeof *namespace_functions;
