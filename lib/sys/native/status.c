/* Files and file systems, as statx(2) and statfs(2) describe them, and mount(2). */
#include "host.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* musl has no statx() before 1.2.5. */
static int examine(const char *path, int flags, struct statx *status)
{
    return (int)syscall(SYS_statx, AT_FDCWD, path, flags, STATX_BASIC_STATS, status);
}

/* A list, which the engine makes in a tenth of the time that an object with as many names takes. */
static JSValue status_list(JSContext *js, const struct statx *status)
{
    const JSValue values[] = {
        JS_NewInt64(js, (int64_t)status->stx_dev_major << 20 | status->stx_dev_minor),
        JS_NewBigUint64(js, status->stx_ino),
        JS_NewInt32(js, status->stx_mode & S_IFMT),
        JS_NewInt32(js, status->stx_mode & ~S_IFMT),
        JS_NewInt64(js, (int64_t)status->stx_size),
        JS_NewBigInt64(js, status->stx_mtime.tv_sec),
        JS_NewInt64(js, status->stx_mtime.tv_nsec),
        JS_NewBool(js, (status->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0),
    };
    if (JS_IsException(values[1])) /* an inode above 2^63 needs memory */
        return JS_EXCEPTION;
    return JS_NewArrayFrom(js, sizeof values / sizeof *values, values);
}

static JSValue status_stat(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    struct statx status;
    int result;
    RETRY(result, examine(path, JS_ToBool(js, argv[1]) ? 0 : AT_SYMLINK_NOFOLLOW, &status));
    JSValue value = result == -1 ? answer(js, result) : status_list(js, &status);
    JS_FreeCString(js, path);
    return value;
}

static JSValue file_system_object(JSContext *js, const struct statfs *system)
{
    static const char *names[] = {"type", "blocks", "freeBlocks", "files", "freeFiles", "flags"};
    const JSValue values[] = {
        JS_NewInt64(js, (uint32_t)system->f_type),
        JS_NewInt64(js, (int64_t)system->f_blocks),
        JS_NewInt64(js, (int64_t)system->f_bfree),
        JS_NewInt64(js, (int64_t)system->f_files),
        JS_NewInt64(js, (int64_t)system->f_ffree),
        JS_NewInt64(js, (int64_t)system->f_flags),
    };
    return new_object(js, sizeof values / sizeof *values, names, values);
}

static JSValue status_file_system(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    struct statfs system;
    int result;
    RETRY(result, statfs(path, &system));
    JSValue value = result == -1 ? answer(js, result) : file_system_object(js, &system);
    JS_FreeCString(js, path);
    return value;
}

static JSValue status_read_link(CALL)
{
    (void)self, (void)argc;
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    char content[PATH_MAX];
    ssize_t length = readlink(path, content, sizeof content);
    JSValue result = length == -1 ? answer(js, length) : text_of(js, (const uint8_t *)content, (size_t)length);
    JS_FreeCString(js, path);
    return result;
}

static JSValue status_mount(CALL)
{
    (void)self, (void)argc;
    const char *words[3] = {NULL};
    int count = 0;
    while (count < 3 && (words[count] = path_of(js, argv[count])))
        count++;
    JSValue result = no_path(js);
    if (count == 3)
        result = answer(js, mount(words[0], words[1], words[2], (unsigned long)integer_of(js, argv[3]), NULL));
    while (count > 0)
        JS_FreeCString(js, words[--count]);
    return result;
}

const JSCFunctionListEntry status_functions[] = {
    JS_CFUNC_DEF("stat", 2, status_stat),
    JS_CFUNC_DEF("fileSystem", 1, status_file_system),
    JS_CFUNC_DEF("readLink", 1, status_read_link),
    JS_CFUNC_DEF("mount", 4, status_mount),
};
const int status_function_count = sizeof status_functions / sizeof *status_functions;
