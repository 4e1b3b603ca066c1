/* Netlink attributes: those of JavaScript's objects in bytes, and back. */
#include "host.h"

#include <limits.h>
#include <linux/netlink.h>
#include <string.h>

/* The encodings of a payload, as `Encoding` of host.ts numbers it, and two bits beside that. */
enum { U8, U16, U32, U64, BE16, BE32, SIGNED_BE32, BE64, TEXT, BYTES, PIECES, ADDRESS, NESTED };
enum { MARKED = 0x40, REPEATED = 0x80, ENCODING = 0x3f };

/* A layout: for each attribute its number and its encoding, its name, and the layout that is in it. It has `count` of them. */
struct layout {
    const uint8_t *rows;
    size_t count;
    JSValue bytes, names, inner;
};

static bool layout_begin(JSContext *js, JSValueConst value, struct layout *layout)
{
    size_t length;
    layout->bytes = JS_GetPropertyUint32(js, value, 0);
    layout->names = JS_GetPropertyUint32(js, value, 1);
    layout->inner = JS_GetPropertyUint32(js, value, 2);
    layout->rows = bytes_of(js, layout->bytes, &length);
    layout->count = length / 2 <= UINT8_MAX ? length / 2 : 0;
    return layout->rows != NULL;
}

static void layout_end(JSContext *js, struct layout *layout)
{
    JS_FreeValue(js, layout->bytes);
    JS_FreeValue(js, layout->names);
    JS_FreeValue(js, layout->inner);
}

static JSAtom name_of(JSContext *js, const struct layout *layout, size_t row)
{
    JSValue name = JS_GetPropertyUint32(js, layout->names, (uint32_t)row);
    JSAtom atom = JS_ValueToAtom(js, name);
    JS_FreeValue(js, name);
    return atom;
}

/* Puts the `size` lowest bytes of a number there, the lowest or the highest of them first. */
static void put_number(uint8_t *at, uint64_t number, size_t size, bool big_endian)
{
    for (size_t i = 0; i < size; i++)
        at[big_endian ? size - 1 - i : i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, size_t size, bool big_endian)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)at[big_endian ? size - 1 - i : i] << (8 * i);
    return number;
}

/* The bytes of a number, 0 if the encoding is not that of one. */
static size_t size_of(int encoding)
{
    static const uint8_t sizes[] = {
        [U8] = 1, [U16] = 2, [U32] = 4, [U64] = 8, [BE16] = 2, [BE32] = 4, [SIGNED_BE32] = 4, [BE64] = 8, [NESTED] = 0};
    return encoding <= NESTED ? sizes[encoding] : 0;
}

static bool is_big_endian(int encoding)
{
    return encoding >= BE16 && encoding <= BE64;
}

/* Room for what is written, from byte `at` on. Nothing is written that does not fit; `failed` says that something did not. */
struct room {
    uint8_t *bytes;
    size_t size, at;
    bool failed;
};

static void append(struct room *room, const void *bytes, size_t length)
{
    if (room->failed || length > room->size - room->at) {
        room->failed = true;
        return;
    }
    if (length > 0)
        memcpy(room->bytes + room->at, bytes, length);
    room->at += length;
}

static void append_bytes(JSContext *js, struct room *room, JSValueConst value)
{
    size_t length;
    const uint8_t *bytes = bytes_of(js, value, &length);
    if (bytes)
        append(room, bytes, length);
    else
        room->failed = true;
}

static void append_pieces(JSContext *js, struct room *room, JSValueConst list)
{
    int64_t count = 0;
    room->failed |= JS_GetLength(js, list, &count) < 0;
    for (int64_t at = 0; at < count && !room->failed; at++) {
        JSValue piece = JS_GetPropertyInt64(js, list, at);
        append_bytes(js, room, piece);
        JS_FreeValue(js, piece);
    }
}

static void append_text(JSContext *js, struct room *room, JSValueConst value)
{
    size_t length;
    const char *text = JS_IsString(value) ? utf8_of(js, value, &length) : NULL;
    if (text)
        append(room, text, length + 1);
    else
        room->failed = true;
    JS_FreeCString(js, text);
}

/* One of IPv6 is left to the caller: its number has more bits than the engine tells. */
static void append_address(JSContext *js, struct room *room, JSValueConst value)
{
    uint8_t bytes[4];
    JSValue family = JS_GetPropertyStr(js, value, "family"), number = JS_GetPropertyStr(js, value, "value");
    put_number(bytes, (uint64_t)integer_of(js, number), sizeof bytes, true);
    if (int_of(js, family) == 4)
        append(room, bytes, sizeof bytes);
    else
        room->failed = true;
    JS_FreeValue(js, family);
    JS_FreeValue(js, number);
}

static void append_all(JSContext *js, struct room *room, JSValueConst layout, JSValueConst values);

