import { expect, test } from "vitest"
import { parseAddress } from "../../lib/ip/address.ts"
import { decodeArpReply, encodeArpRequest } from "./arp.ts"

const ip = (text: string) => parseAddress(text) ?? { family: 4 as const, value: 0n }
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"))

/** As tcpdump -x shows them of arping and its answer, without Ethernet's header. */
const REQUEST = hex("0001 0800 0604 0001 02aabbccdd01 0af40102 000000000000 0af40101")
const REPLY = hex("0001 0800 0604 0002 02aabbccdd99 0af40101 02aabbccdd01 0af40102")

test("a request is what arping sends", () => {
  const own = { mac: hex("02aabbccdd01"), address: ip("10.244.1.2") }
  expect(encodeArpRequest(own, ip("10.244.1.1"))).toEqual(REQUEST)
})

test("a reply says who has the address", () => {
  expect(decodeArpReply(REPLY)).toEqual({ mac: hex("02aabbccdd99"), address: ip("10.244.1.1") })
  const padded = new Uint8Array([...REPLY, ...new Array(18).fill(0)])
  expect(decodeArpReply(padded)).toEqual(decodeArpReply(REPLY))
})

test.each([
  ["a request", REQUEST],
  ["nothing", hex("")],
  ["a reply cut short", REPLY.subarray(0, 27)],
  ["another kind of hardware", replaced(1, 6)],
  ["another protocol", replaced(2, 0x86)],
  ["addresses of another length", replaced(4, 8)],
  ["another operation", replaced(6, 1)],
])("%s is no reply", (_, packet) => {
  expect(decodeArpReply(packet)).toBeUndefined()
})

function replaced(at: number, byte: number): Uint8Array {
  const packet = REPLY.slice()
  packet[at] = byte
  return packet
}
