/* Files and directories. */
#include "host.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int open_file(const char *path, int flags, mode_t mode)
{
    int fd;
    RETRY(fd, (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
    return fd;
}

static JSValue file_open(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    JSValue result = answer(js, open_file(path, int_of(js, argv[1]), (mode_t)integer_of(js, argv[2])));
    JS_FreeCString(js, path);
    return result;
}

/* Linux closes the descriptor whatever it answers, also if a signal comes. */
static JSValue file_close(CALL)
{
    (void)self, (void)argc;
    int result = close(int_of(js, argv[0]));
    return result == -1 && errno == EINTR ? JS_NewInt32(js, 0) : answer(js, result);
}

static JSValue file_read(CALL)
{
    (void)self, (void)argc;
    size_t length;
    uint8_t *buffer = bytes_of(js, argv[1], &length);
    if (!buffer)
        return JS_EXCEPTION;
    ssize_t count;
    RETRY(count, read(int_of(js, argv[0]), buffer, length));
    return answer(js, count);
}

static JSValue file_read_at(CALL)
{
    (void)self, (void)argc;
    size_t length;
    uint8_t *buffer = bytes_of(js, argv[1], &length);
    if (!buffer)
        return JS_EXCEPTION;
    ssize_t count;
    RETRY(count, pread(int_of(js, argv[0]), buffer, length, integer_of(js, argv[2])));
    return answer(js, count);
}

static JSValue file_await_input(CALL)
{
    (void)self, (void)argc;
    struct pollfd readable = {.fd = int_of(js, argv[0]), .events = POLLIN};
    int64_t milliseconds = milliseconds_of(js, argv[1]);
    int result;
    RETRY(result, poll(&readable, 1, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds));
    if (result == 0) {
        errno = ETIMEDOUT;
        result = -1;
    } else if (result == -1 && errno == EINVAL) {
        errno = EMFILE; /* poll(2) of a single descriptor if the process may have none */
    }
    return answer(js, result > 0 ? 0 : result);
}

ssize_t write_waiting(int fd, const void *bytes, size_t length)
{
    for (;;) {
        ssize_t count;
        RETRY(count, write(fd, bytes, length));
        if (count != -1 || errno != EAGAIN)
            return count;
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        int ready;
        RETRY(ready, poll(&writable, 1, -1));
        if (ready == -1)
            return -1;
    }
}

static JSValue file_write(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const uint8_t *bytes = bytes_of(js, argv[1], &length);
    return bytes ? answer(js, write_waiting(int_of(js, argv[0]), bytes, length)) : JS_EXCEPTION;
}

static JSValue file_sync(CALL)
{
    (void)self, (void)argc;
    int result;
    RETRY(result, fdatasync(int_of(js, argv[0])));
    return answer(js, result);
}

static void alarm_rings(int signal)
{
    (void)signal; /* that it came is enough: it interrupts flock() */
}

/*
 * Has SIGALRM interrupt what this process waits for after so long, and every tenth of a second from then on, in case the first one came
 * just before the wait began. Whoever started this process may have blocked or ignored the signal.
 */
static void set_alarm(int64_t milliseconds)
{
    struct sigaction action = {.sa_handler = alarm_rings};
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    struct itimerval timer = {.it_interval = {.tv_usec = 100000}};
    timer.it_value.tv_sec = milliseconds / 1000;
    timer.it_value.tv_usec = milliseconds % 1000 * 1000;
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void clear_alarm(void)
{
    const struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
}

static int lock_within(int fd, int64_t milliseconds)
{
    const int64_t deadline = milliseconds_now() + milliseconds;
    set_alarm(milliseconds);
    int result;
    do {
        result = flock(fd, LOCK_EX);
    } while (result == -1 && errno == EINTR && milliseconds_now() < deadline);
    clear_alarm();
    if (result == -1 && errno == EINTR)
        errno = ETIMEDOUT;
    return result;
}

static JSValue file_lock(CALL)
{
    (void)self, (void)argc;
    int fd = int_of(js, argv[0]);
    int64_t milliseconds = milliseconds_of(js, argv[1]);
    int result;
    RETRY(result, flock(fd, LOCK_EX | LOCK_NB));
    if (result == -1 && errno == EWOULDBLOCK) {
        errno = ETIMEDOUT;
        if (milliseconds > 0)
            result = lock_within(fd, milliseconds);
    }
    return answer(js, result);
}

/* Answers a function that takes a path and an integer. */
static JSValue of_path(JSContext *js, JSValueConst *argv, int (*act)(const char *, int64_t))
{
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    JSValue result = answer(js, act(path, integer_of(js, argv[1])));
    JS_FreeCString(js, path);
    return result;
}

/* Answers a function that takes two paths. */
static JSValue of_two_paths(JSContext *js, JSValueConst *argv, int (*act)(const char *, const char *))
{
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    const char *other = path_of(js, argv[1]);
    JSValue result = other ? answer(js, act(path, other)) : no_path(js);
    JS_FreeCString(js, path);
    if (other)
        JS_FreeCString(js, other);
    return result;
}

static JSValue file_link(CALL)
{
    (void)self, (void)argc;
    return of_two_paths(js, argv, link);
}

static JSValue file_rename(CALL)
{
    (void)self, (void)argc;
    return of_two_paths(js, argv, rename);
}

static JSValue file_unlink(CALL)
{
    (void)self, (void)argc;
    return of_path_alone(js, argv, unlink);
}

static JSValue file_remove_directory(CALL)
{
    (void)self, (void)argc;
    return of_path_alone(js, argv, rmdir);
}

static int set_mode(const char *path, int64_t mode)
{
    return chmod(path, (mode_t)mode);
}

static JSValue file_chmod(CALL)
{
    (void)self, (void)argc;
    return of_path(js, argv, set_mode);
}

static int make_directory(const char *path, int64_t mode)
{
    return mkdir(path, (mode_t)mode);
}

static JSValue file_mkdir(CALL)
{
    (void)self, (void)argc;
    return of_path(js, argv, make_directory);
}

static int set_times(const char *path, int64_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    return utimensat(AT_FDCWD, path, times, 0);
}

static JSValue file_set_times(CALL)
{
    (void)self, (void)argc;
    return of_path(js, argv, set_times);
}

/* Appends the names among the entries of a directory (getdents64(2)). False, and an exception, without memory. */
static bool append_names(JSContext *js, JSValueConst names, uint32_t *count, const uint8_t *entries, size_t length)
{
    const struct dirent *entry;
    for (size_t at = 0; at < length; at += entry->d_reclen) {
        entry = (const struct dirent *)(const void *)(entries + at);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        JSValue text = text_of(js, (const uint8_t *)entry->d_name, strlen(entry->d_name));
        if (JS_IsException(text) || JS_SetPropertyUint32(js, names, (*count)++, text) < 0)
            return false;
    }
    return true;
}

/* The names in the open directory; an exception without memory, a negative errno if it cannot be read to its end. */
static JSValue names_in(JSContext *js, int fd)
{
    static uint8_t entries[64 << 10] __attribute__((aligned(8))); /* the C library reads 2 kB at a time */
    JSValue names = JS_NewArray(js);
    uint32_t count = 0;
    long length = 0;
    bool listed = !JS_IsException(names);
    while (listed) {
        RETRY(length, syscall(SYS_getdents64, fd, entries, sizeof entries));
        if (length <= 0)
            break;
        listed = append_names(js, names, &count, entries, (size_t)length);
    }
    if (listed && length == 0)
        return names;
    JSValue failure = listed ? answer(js, length) : JS_EXCEPTION;
    JS_FreeValue(js, names);
    return failure;
}

static JSValue file_list(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    int fd = open_file(path, O_RDONLY | O_DIRECTORY, 0);
    JSValue result = fd == -1 ? answer(js, fd) : names_in(js, fd);
    if (fd != -1)
        close(fd);
    JS_FreeCString(js, path);
    return result;
}

const JSCFunctionListEntry file_functions[] = {
    JS_PROP_INT32_DEF("O_NOFOLLOW", O_NOFOLLOW, 0),
    JS_CFUNC_DEF("open", 3, file_open),
    JS_CFUNC_DEF("close", 1, file_close),
    JS_CFUNC_DEF("read", 2, file_read),
    JS_CFUNC_DEF("awaitInput", 2, file_await_input),
    JS_CFUNC_DEF("readAt", 3, file_read_at),
    JS_CFUNC_DEF("write", 2, file_write),
    JS_CFUNC_DEF("sync", 1, file_sync),
    JS_CFUNC_DEF("lock", 2, file_lock),
    JS_CFUNC_DEF("link", 2, file_link),
    JS_CFUNC_DEF("rename", 2, file_rename),
    JS_CFUNC_DEF("unlink", 1, file_unlink),
    JS_CFUNC_DEF("mkdir", 2, file_mkdir),
    JS_CFUNC_DEF("removeDirectory", 1, file_remove_directory),
    JS_CFUNC_DEF("chmod", 2, file_chmod),
    JS_CFUNC_DEF("setTimes", 2, file_set_times),
    JS_CFUNC_DEF("list", 1, file_list),
};
const int file_function_count = sizeof file_functions / sizeof *file_functions;
