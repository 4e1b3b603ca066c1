/* Other programs. */
#include "host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a program may write to stdout, and to stderr, before it is stopped. */
enum { OUTPUT_LIMIT = 4 << 20 };

struct output {
    int fd;
    uint8_t *bytes;
    size_t length, size;
};

/* A program that runs, and what goes to it and comes from it. A descriptor is -1 once it is closed. */
struct child {
    pid_t pid;
    int in;
    const uint8_t *input;
    size_t rest;
    struct output out, err;
    bool timed_out;
};

static void close_end(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

/* Standard signals for the new program, and the three descriptors it has. An error number, as posix_spawn(3) has it. */
static int start(struct child *child, const char *path, char **environment, const int ends[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, handled;
    char *arguments[] = {(char *)(uintptr_t)path, NULL};
    sigemptyset(&none);
    sigfillset(&handled);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &handled);
    posix_spawn_file_actions_init(&actions);
    int error = 0;
    for (int fd = 0; fd < 3 && error == 0; fd++)
        error = posix_spawn_file_actions_adddup2(&actions, ends[fd], fd);
    if (error == 0)
        error = posix_spawn(&child->pid, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* Starts the program with a pipe at each of its standard descriptors. False, with errno, if that cannot be. */
static bool open_child(struct child *child, const char *path, char **environment)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int error = pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ? errno : 0;
    if (error == 0)
        error = start(child, path, environment, (int[3]){in[0], out[1], err[1]});
    close_end(&in[0]);
    close_end(&out[1]);
    close_end(&err[1]);
    child->in = in[1];
    child->out.fd = out[0];
    child->err.fd = err[0];
    if (error == 0) {
        fcntl(child->in, F_SETFL, O_NONBLOCK);
        return true;
    }
    close_end(&child->in);
    close_end(&child->out.fd);
    close_end(&child->err.fd);
    errno = error;
    return false;
}

static void feed(struct child *child)
{
    ssize_t count = child->rest == 0 ? 0 : write(child->in, child->input, child->rest);
    if (count > 0) {
        child->input += count;
        child->rest -= (size_t)count;
    }
    bool refused = count == -1 && errno != EAGAIN && errno != EINTR;
    if (child->rest == 0 || refused)
        close_end(&child->in);
}

/* False, with errno, if it wrote more than anybody can want, or there is no memory for it. */
static bool collect(JSContext *js, struct output *output)
{
    if (output->length == output->size) {
        size_t size = output->size ? 2 * output->size : 4096;
        uint8_t *larger = size > OUTPUT_LIMIT ? NULL : js_realloc_rt(JS_GetRuntime(js), output->bytes, size);
        if (!larger) {
            errno = size > OUTPUT_LIMIT ? EFBIG : ENOMEM;
            return false;
        }
        output->bytes = larger;
        output->size = size;
    }
    ssize_t count;
    RETRY(count, read(output->fd, output->bytes + output->length, output->size - output->length));
    if (count > 0)
        output->length += (size_t)count;
    else
        close_end(&output->fd);
    return true;
}

/* Talks with the child until it has closed stdout and stderr. False, with errno, if it has to be ended. */
static bool converse(JSContext *js, struct child *child, int64_t deadline)
{
    while (child->out.fd != -1 || child->err.fd != -1) {
        struct pollfd events[3] = {
            {.fd = child->in, .events = POLLOUT},
            {.fd = child->out.fd, .events = POLLIN},
            {.fd = child->err.fd, .events = POLLIN},
        };
        int64_t left = deadline - milliseconds_now();
        int ready = left <= 0 ? 0 : poll(events, 3, left > 60000 ? 60000 : (int)left);
        if (ready == 0 && milliseconds_now() >= deadline)
            return errno = ETIMEDOUT, false;
        if (ready <= 0)
            continue;
        if (events[0].revents)
            feed(child);
        if ((events[1].revents && !collect(js, &child->out)) || (events[2].revents && !collect(js, &child->err)))
            return false;
    }
    return true;
}

static sigset_t ends_of_children(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return set;
}

/* Waits until the child has ended, whose exit status `status` is then. False, with errno, if it has to be ended. */
static bool outlive(const struct child *child, int64_t deadline, int *status)
{
    const sigset_t end = ends_of_children();
    while (waitpid(child->pid, status, WNOHANG) == 0) {
        int64_t left = deadline - milliseconds_now();
        if (left <= 0)
            return errno = ETIMEDOUT, false;
        const struct timespec most = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        sigtimedwait(&end, NULL, &most);
    }
    return true;
}

/* Ends the child and all that it started. */
static void end(const struct child *child, int *status)
{
    pid_t pid;
    kill(-child->pid, SIGKILL);
    RETRY(pid, waitpid(child->pid, status, 0));
}

static void *reallocate_output(JSRuntime *runtime, void *opaque, void *bytes, size_t size)
{
    (void)opaque;
    return js_realloc_rt(runtime, bytes, size);
}

/* What a program wrote; the array has the bytes from here on. */
static JSValue bytes_from(JSContext *js, struct output *output)
{
    if (output->length == 0)
        return JS_NewUint8ArrayCopy(js, NULL, 0);
    JSValue array = JS_NewUint8Array(js, output->bytes, output->length, reallocate_output, NULL, false);
    if (!JS_IsException(array))
        output->bytes = NULL;
    return array;
}

static JSValue ended_object(JSContext *js, struct child *child, int status)
{
    static const char *names[] = {"exitCode", "signal", "timedOut", "stdout", "stderr"};
    const JSValue values[] = {
        WIFEXITED(status) ? JS_NewInt32(js, WEXITSTATUS(status)) : JS_UNDEFINED,
        WIFSIGNALED(status) ? JS_NewInt32(js, WTERMSIG(status)) : JS_UNDEFINED,
        JS_NewBool(js, child->timed_out),
        bytes_from(js, &child->out),
        bytes_from(js, &child->err),
    };
    return new_object(js, sizeof values / sizeof *values, names, values);
}

/*
 * The end of a child is a signal, which is to wait until somebody waits for it. If it is ignored, as whoever started this process may have
 * it, the exit status goes with the child.
 */
static void await_ends_of_children(void)
{
    const sigset_t end = ends_of_children();
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &end, NULL);
}

static JSValue run(JSContext *js, struct child *child, const char *path, char **environment, int64_t milliseconds)
{
    const int64_t deadline = milliseconds_now() + milliseconds;
    await_ends_of_children();
    if (!open_child(child, path, environment))
        return answer(js, -1);
    int status = 0;
    bool ended = converse(js, child, deadline) && outlive(child, deadline, &status);
    int error = ended ? 0 : errno;
    close_end(&child->in);
    close_end(&child->out.fd);
    close_end(&child->err.fd);
    if (!ended)
        end(child, &status);
    child->timed_out = error == ETIMEDOUT;
    JSValue result = ended || child->timed_out ? ended_object(js, child, status) : JS_NewInt32(js, -error);
    js_free(js, child->out.bytes);
    js_free(js, child->err.bytes);
    return result;
}

static void release_texts(JSContext *js, char **texts)
{
    for (char **text = texts; *text; text++)
        JS_FreeCString(js, *text);
    free(texts);
}

/* More texts than any program can be started with. */
enum { TEXTS_LIMIT = 1 << 20 };

/* The texts of a list, ended by NULL; NULL, and an exception, if there are too many or there is no memory. */
static char **texts_of(JSContext *js, JSValueConst list)
{
    int64_t count = 0;
    if (JS_GetLength(js, list, &count) < 0)
        return NULL;
    char **texts = count > TEXTS_LIMIT ? NULL : calloc((size_t)count + 1, sizeof *texts);
    if (!texts)
        return JS_ThrowOutOfMemory(js), NULL;
    for (uint32_t at = 0; at < count; at++) {
        size_t length;
        JSValue item = JS_GetPropertyUint32(js, list, at);
        texts[at] = (char *)(uintptr_t)utf8_of(js, item, &length);
        JS_FreeValue(js, item);
        if (!texts[at]) {
            release_texts(js, texts);
            return NULL;
        }
    }
    return texts;
}

static JSValue spawn_spawn(CALL)
{
    (void)self, (void)argc;
    struct child child = {.pid = -1};
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    JSValue result = JS_EXCEPTION;
    char **environment = texts_of(js, argv[1]);
    if (environment)
        child.input = bytes_of(js, argv[2], &child.rest);
    if (child.input)
        result = run(js, &child, path, environment, milliseconds_of(js, argv[3]));
    if (environment)
        release_texts(js, environment);
    JS_FreeCString(js, path);
    return result;
}

const JSCFunctionListEntry spawn_functions[] = {
    JS_CFUNC_DEF("spawn", 4, spawn_spawn),
};
const int spawn_function_count = sizeof spawn_functions / sizeof *spawn_functions;
