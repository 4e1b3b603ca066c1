/* Text: UTF-16 inside the engine, UTF-8 everywhere else. */
#include "host.h"

#include <arpa/inet.h>
#include <string.h>

/* U+FFFD */
static const uint8_t replacement[3] = {0xef, 0xbf, 0xbd};

/*
 * The engine writes half a surrogate pair as if it were a character: ED A0..BF xx. It becomes U+FFFD in place: text that is not ASCII
 * is a copy that nobody else reads.
 */
const char *utf8_of(JSContext *js, JSValueConst value, size_t *length)
{
    const char *text = JS_ToCStringLen(js, length, value);
    if (!text)
        return NULL;
    const char *end = text + *length;
    for (const char *at = text; (at = memchr(at, 0xed, (size_t)(end - at))); at += 3) {
        if ((uint8_t)at[1] >= 0xa0)
            memcpy((void *)(uintptr_t)at, replacement, sizeof replacement);
    }
    return text;
}

/* The range that the second byte of a sequence must be in, by its first byte (The Unicode Standard, table 3-7). */
static void second_byte(uint8_t first, uint8_t *least, uint8_t *most)
{
    *least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
}

/*
 * Measures what stands at the start of `text`: a whole sequence (`*whole` is set), or as much of one as has to be replaced by one
 * U+FFFD, which is the longest beginning of a sequence that there is, or else a single byte.
 */
static size_t sequence(const uint8_t *text, size_t length, bool *whole)
{
    uint8_t first = text[0], least, most;
    size_t due = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    *whole = false;
    if (due == 0)
        return 1;
    second_byte(first, &least, &most);
    for (size_t at = 1; at < due; at++) {
        if (at == length || text[at] < least || text[at] > most)
            return at;
        least = 0x80;
        most = 0xbf;
    }
    *whole = true;
    return due;
}

static size_t ascii_prefix(const uint8_t *text, size_t length)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t at = 0;
    for (uint64_t eight; at + sizeof eight <= length; at += sizeof eight) {
        memcpy(&eight, text + at, sizeof eight);
        if (eight & high_bits)
            break;
    }
    while (at < length && text[at] < 0x80)
        at++;
    return at;
}

/* The length of the longest beginning that is UTF-8. */
static size_t valid_prefix(const uint8_t *text, size_t length)
{
    bool whole = true;
    size_t at = 0;
    while (whole && (at += ascii_prefix(text + at, length - at)) < length) {
        size_t size = sequence(text + at, length - at, &whole);
        if (whole)
            at += size;
    }
    return at;
}

static JSValue decode_with_replacements(JSContext *js, const uint8_t *text, size_t length)
{
    uint8_t *mended = js_malloc(js, 3 * length);
    if (!mended)
        return JS_EXCEPTION;
    size_t used = 0;
    for (size_t at = 0, size; at < length; at += size) {
        bool whole;
        size = sequence(text + at, length - at, &whole);
        memcpy(mended + used, whole ? text + at : replacement, whole ? size : sizeof replacement);
        used += whole ? size : sizeof replacement;
    }
    JSValue string = JS_NewStringLen(js, (const char *)mended, used);
    js_free(js, mended);
    return string;
}

JSValue text_of(JSContext *js, const uint8_t *bytes, size_t length)
{
    if (valid_prefix(bytes, length) < length)
        return decode_with_replacements(js, bytes, length);
    return JS_NewStringLen(js, (const char *)bytes, length);
}

static JSValue text_decode(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const uint8_t *bytes = bytes_of(js, argv[0], &length);
    return bytes ? text_of(js, bytes, length) : JS_EXCEPTION;
}

