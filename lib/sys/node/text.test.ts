import { execFileSync } from "node:child_process"
import { expect, test } from "vitest"
import { nodeHost as host } from "./host.ts"

test("encode makes UTF-8, of half a surrogate pair U+FFFD", () => {
  expect([...host.encode("aé漢😀\0")]).toEqual([...Buffer.from("61c3a9e6bca2f09f988000", "hex")])
  expect([...host.encode("\ud83d-\ude00")]).toEqual([...Buffer.from("efbfbd2defbfbd", "hex")])
  expect(host.encode("").length).toBe(0)
})

test.each([
  ["", ""],
  ["61c3a9e6bca2f09f988000", "aé漢😀\0"],
  ["efbbbf7b7d", "\ufeff{}"], // the byte order mark stays
  ["61ff62", "a\ufffdb"],
  ["c3", "\ufffd"], // cut short
  ["e6bc62", "\ufffdb"], // one for what could have become a character
  ["f09f98", "\ufffd"],
  ["c0af", "\ufffd\ufffd"], // longer than need be
  ["eda080", "\ufffd\ufffd\ufffd"], // half a surrogate pair
  ["f4908080", "\ufffd\ufffd\ufffd\ufffd"], // beyond U+10FFFF
])("decode reads %s as the Encoding Standard has it", (hex, text) => {
  expect(host.decode(new Uint8Array(Buffer.from(hex, "hex")))).toBe(text)
})

test("decode reads the part that it is given", () => {
  expect(host.decode(host.encode("abcdef").subarray(2, 4))).toBe("cd")
})

test.each([
  ["bcd", 1, true],
  ["bcd", 0, false],
  ["bcdef", 1, false],
  ["", 4, true],
  ["", 5, false],
  ["", -1, false],
])("hasBytes looks for %j at byte %d of the part that it is given", (part, at, there) => {
  expect(host.hasBytes(host.encode("-abcd-").subarray(1, 5), at, host.encode(part))).toBe(there)
})

test.each(["", "abc", "é漢😀", "x".repeat(111), "x".repeat(112), "x".repeat(5000)])(
  "sha512 of %j is sha512sum's",
  (text) => {
    expect(host.sha512(text)).toBe(execFileSync("sha512sum", { input: text, encoding: "utf8" }).slice(0, 128))
  },
)

test("sha512 of half a surrogate pair is that of U+FFFD", () => {
  expect(host.sha512("\ud83d")).toBe(host.sha512("\ufffd"))
})

test("random fills all of a buffer of 256 bytes, each time anew", () => {
  const [one, other] = [new Uint8Array(256), new Uint8Array(256)]
  expect(host.random(one)).toBe(256)
  expect(host.random(other)).toBe(256)
  expect(one).not.toEqual(other)
  expect(new Set(one).size).toBeGreaterThan(50)
})

test.each([
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("fnv1a of %j", (text, hash) => {
  expect(host.fnv1a(text)).toBe(hash)
})

test("hex writes bytes as pairs", () => {
  expect(host.hex(Uint8Array.of(0, 1, 0xa, 0xff), ":")).toBe("00:01:0a:ff")
  expect([host.hex(Uint8Array.of(0xab, 0xcd), ""), host.hex(new Uint8Array(), ":")]).toEqual(["abcd", ""])
})

test.each([
  ["0.0.0.0", 0],
  ["10.1.2.3", 0x0a010203],
  ["255.255.255.255", 0xffffffff],
])("the IPv4 address %s is %d", (text, address) => {
  expect([host.parseIPv4(text), host.formatIPv4(address)]).toEqual([address, text])
})

test.each([
  "",
  "1.2.3",
  "1.2.3.4.5",
  "01.2.3.4",
  "256.1.1.1",
  "1.2.3.4 ",
  " 1.2.3.4",
  "1.2.3.4\0",
  "1..2.3",
  "1e1.1.1.1",
  "::1",
  "١.1.1.1",
])("%j is no IPv4 address", (text) => expect(host.parseIPv4(text)).toBe(-1))