static void append_payload(JSContext *js, struct room *room, int encoding, JSValueConst value, JSValueConst inner)
{
    uint8_t bytes[8];
    const size_t size = size_of(encoding);
    if (size > 0 && (JS_IsNumber(value) || JS_IsBigInt(value))) {
        put_number(bytes, (uint64_t)integer_of(js, value), size, is_big_endian(encoding));
        append(room, bytes, size);
    } else if (encoding == TEXT) {
        append_text(js, room, value);
    } else if (encoding == BYTES) {
        append_bytes(js, room, value);
    } else if (encoding == PIECES) {
        append_pieces(js, room, value);
    } else if (encoding == ADDRESS) {
        append_address(js, room, value);
    } else if (encoding == NESTED) {
        append_all(js, room, inner, value);
    } else {
        room->failed = true;
    }
}

static void append_attribute(JSContext *js, struct room *room, const uint8_t *row, JSValueConst value, JSValueConst inner)
{
    static const uint8_t padding[NLA_ALIGNTO];
    struct nlattr header = {.nla_type = row[0]};
    const size_t start = room->at;
    if (row[1] & MARKED)
        header.nla_type |= NLA_F_NESTED;
    append(room, &header, sizeof header);
    append_payload(js, room, row[1] & ENCODING, value, inner);
    const size_t length = room->at - start;
    append(room, padding, -length % NLA_ALIGNTO);
    room->failed |= length > UINT16_MAX;
    if (room->failed)
        return;
    header.nla_len = (uint16_t)length;
    memcpy(room->bytes + start, &header, sizeof header);
}

static void append_each(JSContext *js, struct room *room, const uint8_t *row, JSValueConst list, JSValueConst inner)
{
    int64_t count = 0;
    room->failed |= JS_GetLength(js, list, &count) < 0;
    for (int64_t at = 0; at < count && !room->failed; at++) {
        JSValue value = JS_GetPropertyInt64(js, list, at);
        append_attribute(js, room, row, value, inner);
        JS_FreeValue(js, value);
    }
}

static void append_all(JSContext *js, struct room *room, JSValueConst layout_value, JSValueConst values)
{
    struct layout layout;
    room->failed |= !layout_begin(js, layout_value, &layout);
    for (size_t at = 0; at < layout.count && !room->failed; at++) {
        const uint8_t *row = layout.rows + 2 * at;
        JSAtom name = name_of(js, &layout, at);
        JSValue value = JS_GetProperty(js, values, name);
        JS_FreeAtom(js, name);
        if (JS_IsUndefined(value))
            continue;
        JSValue inner = (row[1] & ENCODING) == NESTED ? JS_GetPropertyUint32(js, layout.inner, (uint32_t)at) : JS_UNDEFINED;
        if (row[1] & REPEATED)
            append_each(js, room, row, value, inner);
        else
            append_attribute(js, room, row, value, inner);
        JS_FreeValue(js, value);
        JS_FreeValue(js, inner);
    }
    layout_end(js, &layout);
}

static JSValue attributes_write(CALL)
{
    (void)self, (void)argc;
    struct room room = {0};
    const int at = int_of(js, argv[1]);
    room.bytes = bytes_of(js, argv[0], &room.size);
    if (!room.bytes)
        return JS_EXCEPTION;
    room.failed = at < 0 || (size_t)at > room.size || room.size > INT_MAX;
    room.at = room.failed ? 0 : (size_t)at;
    append_all(js, &room, argv[2], argv[3]);
    if (JS_HasException(js))
        return JS_EXCEPTION;
    return JS_NewInt32(js, room.failed ? -1 : (int)room.at);
}

/* An IPv6 address has more bits than the engine takes at once, and goes by way of its text. */
static JSValue large_number(JSContext *js, const uint8_t bytes[16])
{
    char text[2 + 32] = "0x";
    put_hex(text + 2, bytes, 16);
    JSValue global = JS_GetGlobalObject(js), make = JS_GetPropertyStr(js, global, "BigInt");
    JSValue hex = JS_NewStringLen(js, text, sizeof text);
    JSValue number = JS_Call(js, make, JS_UNDEFINED, 1, (JSValueConst *)&hex);
    JS_FreeValue(js, hex);
    JS_FreeValue(js, make);
    JS_FreeValue(js, global);
    return number;
}

static JSValue address_of(JSContext *js, const uint8_t *bytes, size_t length)
{
    static const char *names[] = {"family", "value"};
    if (length != 4 && length != 16)
        return JS_UNDEFINED;
    JSValue number = length == 4 ? JS_NewBigUint64(js, get_number(bytes, 4, true)) : large_number(js, bytes);
    return new_object(js, 2, names, (JSValue[]){JS_NewInt32(js, length == 4 ? 4 : 6), number});
}

static JSValue number_of(JSContext *js, const uint8_t *bytes, int encoding)
{
    const size_t size = size_of(encoding);
    const uint64_t number = get_number(bytes, size, is_big_endian(encoding));
    if (encoding == SIGNED_BE32)
        return JS_NewInt32(js, (int32_t)number);
    return size == 8 ? JS_NewBigUint64(js, number) : JS_NewInt64(js, (int64_t)number);
}

