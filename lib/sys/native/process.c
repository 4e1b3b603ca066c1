/* The process itself, clocks and chance. */
#include "host.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static struct timespec began;
static char **arguments;
static int argument_count;

/* By a system call: the C library takes longer to find the kernel's faster function than a process has questions for the time. */
static struct timespec monotonic(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now;
}

void process_begin(int argc, char **argv)
{
    began = monotonic();
    arguments = argv;
    argument_count = argc;
}

char **process_argv(void)
{
    return arguments;
}

int64_t milliseconds_now(void)
{
    const struct timespec now = monotonic();
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A list of the first `count` texts. */
static JSValue list_of(JSContext *js, char **texts, uint32_t count)
{
    JSValue list = JS_NewArray(js);
    for (uint32_t at = 0; at < count && !JS_IsException(list); at++) {
        JSValue text = JS_NewString(js, texts[at]);
        if (JS_IsException(text) || JS_SetPropertyUint32(js, list, at, text) < 0) {
            JS_FreeValue(js, list);
            list = JS_EXCEPTION;
        }
    }
    return list;
}

static JSValue process_arguments(CALL)
{
    (void)self, (void)argc, (void)argv;
    return list_of(js, arguments, (uint32_t)argument_count);
}

static JSValue process_variable(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *name = utf8_of(js, argv[0], &length);
    if (!name)
        return JS_EXCEPTION;
    const char *value = getenv(name);
    JS_FreeCString(js, name);
    return value ? JS_NewString(js, value) : JS_UNDEFINED;
}

/* Adds a variable, unless there is one of that name. What has no name is none. False, and an exception, if there is no memory. */
static bool add_variable(JSContext *js, JSValueConst variables, const char *entry)
{
    const char *end = strchr(entry, '=');
    if (!end || end == entry)
        return true;
    JSAtom name = JS_NewAtomLen(js, entry, (size_t)(end - entry));
    int known = name == JS_ATOM_NULL ? -1 : JS_GetOwnProperty(js, NULL, variables, name);
    if (known == 0)
        known = JS_DefinePropertyValue(js, variables, name, JS_NewString(js, end + 1), JS_PROP_C_W_E);
    JS_FreeAtom(js, name);
    return known >= 0;
}

static JSValue process_environment(CALL)
{
    (void)self, (void)argc, (void)argv;
    JSValue variables = JS_NewObjectProto(js, JS_NULL);
    for (char **entry = environ; *entry && !JS_IsException(variables); entry++) {
        if (add_variable(js, variables, *entry))
            continue;
        JS_FreeValue(js, variables);
        variables = JS_EXCEPTION;
    }
    return variables;
}

static JSValue process_exit(CALL)
{
    (void)self, (void)argc;
    _exit(int_of(js, argv[0]));
}

static JSValue process_uptime(CALL)
{
    (void)self, (void)argc, (void)argv;
    const struct timespec now = monotonic();
    return JS_NewFloat64(js, (double)(now.tv_sec - began.tv_sec) * 1e3 + (double)(now.tv_nsec - began.tv_nsec) / 1e6);
}

static JSValue process_sleep(CALL)
{
    (void)self, (void)argc;
    int64_t milliseconds = milliseconds_of(js, argv[0]);
    struct timespec rest = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    int result;
    RETRY(result, nanosleep(&rest, &rest));
    return JS_UNDEFINED;
}

/* From the first time on these signals wait until somebody waits for them. */
static JSValue process_await_signal(CALL)
{
    (void)self, (void)argc;
    int64_t milliseconds = milliseconds_of(js, argv[0]);
    const struct timespec most = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int result;
    RETRY(result, sigtimedwait(&set, NULL, &most));
    if (result == -1 && errno == EAGAIN)
        errno = ETIMEDOUT;
    return answer(js, result);
}

static JSValue process_random(CALL)
{
    (void)self, (void)argc;
    size_t length;
    uint8_t *buffer = bytes_of(js, argv[0], &length);
    if (!buffer)
        return JS_EXCEPTION;
    ssize_t count;
    RETRY(count, getrandom(buffer, length, 0));
    return answer(js, count);
}

const JSCFunctionListEntry process_functions[] = {
    JS_CFUNC_DEF("arguments", 0, process_arguments),
    JS_CFUNC_DEF("variable", 1, process_variable),
    JS_CFUNC_DEF("environment", 0, process_environment),
    JS_CFUNC_DEF("exit", 1, process_exit),
    JS_CFUNC_DEF("uptime", 0, process_uptime),
    JS_CFUNC_DEF("sleep", 1, process_sleep),
    JS_CFUNC_DEF("awaitSignal", 1, process_await_signal),
    JS_CFUNC_DEF("random", 1, process_random),
};
const int process_function_count = sizeof process_functions / sizeof *process_functions;
