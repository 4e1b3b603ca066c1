/* Values between JavaScript and C. */
#include "host.h"

#include <limits.h>
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

int int_of(JSContext *js, JSValueConst value)
{
    int64_t number = JS_IsNumber(value) ? integer_of(js, value) : -1;
    return number >= INT_MIN && number <= INT_MAX ? (int)number : -1;
}

int64_t milliseconds_of(JSContext *js, JSValueConst value)
{
    const int64_t year = INT64_C(365) * 24 * 3600 * 1000;
    int64_t number = integer_of(js, value);
    return number < 0 ? 0 : number > year ? year : number;
}

JSValue new_object(JSContext *js, int count, const char *names[], const JSValue values[])
{
    JSValue object = JS_NewObject(js);
    for (int at = 0; at < count; at++) {
        bool usable = !JS_IsException(object) && !JS_IsException(values[at]);
        bool set = usable && JS_SetPropertyStr(js, object, names[at], values[at]) >= 0;
        if (!usable)
            JS_FreeValue(js, values[at]);
        if (!set) {
            JS_FreeValue(js, object);
            object = JS_EXCEPTION;
        }
    }
    return object;
}

/* As JS_GetUint8Array(), which says how long an array was before its buffer shrank. */
uint8_t *bytes_of(JSContext *js, JSValueConst value, size_t *length)
{
    static uint8_t nothing;
    size_t offset, size;
    *length = 0;
    if (JS_GetTypedArrayType(value) != JS_TYPED_ARRAY_UINT8)
        return JS_ThrowTypeError(js, "not a Uint8Array"), NULL;
    JSValue buffer = JS_GetTypedArrayBuffer(js, value, &offset, length, NULL);
    if (JS_IsException(buffer))
        return NULL;
    uint8_t *bytes = JS_GetArrayBuffer(js, &size, buffer);
    JS_FreeValue(js, buffer);
    if (JS_HasException(js))
        return NULL;
    if (!bytes || offset > size)
        size = offset = 0;
    if (*length > size - offset)
        *length = size - offset;
    return bytes ? bytes + offset : &nothing;
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

JSValue of_path_alone(JSContext *js, JSValueConst *argv, int (*act)(const char *))
{
    const char *path = path_of(js, argv[0]);
    if (!path)
        return no_path(js);
    JSValue result = answer(js, act(path));
    JS_FreeCString(js, path);
    return result;
}