static JSValue read_all(JSContext *js, const uint8_t *bytes, size_t length, JSValueConst layout_value);

/* The value of a payload; undefined if it is none of that encoding. */
static JSValue value_of(JSContext *js, const uint8_t *bytes, size_t length, int encoding, JSValueConst inner)
{
    const size_t size = size_of(encoding);
    if (size > 0)
        return length < size ? JS_UNDEFINED : number_of(js, bytes, encoding);
    if (encoding == TEXT) {
        const uint8_t *end = memchr(bytes, 0, length);
        return text_of(js, bytes, end ? (size_t)(end - bytes) : length);
    }
    if (encoding == BYTES)
        return JS_NewUint8ArrayCopy(js, bytes, length);
    if (encoding == ADDRESS)
        return address_of(js, bytes, length);
    return encoding == NESTED ? read_all(js, bytes, length, inner) : JS_UNDEFINED;
}

/* Appends a value to the list of that name. Takes the value. */
static bool add_to_list(JSContext *js, JSValueConst values, JSAtom name, JSValue value)
{
    int64_t count;
    JSValue list = JS_GetProperty(js, values, name);
    bool there = !JS_IsException(list);
    if (JS_IsUndefined(list)) {
        list = JS_NewArray(js);
        there = !JS_IsException(list) && JS_DefinePropertyValue(js, values, name, JS_DupValue(js, list), JS_PROP_C_W_E) >= 0;
    }
    bool added = there && JS_GetLength(js, list, &count) >= 0;
    if (added)
        added = JS_DefinePropertyValueUint32(js, list, (uint32_t)count, value, JS_PROP_C_W_E) >= 0;
    else
        JS_FreeValue(js, value);
    JS_FreeValue(js, list);
    return added;
}

static bool read_one(JSContext *js, JSValueConst values, const struct layout *layout, size_t row, const uint8_t *bytes, size_t length)
{
    const int encoding = layout->rows[2 * row + 1];
    JSValue inner = (encoding & ENCODING) == NESTED ? JS_GetPropertyUint32(js, layout->inner, (uint32_t)row) : JS_UNDEFINED;
    JSValue value = value_of(js, bytes, length, encoding & ENCODING, inner);
    JS_FreeValue(js, inner);
    if (JS_IsUndefined(value) || JS_IsException(value))
        return false;
    JSAtom name = name_of(js, layout, row);
    const bool defined = encoding & REPEATED ? add_to_list(js, values, name, value)
                                             : JS_DefinePropertyValue(js, values, name, value, JS_PROP_C_W_E) >= 0;
    JS_FreeAtom(js, name);
    return defined;
}

/* The values of the attributes that the layout names; undefined if an attribute, named or not, does not fit, or a payload is none of its encoding. */
static JSValue read_all(JSContext *js, const uint8_t *bytes, size_t length, JSValueConst layout_value)
{
    struct nlattr header;
    struct layout layout;
    uint8_t row_behind[UINT8_MAX + 1] = {0};
    bool read = layout_begin(js, layout_value, &layout);
    for (size_t at = 0; at < layout.count && read; at++)
        row_behind[layout.rows[2 * at]] = (uint8_t)(at + 1);
    JSValue values = JS_NewObject(js);
    read = read && !JS_IsException(values);
    for (size_t at = 0; read && at + sizeof header <= length; at += (size_t)NLA_ALIGN(header.nla_len)) {
        memcpy(&header, bytes + at, sizeof header);
        const int number = header.nla_type & NLA_TYPE_MASK;
        read = header.nla_len >= sizeof header && header.nla_len <= length - at;
        const size_t behind = number <= UINT8_MAX ? row_behind[number] : 0;
        if (read && behind > 0)
            read = read_one(js, values, &layout, behind - 1, bytes + at + sizeof header, header.nla_len - sizeof header);
    }
    layout_end(js, &layout);
    if (read)
        return values;
    JS_FreeValue(js, values);
    return JS_HasException(js) ? JS_EXCEPTION : JS_UNDEFINED;
}

static JSValue attributes_read(CALL)
{
    (void)self, (void)argc;
    size_t size;
    const uint8_t *bytes = bytes_of(js, argv[0], &size);
    if (!bytes)
        return JS_EXCEPTION;
    const int start = int_of(js, argv[1]), end = int_of(js, argv[2]);
    if (start < 0 || end < start || (size_t)end > size)
        return JS_UNDEFINED;
    return read_all(js, bytes + start, (size_t)(end - start), argv[3]);
}

const JSCFunctionListEntry attribute_functions[] = {
    JS_CFUNC_DEF("writeAttributes", 4, attributes_write),
    JS_CFUNC_DEF("readAttributes", 4, attributes_read),
};
const int attribute_function_count = sizeof attribute_functions / sizeof *attribute_functions;
