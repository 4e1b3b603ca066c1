import { expect, test } from "vitest"
import { parseAddress } from "../../lib/ip/address.ts"
import { decodeAdvertisement, decodeEchoReply, encodeEcho, encodeSolicitation, solicitedNode } from "./icmp.ts"

const ip = (text: string) => parseAddress(text) ?? { family: 6 as const, value: 0n }
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"))
const nonce = hex("0102030405060708")
const echo = { id: 0x1234, sequence: 0x0507, nonce }

/** RFC 1071: the sum of a packet with its checksum has all bits set. */
function sumOf(packet: Uint8Array): number {
  const even = Buffer.concat([packet, hex("00")])
  let sum = 0
  for (let at = 0; at < packet.length; at += 2) sum += even.readUInt16BE(at)
  return (sum % 0xffff) + 0xffff * Number(sum % 0xffff === 0)
}

test.each([8, 9, 56, 1472, 65_500])("an echo request of IPv4 has its checksum: %d bytes of payload", (size) => {
  const packet = encodeEcho(4, echo, size)
  expect([packet.length, packet[0], packet[1]]).toEqual([8 + size, 8, 0])
  expect(packet.subarray(4, 16)).toEqual(hex("1234 0507 0102030405060708"))
  expect(sumOf(packet)).toBe(0xffff)
})

test("the kernel fills in that of IPv6", () => {
  expect(encodeEcho(6, echo, 8)).toEqual(hex("80 00 0000 1234 0507 0102030405060708"))
})

test("a reply brings back what was sent, behind the header of IPv4", () => {
  const reply = hex("00 00 ffff 1234 0507 0102030405060708 0000")
  const header = hex("4500 0026 0000 4000 4001 0000 0af40101 0af40102")
  const withOptions = hex("4600 002a 0000 4000 4001 0000 0af40101 0af40102 01010100")
  expect(decodeEchoReply(4, new Uint8Array([...header, ...reply]))).toEqual(echo)
  expect(decodeEchoReply(4, new Uint8Array([...withOptions, ...reply]))).toEqual(echo)
  expect(decodeEchoReply(6, new Uint8Array([129, ...reply.subarray(1)]))).toEqual(echo)
})

test.each([
  ["nothing", 4, ""],
  ["a header alone", 4, "4500 0014 0000 4000 4001 0000 0af40101 0af40102"],
  ["a header that says to be longer than the packet", 4, "4f00 0014 0000 4000 4001 0000 0af40101 0af40102 0000"],
  ["an echo request", 6, "80 00 0000 1234 0507 0102030405060708"],
  ["a reply cut short", 6, "81 00 0000 1234 0507 01020304050607"],
] as const)("%s is no echo reply", (_, family, packet) => {
  expect(decodeEchoReply(family, hex(packet))).toBeUndefined()
})

test("a neighbour is asked for at the multicast address of RFC 4291", () => {
  expect(solicitedNode(ip("fd00:10:244:1::ab:cdef"))).toEqual(ip("ff02::1:ffab:cdef"))
  expect(encodeSolicitation(ip("fd00::1"), hex("02aabbccdd01"))).toEqual(
    hex("87 00 0000 00000000 fd000000000000000000000000000001 01 01 02aabbccdd01"),
  )
})

const ADVERTISEMENT = "88 00 ffff 60000000 fd000000000000000000000000000001"

test("an advertisement says where the address is, whatever options come before", () => {
  const found = { address: ip("fd00::1"), mac: hex("02aabbccdd99") }
  expect(decodeAdvertisement(hex(`${ADVERTISEMENT} 02 01 02aabbccdd99`))).toEqual(found)
  expect(decodeAdvertisement(hex(`${ADVERTISEMENT} 0e 02 ${"00".repeat(14)} 02 01 02aabbccdd99`))).toEqual(found)
})

test.each([
  ["a solicitation", "87 00 0000 00000000 fd000000000000000000000000000001 01 01 02aabbccdd01"],
  ["nothing", ""],
  ["an address cut short", ADVERTISEMENT.slice(0, -2)],
])("%s is no advertisement", (_, packet) => {
  expect(decodeAdvertisement(hex(packet))).toBeUndefined()
})

test.each([
  ["one without options, as who is asked directly answers", ADVERTISEMENT],
  ["an option cut short", `${ADVERTISEMENT} 02 01 02aabbccdd`],
  ["an option without a length, which would never end", `${ADVERTISEMENT} 0e 00 000000000000 02 01 02aabbccdd99`],
  ["an option longer than the packet", `${ADVERTISEMENT} 0e ff 000000000000 02 01 02aabbccdd99`],
])("%s does not say where an address is", (_, packet) => {
  expect(decodeAdvertisement(hex(packet))).toEqual({ address: ip("fd00::1") })
})
