/* JSON, as far as the engine's own functions take longer or read otherwise than Go's. */
#include "host.h"

#include <stdio.h>
#include <string.h>

static JSValue json_member(CALL)
{
    (void)self, (void)argc;
    JSAtom key = JS_ValueToAtom(js, argv[1]);
    if (key == JS_ATOM_NULL)
        return JS_EXCEPTION;
    JSValue value = engine_member(js, argv[0], key);
    JS_FreeAtom(js, key);
    return value;
}

/* Says if a number begins at `at` that is not a whole one of at most 15 digits; `*end` is where it ends, or `at` if none begins there. */
static bool odd_number(const char *at, const char **end)
{
    const char *digits = at += *at == '-';
    while (*at >= '0' && *at <= '9')
        at++;
    *end = at;
    return at > digits && (*at == '.' || *at == 'e' || *at == 'E' || at - digits > 15);
}

static bool is_plain(const char *text)
{
    bool in_string = false;
    for (const char *at = text; *at; at++) {
        if (in_string && *at == '\\' && at[1]) {
            if (*++at == 'u')
                return false;
        } else if (*at == '"') {
            in_string = !in_string;
        } else if (!in_string && (*at == '-' || (*at >= '0' && *at <= '9'))) {
            const char *end;
            if (odd_number(at, &end))
                return false;
            at = end > at ? end - 1 : at;
        }
    }
    return true;
}

static JSValue json_is_plain(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *text = utf8_of(js, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    /* What follows a NUL is not JSON, and is looked at by nobody. */
    bool plain = is_plain(text);
    JS_FreeCString(js, text);
    return JS_NewBool(js, plain);
}

/* A text that is being printed. */
struct printed {
    JSContext *js;
    char *bytes;
    size_t length, room;
};

/* Deeper values than any that we print. */
enum { MAX_DEPTH = 64 };

/* As all that print: false, and an exception, if there is no memory. */
static bool put(struct printed *text, const char *bytes, size_t length)
{
    if (length > text->room - text->length) {
        size_t room = 2 * (text->length + length) + 512;
        char *larger = js_realloc(text->js, text->bytes, room);
        if (!larger)
            return false;
        text->bytes = larger;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return true;
}

/* Writes how the character at `at` is escaped, and returns how many bytes it takes there; 0 if it stands for itself. */
static size_t escape(const uint8_t *at, char escaped[8])
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *name = memchr(named, *at, sizeof named - 1);
    if (name) {
        snprintf(escaped, 8, "\\%c", letters[name - named]);
        return 1;
    }
    if (*at < 0x20 || *at == '<' || *at == '>' || *at == '&') {
        snprintf(escaped, 8, "\\u%04x", *at);
        return 1;
    }
    /* U+2028 and U+2029; half a surrogate pair, which the engine writes as if it were a character. */
    if ((*at == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8) || (*at == 0xed && at[1] >= 0xa0)) {
        snprintf(escaped, 8, "\\u%04x", (*at & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu));
        return 3;
    }
    return 0;
}

static bool is_to_escape(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte == '<' || byte == '>' || byte == '&' || byte == 0xe2 || byte == 0xed;
}

static bool put_string(struct printed *text, const char *chars, size_t length)
{
    if (!chars)
        return false;
    bool done = put(text, "\"", 1);
    size_t begin = 0, at = 0;
    while (done && at < length) {
        char escaped[8];
        size_t size = is_to_escape((uint8_t)chars[at]) ? escape((const uint8_t *)chars + at, escaped) : 0;
        if (size > 0) {
            done = put(text, chars + begin, at - begin) && put(text, escaped, strlen(escaped));
            begin = at + size;
        }
        at += size > 0 ? size : 1;
    }
    return done && put(text, chars + begin, length - begin) && put(text, "\"", 1);
}

static bool put_line(struct printed *text, int depth)
{
    bool done = put(text, "\n", 1);
    while (done && depth-- > 0)
        done = put(text, "    ", 4);
    return done;
}

static bool put_value(struct printed *text, JSValueConst value, int depth);

static bool put_list(struct printed *text, JSValueConst list, int depth)
{
    int64_t count;
    if (JS_GetLength(text->js, list, &count) < 0)
        return false;
    bool done = put(text, "[", 1);
    for (int64_t at = 0; done && at < count; at++) {
        JSValue item = JS_GetPropertyInt64(text->js, list, at);
        done = (at == 0 || put(text, ",", 1)) && put_line(text, depth + 1) && put_value(text, item, depth + 1);
        JS_FreeValue(text->js, item);
    }
    return done && (count == 0 || put_line(text, depth)) && put(text, "]", 1);
}

static bool put_member(struct printed *text, JSAtom name, JSValueConst value, int depth, bool first)
{
    size_t length;
    const char *chars = JS_AtomToCStringLen(text->js, &length, name);
    bool done = (first || put(text, ",", 1)) && put_line(text, depth) && put_string(text, chars, length) && put(text, ": ", 2) &&
                put_value(text, value, depth);
    JS_FreeCString(text->js, chars);
    return done;
}

static bool put_object(struct printed *text, JSValueConst object, int depth)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (JS_GetOwnPropertyNames(text->js, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return false;
    bool done = put(text, "{", 1), empty = true;
    for (uint32_t at = 0; done && at < count; at++) {
        JSValue value = JS_GetProperty(text->js, object, names[at].atom);
        if (!JS_IsUndefined(value)) {
            done = put_member(text, names[at].atom, value, depth + 1, empty);
            empty = false;
        }
        JS_FreeValue(text->js, value);
    }
    JS_FreePropertyEnum(text->js, names, count);
    return done && (empty || put_line(text, depth)) && put(text, "}", 1);
}

static bool put_value(struct printed *text, JSValueConst value, int depth)
{
    JSContext *js = text->js;
    if (JS_IsException(value))
        return false;
    if (depth > MAX_DEPTH) {
        JS_ThrowRangeError(js, "nested too deep to be printed");
        return false;
    }
    if (JS_IsArray(value))
        return put_list(text, value, depth);
    if (JS_IsObject(value))
        return put_object(text, value, depth);
    if (!JS_IsString(value) && !JS_IsNumber(value) && !JS_IsBool(value))
        return put(text, "null", 4);
    size_t length;
    const char *chars = JS_ToCStringLen(js, &length, value);
    bool done = JS_IsString(value) ? put_string(text, chars, length) : chars && put(text, chars, length);
    JS_FreeCString(js, chars);
    return done;
}

static JSValue json_print(CALL)
{
    (void)self, (void)argc;
    struct printed text = {.js = js};
    bool done = put_value(&text, argv[0], 0);
    JSValue string = done ? JS_NewStringLen(js, text.bytes, text.length) : JS_EXCEPTION;
    js_free(js, text.bytes);
    return string;
}

const JSCFunctionListEntry json_functions[] = {
    JS_CFUNC_DEF("member", 2, json_member),
    JS_CFUNC_DEF("isPlainJson", 1, json_is_plain),
    JS_CFUNC_DEF("printJson", 1, json_print),
};
const int json_function_count = sizeof json_functions / sizeof *json_functions;
