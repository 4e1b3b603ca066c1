/* From the first instruction to the bundle's `main`. */
#include "host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* Bytes of the stack. */
enum {
    STACK_LIMIT = 3 << 20,    /* for the engine, if the system allows so much */
    STACK_LEAST = 128 << 10,  /* for the engine, or nothing is begun */
    STACK_RESERVE = 24 << 10, /* for C beyond that */
};

static bool making_image;

/* gettimeofday(2) as the engine calls it. It seeds its numbers with it when a context is made: images of one bundle are to be the same. */
int engine_time_of_day(struct timeval *now, void *zone);
int engine_time_of_day(struct timeval *now, void *zone)
{
    if (!making_image)
        return gettimeofday(now, zone);
    *now = (struct timeval){0};
    return 0;
}

/* A context with what the bundle uses of the language: no eval, no proxies, no promises, and no clock that would begin here. */
static JSContext *new_context(JSRuntime *runtime)
{
    JSContext *js = JS_NewContextRaw(runtime);
    if (!js || JS_AddIntrinsicBaseObjects(js) || JS_AddIntrinsicDate(js) || JS_AddIntrinsicRegExp(js) || JS_AddIntrinsicJSON(js) ||
        JS_AddIntrinsicMapSet(js) || JS_AddIntrinsicTypedArrays(js))
        return NULL;
    return js;
}

static bool add_functions(JSContext *js, JSValueConst host)
{
    const struct {
        const JSCFunctionListEntry *functions;
        int count;
    } lists[] = {
        {text_functions, text_function_count},           {json_functions, json_function_count},
        {file_functions, file_function_count},           {content_functions, content_function_count},
        {status_functions, status_function_count},       {socket_functions, socket_function_count},
        {process_functions, process_function_count},     {spawn_functions, spawn_function_count},
        {relay_functions, relay_function_count},         {namespace_functions, namespace_function_count},
        {attribute_functions, attribute_function_count},
    };
    for (size_t at = 0; at < sizeof lists / sizeof *lists; at++) {
        if (JS_SetPropertyFunctionList(js, host, lists[at].functions, lists[at].count) < 0)
            return false;
    }
    return true;
}

/* Errors go without the text of the stack, which costs more than all else of them, and has no names in it. */
static bool leave_out_stacks(JSContext *js, JSValueConst global)
{
    JSValue error = JS_GetPropertyStr(js, global, "Error");
    bool set = JS_SetPropertyStr(js, error, "stackTraceLimit", JS_NewInt32(js, 0)) >= 0;
    JS_FreeValue(js, error);
    return set;
}

/*
 * Has the engine make the functions of its own objects, which it otherwise does when one is first used: by each process anew. Looks at
 * `object`, and at what its properties hold, `depth` levels deep.
 */
static void make_functions(JSContext *js, JSValueConst object, int depth)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (!JS_IsObject(object) || JS_GetOwnPropertyNames(js, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_SYMBOL_MASK) < 0)
        return;
    for (uint32_t at = 0; at < count; at++) {
        JSPropertyDescriptor property;
        if (JS_GetOwnProperty(js, &property, object, names[at].atom) <= 0)
            continue;
        if (depth > 1)
            make_functions(js, property.value, depth - 1);
        JS_FreeValue(js, property.value);
        JS_FreeValue(js, property.getter);
        JS_FreeValue(js, property.setter);
    }
    JS_FreePropertyEnum(js, names, count);
}

static uint8_t *read_all(int fd, size_t *length)
{
    size_t size = 1 << 20;
    uint8_t *bytes = malloc(size);
    *length = 0;
    for (ssize_t count = 1; bytes && count > 0; *length += (size_t)count) {
        if (*length == size)
            bytes = realloc(bytes, size *= 2);
        RETRY(count, bytes ? read(fd, bytes + *length, size - *length) : 0);
        if (count == -1)
            return NULL;
    }
    return bytes;
}

static void print_exception(JSContext *js)
{
    JSValue error = JS_GetException(js);
    const char *text = JS_ToCString(js, error);
    fprintf(stderr, "the bundle's top level fails: %s\n", text ? text : "without words");
}

/* Keeps what the bundle has left in its global object: `main`, a function, and `outOfMemoryAnswer`, a text. */
static bool keep_roots(JSContext *js, struct roots *roots)
{
    JSValue global = JS_GetGlobalObject(js);
    roots->main = JS_GetPropertyStr(js, global, "main");
    JSValue answer_text = JS_GetPropertyStr(js, global, "outOfMemoryAnswer");
    roots->out_of_memory_answer = JS_ToCStringLen(js, &roots->out_of_memory_answer_length, answer_text);
    JS_FreeValue(js, answer_text);
    JS_FreeValue(js, global);
    return JS_IsFunction(js, roots->main) && roots->out_of_memory_answer;
}

