/* Another program in this process's place. */
#include "host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Bytes on their way. On the stack: what is static counts as memory of every process. */
enum { BUFFER_SIZE = 16 << 10 };

/* What the other program writes, on its way to `to`; `from` is -1 once it is closed. */
struct stream {
    int from, to;
    uint8_t *copy;
    size_t length, limit;
};

struct relay {
    pid_t pid;
    int in;
    /* What it gets next. */
    const uint8_t *input;
    size_t rest;
    uint8_t taken[BUFFER_SIZE];
    struct stream out, err;
};

/* How the program that was relayed has ended, once it has. */
static bool over;
static int end_status;

static void close_end(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

/* In the new process: becomes the program, which dies with its parent, or tells that by `report` why it cannot. */
static _Noreturn void become_program(const char *path, const int ends[3], int report, pid_t parent, void (*child_ends)(int))
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    for (int fd = 0; fd < 3; fd++)
        dup2(ends[fd], fd);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signal(SIGCHLD, child_ends);
    execve(path, process_argv(), environ);
    int error = errno;
    ssize_t count;
    RETRY(count, write(report, &error, sizeof error));
    _exit(EXIT_FAILURE);
}

/* Starts the program. An error number if that cannot be. */
static int start(struct relay *relay, const char *path)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
    const pid_t parent = getpid();
    /* If its end is ignored, as whoever started this process may have it, the exit status goes with the program. */
    void (*child_ends)(int) = signal(SIGCHLD, SIG_DFL);
    int error = pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(report, O_CLOEXEC) ? errno : 0;
    if (error == 0 && (relay->pid = fork()) == 0)
        become_program(path, (int[3]){in[0], out[1], err[1]}, report[1], parent, child_ends);
    if (error == 0 && relay->pid == -1)
        error = errno;
    close_end(&in[0]);
    close_end(&out[1]);
    close_end(&err[1]);
    close_end(&report[1]);
    ssize_t count = 0;
    int status, reported = 0;
    if (error == 0)
        RETRY(count, read(report[0], &reported, sizeof reported));
    close_end(&report[0]);
    if (count > 0) {
        error = reported;
        RETRY(count, waitpid(relay->pid, &status, 0));
    }
    relay->in = in[1];
    relay->out.from = out[0];
    relay->err.from = err[0];
    if (error == 0)
        fcntl(relay->in, F_SETFL, O_NONBLOCK);
    return error;
}

static void feed(struct relay *relay)
{
    ssize_t count = write(relay->in, relay->input, relay->rest);
    if (count > 0) {
        relay->input += count;
        relay->rest -= (size_t)count;
    } else if (errno != EAGAIN && errno != EINTR) {
        close_end(&relay->in);
        relay->rest = 0;
    }
}

/* Takes more from this process's own stdin, to be fed next. */
static void take_input(struct relay *relay)
{
    ssize_t count;
    RETRY(count, read(STDIN_FILENO, relay->taken, sizeof relay->taken));
    if (count == -1 && errno == EAGAIN)
        return;
    if (count <= 0) {
        close_end(&relay->in);
        return;
    }
    relay->input = relay->taken;
    relay->rest = (size_t)count;
}

/* Without memory there is no copy of what comes; it is passed on all the same. */
static void keep(JSRuntime *runtime, struct stream *stream, const uint8_t *bytes, size_t count)
{
    size_t room = stream->limit - stream->length;
    if (count > room)
        count = room;
    if (count == 0)
        return;
    uint8_t *larger = js_realloc_rt(runtime, stream->copy, stream->length + count);
    if (!larger)
        return;
    stream->copy = larger;
    for (size_t at = 0; at < count; at++)
        larger[stream->length++] = bytes[at];
}

