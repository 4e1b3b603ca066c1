/*
 * The program that runs a JavaScript bundle as a process of its own: what its files share.
 *
 * It runs twice. The first time, without an image, it makes one: evaluates the bundle and writes the heap that came of it. The second
 * time, with that heap linked in, it calls the bundle's `main`.
 */
#ifndef HOST_H
#define HOST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quickjs.h>

/* Parameters of every function that the bundle can call. */
#define CALL JSContext *js, JSValueConst self, int argc, JSValueConst *argv

/* Makes a system call again if a signal interrupted it. */
#define RETRY(result, call)                      \
    do {                                         \
        result = (call);                         \
    } while (result == -1 && errno == EINTR)

/* image.c: the heap that is kept in the executable. */

/* The functions by which the engine allocates: in the image while it is made, in pages of the process afterwards. */
extern const JSMallocFunctions image_allocator;

/* The values that the bundle left for later, in the image. */
struct roots {
    JSRuntime *runtime;
    JSContext *context;
    JSValue main;
    /* Written to stdout if `main` throws. */
    const char *out_of_memory_answer;
    size_t out_of_memory_answer_length;
};

/* The roots of the image that is linked in, or NULL if there is none. */
struct roots *image_roots(void);

/* Says whether a block lies in the image. */
bool image_holds(const void *memory);

/* Makes all that is allocated from here on part of an image. Its roots are to be filled. */
struct roots *image_begin(void);

/* Writes the image to the descriptor. `stack` is an address in the caller's frame. Says on stderr why if it cannot. */
bool image_write(int fd, const void *stack);

/* build/engine/image.inc: has processes write as little of the image as can be. False if there is no memory for that. */
bool engine_seal(JSRuntime *runtime);

/* build/engine/member.inc: the value of the object's own member of that name, or else the last of those whose names differ in case alone; null is none. */
JSValue engine_member(JSContext *js, JSValueConst object, JSAtom name);

/* values.c: between JavaScript and C. */

/* An integer as the bundle gets it; -1 becomes the negated errno. */
JSValue answer(JSContext *js, int64_t result);

/* The integer that an argument is, 0 if it is none. */
int64_t integer_of(JSContext *js, JSValueConst value);

/* The `int` that an argument is, -1 if it is none: as a descriptor or an option the kernel refuses that. */
int int_of(JSContext *js, JSValueConst value);

/* A time to wait, at most a year. */
int64_t milliseconds_of(JSContext *js, JSValueConst value);

/* An object of these members, whose values it takes; an exception if one of them is one. */
JSValue new_object(JSContext *js, int count, const char *names[], const JSValue values[]);

/* The bytes of a Uint8Array; NULL, and an exception, if it is none. An empty one may have no address. */
uint8_t *bytes_of(JSContext *js, JSValueConst value, size_t *length);

/* A path for the kernel, to be released by JS_FreeCString. NULL if it is none: then `no_path` is what to return. */
const char *path_of(JSContext *js, JSValueConst value);
JSValue no_path(JSContext *js);

/* Answers a function that takes a path alone, the first argument. */
JSValue of_path_alone(JSContext *js, JSValueConst *argv, int (*act)(const char *));

/* text.c: UTF-8. */

/* The text of a string in UTF-8, to be released by JS_FreeCString. NULL, and an exception, if there is no memory. */
const char *utf8_of(JSContext *js, JSValueConst value, size_t *length);

/* The text that the bytes are, U+FFFD standing for what is not UTF-8. */
JSValue text_of(JSContext *js, const uint8_t *bytes, size_t length);

/* Writes the bytes as pairs of hex digits, without an end. */
void put_hex(char *text, const uint8_t *bytes, size_t count);

/* files.c */

/* As open(2). musl's own makes a second system call to have the file closed in programs that are started. */
int open_file(const char *path, int flags, mode_t mode);

/* As write(2), and waits while the other side is slow. */
ssize_t write_waiting(int fd, const void *bytes, size_t length);

/* Lists of functions that the bundle gets. */

extern const JSCFunctionListEntry text_functions[], json_functions[], file_functions[], content_functions[], status_functions[], socket_functions[],
    process_functions[], spawn_functions[], relay_functions[], namespace_functions[], attribute_functions[];
extern const int text_function_count, json_function_count, file_function_count, content_function_count, status_function_count,
    socket_function_count, process_function_count, spawn_function_count, relay_function_count, namespace_function_count,
    attribute_function_count;

/* sha512.c */

/* SHA-512 (FIPS 180-4) of the message. */
void sha512(const uint8_t *message, size_t length, uint8_t digest[64]);

/* process.c */

/* Notes when the process began and what it was called with. */
void process_begin(int argc, char **argv);

/* The arguments of the process, ended by NULL. */
char **process_argv(void);

/* By a clock that nobody sets. */
int64_t milliseconds_now(void);

/* relay.c */

/* Ends this process as the program that ran in its place ended; returns if none did. */
void relay_end(void);

/* profile.c */

/* Samples what runs from here on, if the executable is built for it. */
void profile_begin(JSContext *js);

#endif