/* Evaluates the byte code on stdin, which may look at nothing of the world, and writes the image to stdout. */
static int make_image(void)
{
    size_t length;
    uint8_t *code = read_all(STDIN_FILENO, &length);
    making_image = true;
    struct roots *roots = image_begin();
    roots->runtime = JS_NewRuntime2(&image_allocator, NULL);
    JSContext *js = roots->context = roots->runtime && code ? new_context(roots->runtime) : NULL;
    if (!js)
        return EXIT_FAILURE;
    /* A process ends before it could pay to look for cycles; reference counts free the rest. */
    JS_SetGCThreshold(roots->runtime, (size_t)-1);
    JSValue global = JS_GetGlobalObject(js), host = JS_NewObject(js);
    if (!add_functions(js, host) || JS_SetPropertyStr(js, global, "host", host) < 0 || !leave_out_stacks(js, global))
        return EXIT_FAILURE;
    make_functions(js, global, 3); /* Array, Array.prototype, Array.prototype.map */
    JS_FreeValue(js, global);
    JSValue result = JS_EvalFunction(js, JS_ReadObject(js, code, length, JS_READ_OBJ_BYTECODE));
    if (JS_IsException(result) || !keep_roots(js, roots)) {
        print_exception(js);
        return EXIT_FAILURE;
    }
    JS_SetMaxStackSize(roots->runtime, 0);
    return engine_seal(roots->runtime) && image_write(STDOUT_FILENO, &result) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * Has no file opened later take the number of a standard descriptor that is closed, or what is written to stdout would go there. What
 * takes it instead can be neither read nor written, and is there on every machine.
 */
static void occupy_standard_descriptors(void)
{
    struct pollfd standard[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
    int result;
    RETRY(result, poll(standard, 3, 0));
    for (int fd = 0; fd < 3; fd++) {
        if (standard[fd].revents & POLLNVAL)
            open("/", O_PATH | O_CLOEXEC);
    }
}

/* Writes the answer that needs no memory, unless another program has answered in its place, and ends the process. */
static _Noreturn void answer_out_of_memory(const struct roots *roots)
{
    relay_end();
    ssize_t count;
    RETRY(count, write(STDOUT_FILENO, roots->out_of_memory_answer, roots->out_of_memory_answer_length));
    if (count == -1)
        RETRY(count, write(STDERR_FILENO, roots->out_of_memory_answer, roots->out_of_memory_answer_length));
    _exit(EXIT_FAILURE);
}

/* A process gets this signal if the system has no memory for its stack. */
static void out_of_stack(int signal)
{
    (void)signal;
    answer_out_of_memory(image_roots());
}

static void catch_stack_end(void)
{
    static uint8_t other_stack[16 << 10];
    const stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct sigaction action = {.sa_handler = out_of_stack, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

/*
 * What is left of the stack that the system allows below `here`. Arguments and environment are at its top, and above them nothing but a path.
 * AT_EXECFN is that path, but valgrind, under which tests count instructions, tells where it is in its own stack.
 */
static size_t stack_below(uintptr_t here, char **argv, char **envp)
{
    struct rlimit limit;
    const char *top = *argv;
    while (*envp)
        top = *envp++;
    const size_t page = 4096, used = (size_t)((uintptr_t)top - here) + strlen(top) + 2 * page;
    if (getrlimit(RLIMIT_STACK, &limit) == -1)
        return SIZE_MAX;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

/*
 * Has the system give so much of the stack: the stack pointer moves there, or valgrind would take it for an error. The compiler is kept from
 * touching all pages between.
 */
static __attribute__((noinline, optimize("no-stack-clash-protection"))) void touch_stack(size_t size)
{
    *(volatile uint8_t *)__builtin_alloca(size) = 0;
}

/*
 * Takes the stack that the engine may use from the system before anything is begun, by touching its far end: it is not to be found missing
 * halfway. False if it is too small.
 */
static bool take_stack(JSRuntime *runtime, char **argv, char **envp)
{
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    size_t below = stack_below(here, argv, envp);
    if (below < STACK_LEAST + STACK_RESERVE)
        return false;
    size_t size = below < STACK_LIMIT + STACK_RESERVE ? below : STACK_LIMIT + STACK_RESERVE;
    touch_stack(size);
    JS_SetMaxStackSize(runtime, size - STACK_RESERVE);
    JS_UpdateStackTop(runtime);
    return true;
}

int main(int argc, char **argv, char **envp)
{
    process_begin(argc, argv);
    const struct roots *roots = image_roots();
    if (!roots)
        return make_image();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    catch_stack_end();
    occupy_standard_descriptors();
    if (!take_stack(roots->runtime, argv, envp))
        answer_out_of_memory(roots);
    profile_begin(roots->context);
    JSValue result = JS_Call(roots->context, roots->main, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(result))
        answer_out_of_memory(roots);
    return EXIT_SUCCESS;
}