/* False if nobody takes it. */
static bool pass_on(int fd, const uint8_t *bytes, size_t rest)
{
    while (rest > 0) {
        ssize_t count = write(fd, bytes, rest);
        if (count > 0) {
            bytes += count;
            rest -= (size_t)count;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void forward(JSRuntime *runtime, struct stream *stream)
{
    uint8_t buffer[BUFFER_SIZE];
    ssize_t count;
    RETRY(count, read(stream->from, buffer, sizeof buffer));
    if (count > 0)
        keep(runtime, stream, buffer, (size_t)count);
    if (count <= 0 || !pass_on(stream->to, buffer, (size_t)count))
        close_end(&stream->from);
}

/* Passes on what goes to and comes from the program until it has closed stdout and stderr. */
static void converse(JSRuntime *runtime, struct relay *relay)
{
    while (relay->out.from != -1 || relay->err.from != -1) {
        struct pollfd events[4] = {
            {.fd = relay->rest > 0 ? relay->in : -1, .events = POLLOUT},
            {.fd = relay->rest == 0 && relay->in != -1 ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = relay->out.from, .events = POLLIN},
            {.fd = relay->err.from, .events = POLLIN},
        };
        if (poll(events, 4, -1) <= 0)
            continue;
        if (events[0].revents)
            feed(relay);
        if (events[1].revents)
            take_input(relay);
        if (events[2].revents)
            forward(runtime, &relay->out);
        if (events[3].revents)
            forward(runtime, &relay->err);
    }
}

static JSValue ended_object(JSContext *js, const struct relay *relay)
{
    static const char *names[] = {"exitCode", "signal", "stdout", "stderr"};
    const JSValue values[] = {
        WIFEXITED(end_status) ? JS_NewInt32(js, WEXITSTATUS(end_status)) : JS_UNDEFINED,
        WIFSIGNALED(end_status) ? JS_NewInt32(js, WTERMSIG(end_status)) : JS_UNDEFINED,
        JS_NewUint8ArrayCopy(js, relay->out.copy, relay->out.length),
        JS_NewUint8ArrayCopy(js, relay->err.copy, relay->err.length),
    };
    return new_object(js, sizeof values / sizeof *values, names, values);
}

static JSValue run(JSContext *js, struct relay *relay, const char *path)
{
    int error = start(relay, path);
    if (error == 0) {
        converse(JS_GetRuntime(js), relay);
        pid_t pid;
        RETRY(pid, waitpid(relay->pid, &end_status, 0));
        over = true;
    }
    close_end(&relay->in);
    close_end(&relay->out.from);
    close_end(&relay->err.from);
    JSValue result = error == 0 ? ended_object(js, relay) : JS_NewInt32(js, -error);
    js_free(js, relay->out.copy);
    js_free(js, relay->err.copy);
    return result;
}

static JSValue relay_relay(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    int64_t limit = integer_of(js, argv[2]);
    size_t most = limit < 0 ? 0 : (size_t)limit;
    struct relay relay = {
        .pid = -1,
        .out = {.from = -1, .to = STDOUT_FILENO, .limit = most},
        .err = {.from = -1, .to = STDERR_FILENO, .limit = most},
    };
    relay.input = bytes_of(js, argv[1], &relay.rest);
    JSValue result = relay.input ? run(js, &relay, path) : JS_EXCEPTION;
    JS_FreeCString(js, path);
    return result;
}

/* A core would be the second of one crash. */
void relay_end(void)
{
    if (!over)
        return;
    if (WIFSIGNALED(end_status)) {
        const struct rlimit none = {0};
        sigset_t all;
        sigfillset(&all);
        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(end_status), SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        kill(getpid(), WTERMSIG(end_status));
    }
    _exit(WIFEXITED(end_status) ? WEXITSTATUS(end_status) : EXIT_FAILURE);
}

static JSValue relay_end_alike(CALL)
{
    (void)js, (void)self, (void)argc, (void)argv;
    relay_end();
    _exit(EXIT_FAILURE);
}

static JSValue relay_become(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    int result = execve(path, process_argv(), environ);
    JSValue failure = answer(js, result);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    JS_FreeCString(js, path);
    return failure;
}

const JSCFunctionListEntry relay_functions[] = {
    JS_CFUNC_DEF("relay", 3, relay_relay),
    JS_CFUNC_DEF("endAlike", 0, relay_end_alike),
    JS_CFUNC_DEF("become", 1, relay_become),
};
const int relay_function_count = sizeof relay_functions / sizeof *relay_functions;
