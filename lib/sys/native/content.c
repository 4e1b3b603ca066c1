/* Files that are read or written as a whole, by their names. */
#include "host.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The text of a regular file from here to its end, which a read that brings less than it could is at. */
static JSValue rest_of(JSContext *js, int fd, size_t limit)
{
    static uint8_t usual[64 << 10];
    uint8_t *buffer = usual;
    size_t size = sizeof usual, length = 0;
    for (;;) {
        ssize_t count;
        RETRY(count, read(fd, buffer + length, size - length));
        length += count > 0 ? (size_t)count : 0;
        JSValue result = JS_UNDEFINED;
        if (count == -1)
            result = answer(js, count);
        else if (length > limit)
            result = JS_NewInt32(js, -EFBIG);
        else if (length < size)
            result = text_of(js, buffer, length);
        uint8_t *larger = JS_IsUndefined(result) ? js_realloc(js, buffer == usual ? NULL : buffer, 2 * size) : NULL;
        if (!larger) {
            if (buffer != usual)
                js_free(js, buffer);
            return JS_IsUndefined(result) ? JS_EXCEPTION : result;
        }
        if (buffer == usual)
            memcpy(larger, usual, length);
        buffer = larger;
        size *= 2;
    }
}

static JSValue content_read_file(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    int fd = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    JSValue result = fd == -1 ? answer(js, fd) : rest_of(js, fd, (size_t)integer_of(js, argv[1]));
    if (fd != -1)
        close(fd);
    JS_FreeCString(js, path);
    return result;
}

/* The last bytes of an open file, of which there is room for `size`. */
static ssize_t read_end(int fd, uint8_t *bytes, size_t size)
{
    off_t length = lseek(fd, 0, SEEK_END);
    if (length == -1)
        return -1;
    ssize_t count;
    RETRY(count, pread(fd, bytes, size, length > (off_t)size ? length - (off_t)size : 0));
    return count;
}

static JSValue content_read_end(CALL)
{
    (void)self, (void)argc;
    uint8_t bytes[256];
    const int64_t size = integer_of(js, argv[1]);
    if (size < 0 || size > (int64_t)sizeof bytes)
        return JS_NewInt32(js, -EINVAL);
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0);
    ssize_t count = fd == -1 ? -1 : read_end(fd, bytes, (size_t)size);
    JSValue result = count == -1 ? answer(js, count) : text_of(js, bytes, (size_t)count);
    if (fd != -1)
        close(fd);
    JS_FreeCString(js, path);
    return result;
}

/* Does something to a file that has been written, before it is closed. */
typedef int ending(int fd, off_t length);

static int leave(int fd, off_t length)
{
    (void)fd, (void)length;
    return 0;
}

static int sync_data(int fd, off_t length)
{
    (void)length;
    int result;
    RETRY(result, fdatasync(fd));
    return result;
}

static int cut(int fd, off_t length)
{
    int result;
    RETRY(result, ftruncate(fd, length));
    return result;
}

static int write_and_end(int fd, const char *text, size_t length, ending *end)
{
    for (size_t written = 0; written < length;) {
        ssize_t count = write_waiting(fd, text + written, length - written);
        if (count == -1)
            return -1;
        written += (size_t)count;
    }
    return end(fd, (off_t)length);
}

/* Opens the file that the first argument names, and has it begin with the text that is the second. */
static JSValue write_file(JSContext *js, JSValueConst *argv, int flags, ending *end)
{
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    size_t length;
    const char *text = utf8_of(js, argv[1], &length);
    JSValue result = JS_EXCEPTION;
    if (text) {
        int fd = open_file(path, O_WRONLY | flags, 0600);
        result = answer(js, fd == -1 ? -1 : write_and_end(fd, text, length, end));
        if (fd != -1)
            close(fd);
        JS_FreeCString(js, text);
    }
    JS_FreeCString(js, path);
    return result;
}

static JSValue content_create_file(CALL)
{
    (void)self, (void)argc;
    return write_file(js, argv, O_CREAT | O_EXCL, leave);
}

static JSValue content_create_on_disk(CALL)
{
    (void)self, (void)argc;
    return write_file(js, argv, O_CREAT | O_EXCL, sync_data);
}

static JSValue content_write_over(CALL)
{
    (void)self, (void)argc;
    return write_file(js, argv, O_NOFOLLOW | O_NONBLOCK, leave);
}

static JSValue content_replace(CALL)
{
    (void)self, (void)argc;
    return write_file(js, argv, O_NOFOLLOW | O_NONBLOCK, cut);
}

const JSCFunctionListEntry content_functions[] = {
    JS_CFUNC_DEF("readFile", 2, content_read_file),  JS_CFUNC_DEF("readEnd", 2, content_read_end),
    JS_CFUNC_DEF("createFile", 2, content_create_file), JS_CFUNC_DEF("createOnDisk", 2, content_create_on_disk),
    JS_CFUNC_DEF("writeOver", 2, content_write_over), JS_CFUNC_DEF("replaceContent", 2, content_replace),
};
const int content_function_count = sizeof content_functions / sizeof *content_functions;