static JSValue text_encode(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *text = utf8_of(js, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(js, (const uint8_t *)text, length);
    JS_FreeCString(js, text);
    return bytes;
}

static JSValue text_has_bytes(CALL)
{
    (void)self, (void)argc;
    size_t size, length;
    const int at = int_of(js, argv[1]);
    const uint8_t *bytes = bytes_of(js, argv[0], &size);
    const uint8_t *part = bytes ? bytes_of(js, argv[2], &length) : NULL;
    if (!part)
        return JS_EXCEPTION;
    const size_t start = at < 0 ? SIZE_MAX : (size_t)at;
    return JS_NewBool(js, start <= size && length <= size - start && !memcmp(bytes + start, part, length));
}

static JSValue text_fnv1a(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *text = utf8_of(js, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    uint32_t hash = 0x811c9dc5;
    for (size_t at = 0; at < length; at++)
        hash = (hash ^ (uint8_t)text[at]) * 0x01000193;
    JS_FreeCString(js, text);
    return JS_NewUint32(js, hash);
}

static const char digits[] = "0123456789abcdef";

void put_hex(char *text, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        text[2 * at] = digits[bytes[at] >> 4];
        text[2 * at + 1] = digits[bytes[at] & 15];
    }
}

static JSValue text_hex(CALL)
{
    (void)self, (void)argc;
    size_t count, width = 0;
    const uint8_t *bytes = bytes_of(js, argv[0], &count);
    const char *between = bytes ? utf8_of(js, argv[1], &width) : NULL;
    char *text = between ? js_malloc(js, count * (2 + width) + 1) : NULL, *end = text;
    for (size_t at = 0; text && at < count; at++) {
        if (at > 0)
            end = (char *)memcpy(end, between, width) + width;
        put_hex(end, bytes + at, 1);
        end += 2;
    }
    JSValue string = text ? JS_NewStringLen(js, text, (size_t)(end - text)) : JS_EXCEPTION;
    JS_FreeCString(js, between);
    js_free(js, text);
    return string;
}

static JSValue text_parse_ipv4(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *text = utf8_of(js, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    struct in_addr address;
    bool parsed = strlen(text) == length && inet_pton(AF_INET, text, &address) == 1;
    JS_FreeCString(js, text);
    return JS_NewInt64(js, parsed ? (int64_t)ntohl(address.s_addr) : -1);
}

/* Without printf(3), which takes as long as all else together. */
static JSValue text_format_ipv4(CALL)
{
    (void)self, (void)argc;
    const uint32_t address = (uint32_t)integer_of(js, argv[0]);
    char text[sizeof "255.255.255.255"], *end = text;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const unsigned byte = address >> shift & 255;
        if (byte >= 100)
            *end++ = digits[byte / 100];
        if (byte >= 10)
            *end++ = digits[byte / 10 % 10];
        *end++ = digits[byte % 10];
        if (shift > 0)
            *end++ = '.';
    }
    return JS_NewStringLen(js, text, (size_t)(end - text));
}

static JSValue text_sha512(CALL)
{
    (void)self, (void)argc;
    size_t length;
    const char *text = utf8_of(js, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    uint8_t digest[64];
    char hex[2 * sizeof digest];
    sha512((const uint8_t *)text, length, digest);
    JS_FreeCString(js, text);
    put_hex(hex, digest, sizeof digest);
    return JS_NewStringLen(js, hex, sizeof hex);
}

const JSCFunctionListEntry text_functions[] = {
    JS_CFUNC_DEF("decode", 1, text_decode),
    JS_CFUNC_DEF("encode", 1, text_encode),
    JS_CFUNC_DEF("hasBytes", 3, text_has_bytes),
    JS_CFUNC_DEF("fnv1a", 1, text_fnv1a),
    JS_CFUNC_DEF("hex", 2, text_hex),
    JS_CFUNC_DEF("parseIPv4", 1, text_parse_ipv4),
    JS_CFUNC_DEF("formatIPv4", 1, text_format_ipv4),
    JS_CFUNC_DEF("sha512", 1, text_sha512),
};
const int text_function_count = sizeof text_functions / sizeof *text_functions;
