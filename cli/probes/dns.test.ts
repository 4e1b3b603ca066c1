import "../../lib/sys/node/register.ts"

import { expect, test } from "vitest"
import { decodeAnswer, encodeQuery, type Query } from "./dns.ts"

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"))
const asked = (name: string) => encodeQuery(0xbeef, name) as Query
const ROOT = "beef 0100 0001 0000 0000 0000 00 0002 0001"

test("questions are those of dig", () => {
  expect(asked("").packet).toEqual(hex(ROOT))
  expect(asked("kubernetes.default.svc").packet).toEqual(
    hex("beef 0100 0001 0000 0000 0000 0a 6b756265726e65746573 07 64656661756c74 03 737663 00 0001 0001"),
  )
})

test.each(["a..b", ".", "a.", "x".repeat(64), Array(130).fill("a").join(".")])("no name is written like %j", (name) => {
  expect(encodeQuery(1, name)).toBeUndefined()
})

test.each([
  ["NOERROR", "beef 8180 0001 0001 0000 0000 00 0002 0001 00 0002 0001 00000e10 0004 01610000"],
  ["SERVFAIL", "beef 8182 0001 0000 0000 0000 00 0002 0001"],
  ["NXDOMAIN", "beef 8183 0001 0000 0000 0000 00 0002 0001"],
  ["REFUSED", "beef 8105 0001 0000 0000 0000 00 0002 0001"],
  ["FORMERR", "beef 8101 0000 0000 0000 0000"],
  ["RESERVED15", "beef 818f 0001 0000 0000 0000 00 0002 0001"],
])("%s is understood", (code, answer) => {
  expect(decodeAnswer(hex(answer), asked(""))).toBe(code)
})

test("the question may come back in other letters' case, but not another one", () => {
  const query = asked("kubernetes.default")
  const answer = query.packet.slice()
  answer.set([0x81, 0x80], 2)
  answer[13] = "K".charCodeAt(0)
  expect(decodeAnswer(answer, query)).toBe("NOERROR")
  answer[13] = "L".charCodeAt(0)
  expect(decodeAnswer(answer, query)).toBeUndefined()
})

test.each([
  ["the question itself", ROOT],
  ["nothing", ""],
  ["a header cut short", "beef 8182 0001 0000 0000 00"],
  ["another question's answer", "beee 8182 0001 0000 0000 0000 00 0002 0001"],
  ["a question cut short", "beef 8182 0001 0000 0000 0000 00 0002 00"],
  ["two questions", "beef 8182 0002 0000 0000 0000 00 0002 0001 00 0002 0001"],
  ["success without a question", "beef 8180 0000 0000 0000 0000"],
  ["a pointer in place of the name", "beef 8182 0001 0000 0000 0000 c00c 0002 0001"],
])("%s is no answer", (_, packet) => {
  expect(decodeAnswer(hex(packet), asked(""))).toBeUndefined()
})
