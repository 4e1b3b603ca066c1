/* Values between JavaScript and C. */
#include "host.h"

#include <string.h>

JSValue answer(JSContext *js, int64_t result)
{
    return JS_NewInt64(js, result == -1 ? -errno : result);
}

int64_t integer_of(JSContext *js, JSValueConst value)
{
    int64_t number = 0;
    if (JS_IsNumber(value) || JS_IsBigInt(value))
        JS_ToInt64Ext(js, &number, value);
    return number;
}

uint8_t *bytes_of(JSContext *js, JSValueConst value, size_t *length)
{
    static uint8_t nothing;
    uint8_t *bytes = JS_GetUint8Array(js, length, value);
    return bytes || JS_HasException(js) ? bytes : &nothing;
}

const char *path_of(JSContext *js, JSValueConst value)
{
    size_t length;
    const char *path = utf8_of(js, value, &length);
    if (path && strlen(path) != length) {
        JS_FreeCString(js, path);
        return NULL;
    }
    return path;
}

JSValue no_path(JSContext *js)
{
    return JS_HasException(js) ? JS_EXCEPTION : JS_NewInt32(js, -EINVAL);
}
